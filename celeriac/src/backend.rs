//! Result backends: where outcomes are kept or sent.

mod disabled;
mod header;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod rpc;
mod waiters;

use std::fmt;
use std::sync::Arc;

use celeriac_protocol::{ResultDocument, ResultTuple, State, Value};
use serde::{Deserialize, Serialize};

pub use self::disabled::DisabledBackend;
pub use self::header::in_form_of;
pub use self::memory::MemoryBackend;
#[cfg(feature = "redis")]
pub use self::redis::{RedisBackend, RedisOptions};
pub use self::rpc::{Config as RpcConfig, RpcBackend};
pub use self::waiters::{Waiter, Waiters};
use crate::broker::{BoxFuture, Broker};
use crate::error::{Error, Result};

/// Keeps the outcomes of tasks, or sends them to who asked.
///
/// A stored success is never overwritten, so a task that ran twice has one outcome.
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Returns what this backend can do.
    fn capabilities(&self) -> Capabilities;

    /// Returns the URL without its password.
    fn url(&self) -> String;

    /// Stores a batch; the answers stand in the order of the documents.
    ///
    /// # Delivery guarantee
    ///
    /// `Ok` means that the store has it (in the rpc backend: that it was handed to the
    /// broker). An error is retryable unless it says otherwise.
    fn store(&self, batch: Vec<Store>) -> BoxFuture<'_, Vec<Result<Stored>>>;

    /// Returns what is stored, in the order of the ids; `None` for nothing.
    fn fetch<'a>(&'a self, ids: &'a [String])
    -> BoxFuture<'a, Result<Vec<Option<ResultDocument>>>>;

    /// Registers interest in a task. Do so before the task is published, or the result
    /// may come first.
    fn watch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Waiter>>;

    /// Removes what is stored.
    fn forget<'a>(&'a self, ids: &'a [String]) -> BoxFuture<'a, Result<()>>;

    /// Prepares the counter of a chord: how many results its header has.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless [`Capabilities::join`].
    fn begin_join<'a>(&'a self, group: &'a str, size: u32) -> BoxFuture<'a, Result<()>> {
        let _ = (group, size);
        Box::pin(async move { Err(no_join(self.url())) })
    }

    /// Counts a member of a chord's header; returns the header's results, in order,
    /// to the one who counted last, and to it again until [`Backend::end_join`]: its
    /// answer may have been lost. A member that is counted twice counts once.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless [`Capabilities::join`]. [`Error::Unavailable`] when
    /// all have ended and another process has claimed the body and not sent it: ask again,
    /// since it may be gone.
    fn join(&self, member: Member) -> BoxFuture<'_, Result<Option<Vec<Joined>>>> {
        let _ = member;
        Box::pin(async move { Err(no_join(self.url())) })
    }

    /// Keeps the claim of the one who counted last for as long as sending the body may
    /// take; `false` when somebody else has it by now, who sends the body instead.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless [`Capabilities::join`].
    fn hold_join<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<bool>> {
        let _ = claim;
        Box::pin(async move { Err(no_join(self.url())) })
    }

    /// Says that the chord's body was sent, so that nobody sends it again.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless [`Capabilities::join`].
    fn end_join<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<()>> {
        let _ = group;
        Box::pin(async move { Err(no_join(self.url())) })
    }

    /// Says that the chord's body will never be sent. What its header ended with may be
    /// kept for whoever looks into it.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless [`Capabilities::join`].
    fn break_join<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<()>> {
        self.end_join(group)
    }

    /// Lets a chord's header wait for one more result, which a member adds to it while it
    /// runs, or no longer for one. What is asked twice counts once.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless [`Capabilities::join`].
    fn extend_join<'a>(
        &'a self,
        group: &'a str,
        addition: Addition<'a>,
    ) -> BoxFuture<'a, Result<()>> {
        let _ = (group, addition);
        Box::pin(async move { Err(no_join(self.url())) })
    }

    /// Keeps a group's result by its id, as long as results are kept. The results that a
    /// chord's body gets have the form of the header that was saved.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless [`Capabilities::fetch`].
    fn save_group<'a>(&'a self, group: &'a ResultTuple) -> BoxFuture<'a, Result<()>> {
        let _ = group;
        Box::pin(async move { Err(no_groups(self.url())) })
    }

    /// Returns a group's result that was saved.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless [`Capabilities::fetch`].
    fn restore_group<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<ResultTuple>>> {
        let _ = id;
        Box::pin(async move { Err(no_groups(self.url())) })
    }

    /// Removes a group's result that was saved; its members' results stay.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless [`Capabilities::fetch`].
    fn delete_group<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        let _ = id;
        Box::pin(async move { Err(no_groups(self.url())) })
    }

    /// Returns the queue that task messages must name in `reply_to`, where results are
    /// sent to the caller.
    fn reply_to(&self) -> Option<String> {
        None
    }

    /// Closes connections. Later calls fail with [`Error::Closed`].
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// What a backend can do beyond the trait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// Keeps results at all.
    pub stores: bool,
    /// Other processes see what this one stores.
    pub shared: bool,
    /// What was stored can be fetched by any process any number of times.
    pub fetch: bool,
    /// Counts the headers of chords.
    pub join: bool,
}

/// A finished member of a chord's header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The header's group id.
    pub group: String,
    /// The member's place in it; `None` puts it last.
    pub index: Option<u32>,
    /// The member's task id.
    pub task_id: String,
    /// Success or failure.
    pub state: State,
    /// The value, or the exception as value.
    pub result: Value,
}

/// A result, by its id, that a chord's header is to wait for beside those it began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addition<'a> {
    /// It will come.
    Expected(&'a str),
    /// It will not come: what it is the result of could not be sent.
    Withdrawn(&'a str),
}

/// The right of the member that was counted last to send a chord's body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The header's group id.
    pub group: String,
    /// The member's task id.
    pub task_id: String,
    /// The member's place in the header.
    pub index: Option<u32>,
}

impl Member {
    /// Returns the claim that this member has once it was counted last.
    pub fn claim(&self) -> Claim {
        Claim {
            group: self.group.clone(),
            task_id: self.task_id.clone(),
            index: self.index,
        }
    }
}

/// A member's outcome, as the last one to finish reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// The member's task id.
    pub task_id: String,
    /// Success or failure.
    pub state: State,
    /// The value, or the exception as value.
    pub result: Value,
}

pub(crate) fn no_join(with: String) -> Error {
    Error::Unsupported {
        what: "a chord",
        with,
        instead: "use a result backend that counts, such as redis://",
    }
}

fn no_groups(with: String) -> Error {
    Error::Unsupported {
        what: "saving a group",
        with,
        instead: "use a result backend that keeps what it is given, such as redis://",
    }
}

/// A document to store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Store {
    /// What to store.
    pub document: ResultDocument,
    /// The task message's `reply_to`: where an rpc result goes.
    pub reply_to: Option<String>,
    /// The task message's `correlation_id`; the task's id when it was absent.
    pub correlation_id: Option<String>,
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stored {
    /// It is stored.
    Written,
    /// A success was there already; nothing was changed.
    AlreadyDone,
    /// The backend does not keep such results (disabled, or nobody to reply to).
    Dropped,
}

/// Opens the backend that a URL names: `memory://`, `rpc://`, `redis://`, `rediss://`,
/// `disabled://`.
///
/// # Errors
///
/// [`Error::Invalid`] for a URL that no backend here takes.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn open(url: &str, broker: &Arc<dyn Broker>) -> Result<Arc<dyn Backend>> {
    let scheme = url.split("://").next().unwrap_or_default();
    match scheme {
        "memory" => Ok(Arc::new(MemoryBackend::new())),
        "rpc" => Ok(Arc::new(RpcBackend::new(Arc::clone(broker)))),
        "disabled" | "" => Ok(Arc::new(DisabledBackend)),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+socket" | "sentinel" => Ok(Arc::new(RedisBackend::open(url)?)),
        _ => Err(Error::invalid(
            "result backend url",
            "memory://, rpc://, redis://, rediss:// or disabled://",
            crate::broker::mask(url),
        )),
    }
}
