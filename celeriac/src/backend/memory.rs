//! The backend in this process's memory, for tests and the embedded default.

mod documents;
mod groups;
mod joins;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use celeriac_protocol::{ResultDocument, ResultTuple};
use tokio::time::Instant;

use self::documents::Documents;
use self::groups::Groups;
use self::joins::Joins;
use super::{
    Addition, Backend, Capabilities, Claim, Joined, Member, Store, Stored, Waiter, Waiters, header,
};
use crate::broker::BoxFuture;
use crate::error::{Error, Result};

/// Keeps results in this process's memory, bounded in number and age.
///
/// Clones share the same results. Time is tokio's, so a paused clock moves it.
#[derive(Clone)]
pub struct MemoryBackend(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    waiters: Waiters,
    closed: AtomicBool,
}

struct State {
    documents: Documents,
    joins: Joins,
    groups: Groups,
}

impl MemoryBackend {
    /// How many documents are kept unless said otherwise.
    pub const DOCUMENTS: usize = 100_000;

    /// For how long a document is kept unless said otherwise: a day.
    pub const TTL: Duration = Duration::from_secs(86_400);

    /// Makes an empty backend with the default limits.
    pub fn new() -> Self {
        Self::with_limits(Self::DOCUMENTS, Self::TTL)
    }

    /// Makes an empty backend that keeps `documents` at most, each for `ttl` after its
    /// last change. To make room, the oldest ready document goes first.
    pub fn with_limits(documents: usize, ttl: Duration) -> Self {
        let documents_and_joins = State {
            documents: Documents::new(documents, ttl),
            joins: Joins::new(documents, ttl),
            groups: Groups::new(documents, ttl),
        };
        Self(Arc::new(Inner {
            state: Mutex::new(documents_and_joins),
            waiters: Waiters::default(),
            closed: AtomicBool::new(false),
        }))
    }

    /// Returns the state, unless the backend is closed.
    fn state(&self) -> Result<MutexGuard<'_, State>> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(Error::Closed("memory result backend"));
        }
        Ok(self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn store_one(&self, document: ResultDocument) -> Result<Stored> {
        let waiters = &self.0.waiters;
        let copy = waiters
            .contains(&document.task_id)
            .then(|| document.clone());
        let id = document.task_id.clone();
        if !self.state()?.documents.store(document, Instant::now()) {
            return Ok(Stored::AlreadyDone);
        }
        match copy {
            Some(document) => drop(waiters.notify(document)),
            // One who began to wait meanwhile may have looked before it was stored.
            None if waiters.contains(&id) => drop(self.tell(&id)),
            None => {}
        }
        Ok(Stored::Written)
    }

    /// Hands what is stored to those who wait.
    fn tell(&self, id: &str) -> Result<()> {
        let stored = self.state()?.documents.fetch(id, Instant::now()).cloned();
        if let Some(document) = stored {
            self.0.waiters.notify(document);
        }
        Ok(())
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for MemoryBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            stores: true,
            shared: false,
            fetch: true,
            join: true,
        }
    }

    fn url(&self) -> String {
        "memory://".to_owned()
    }

    fn store(&self, batch: Vec<Store>) -> BoxFuture<'_, Vec<Result<Stored>>> {
        Box::pin(async move {
            batch
                .into_iter()
                .map(|store| self.store_one(store.document))
                .collect()
        })
    }

    fn fetch<'a>(
        &'a self,
        ids: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<ResultDocument>>>> {
        Box::pin(async move {
            let (state, now) = (self.state()?, Instant::now());
            Ok(ids
                .iter()
                .map(|id| state.documents.fetch(id, now).cloned())
                .collect())
        })
    }

    fn watch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Waiter>> {
        Box::pin(async move {
            let waiter = self.0.waiters.wait(id);
            self.tell(id)?;
            Ok(waiter)
        })
    }

    fn forget<'a>(&'a self, ids: &'a [String]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut state = self.state()?;
            ids.iter().for_each(|id| state.documents.forget(id));
            Ok(())
        })
    }

    fn begin_join<'a>(&'a self, group: &'a str, size: u32) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.state()?.joins.begin(group, size, Instant::now());
            Ok(())
        })
    }

    fn extend_join<'a>(
        &'a self,
        group: &'a str,
        addition: Addition<'a>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.state()?.joins.extend(group, addition, Instant::now());
            Ok(())
        })
    }

    fn save_group<'a>(&'a self, group: &'a ResultTuple) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.state()?.groups.save(group.clone(), Instant::now());
            Ok(())
        })
    }

    fn restore_group<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<ResultTuple>>> {
        Box::pin(async move { Ok(self.state()?.groups.restore(id, Instant::now()).cloned()) })
    }

    fn delete_group<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.state()?.groups.delete(id);
            Ok(())
        })
    }

    fn join(&self, member: Member) -> BoxFuture<'_, Result<Option<Vec<Joined>>>> {
        Box::pin(async move {
            let (mut state, now) = (self.state()?, Instant::now());
            let group = member.group.clone();
            let Some(results) = state.joins.join(member, now) else {
                return Ok(None);
            };
            Ok(Some(match state.groups.restore(&group, now) {
                Some(saved) => header::in_form_of(saved, results),
                None => results,
            }))
        })
    }

    fn hold_join<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { Ok(self.state()?.joins.hold(claim, Instant::now())) })
    }

    fn end_join<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.state()?.joins.end(group, Instant::now());
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async { self.0.closed.store(true, Ordering::Release) })
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend").finish_non_exhaustive()
    }
}
