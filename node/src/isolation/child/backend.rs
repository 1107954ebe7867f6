//! The result backend of a child: its node's.

use std::fmt;
use std::sync::Arc;

use celeriac::backend::{
    Addition, Backend, Capabilities, Joined, Member, Store, Stored, Waiter, Waiters,
};
use celeriac::broker::BoxFuture;
use celeriac::protocol::{ResultDocument, ResultTuple};
use celeriac::{Error, Result};

use super::broker::{each, expect, strange};
use super::line::Line;
use crate::isolation::frame::{Answer, Ask, Welcome};

/// The result backend of a child: every call is made by its node, on the node's
/// connection.
pub(super) struct NodeBackend {
    line: Arc<Line>,
    capabilities: Capabilities,
    url: String,
    reply_to: String,
    waiters: Waiters,
}

impl NodeBackend {
    pub(super) fn new(line: Arc<Line>, welcome: &Welcome) -> Self {
        Self {
            line,
            capabilities: welcome.backend,
            url: welcome.backend_url.clone(),
            reply_to: welcome.reply_to.clone(),
            waiters: Waiters::default(),
        }
    }

    /// Returns who waits here for which result.
    pub(super) fn waiters(&self) -> Waiters {
        self.waiters.clone()
    }

    async fn done(&self, ask: Ask) -> Result<()> {
        let answer = self.line.ask(ask).await?;
        expect(matches!(answer, Answer::Done).then_some(()))
    }
}

impl Backend for NodeBackend {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    fn store(&self, batch: Vec<Store>) -> BoxFuture<'_, Vec<Result<Stored>>> {
        Box::pin(async move {
            let count = batch.len();
            match self.line.ask(Ask::Store(batch)).await {
                Ok(Answer::Stored(answers)) if answers.len() == count => answers
                    .into_iter()
                    .map(|answer| answer.map_err(Error::from))
                    .collect(),
                Ok(_) => each(count, &strange()),
                Err(error) => each(count, &error),
            }
        })
    }

    fn fetch<'a>(
        &'a self,
        ids: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<ResultDocument>>>> {
        Box::pin(async {
            match self.line.ask(Ask::Fetch(ids.to_vec())).await? {
                Answer::Documents(documents) if documents.len() == ids.len() => Ok(documents),
                _ => Err(strange()),
            }
        })
    }

    fn watch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Waiter>> {
        Box::pin(async {
            // First here: the document may come before the answer.
            let waiter = self.waiters.wait(id);
            self.done(Ask::Watch(id.to_owned())).await?;
            Ok(waiter)
        })
    }

    fn forget<'a>(&'a self, ids: &'a [String]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.done(Ask::Forget(ids.to_vec())))
    }

    fn begin_join<'a>(&'a self, group: &'a str, size: u32) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.done(Ask::BeginJoin(group.to_owned(), size)))
    }

    fn join(&self, member: Member) -> BoxFuture<'_, Result<Option<Vec<Joined>>>> {
        Box::pin(async move {
            match self.line.ask(Ask::Join(member)).await? {
                Answer::Joined(joined) => Ok(joined),
                _ => Err(strange()),
            }
        })
    }

    fn end_join<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.done(Ask::EndJoin(group.to_owned())))
    }

    fn extend_join<'a>(
        &'a self,
        group: &'a str,
        addition: Addition<'a>,
    ) -> BoxFuture<'a, Result<()>> {
        let (id, expected) = match addition {
            Addition::Expected(id) => (id, true),
            Addition::Withdrawn(id) => (id, false),
        };
        let ask = Ask::ExtendJoin(group.to_owned(), id.to_owned(), expected);
        Box::pin(self.done(ask))
    }

    fn save_group<'a>(&'a self, group: &'a ResultTuple) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.done(Ask::SaveGroup(group.clone())))
    }

    fn restore_group<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<ResultTuple>>> {
        Box::pin(async {
            match self.line.ask(Ask::RestoreGroup(id.to_owned())).await? {
                Answer::Group(group) => Ok(group),
                _ => Err(strange()),
            }
        })
    }

    fn delete_group<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.done(Ask::DeleteGroup(id.to_owned())))
    }

    fn reply_to(&self) -> Option<String> {
        Some(self.reply_to.clone())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        // The connection is the node's.
        Box::pin(async {})
    }
}

impl fmt::Debug for NodeBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBackend")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
