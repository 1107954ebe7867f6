//! The broker of a child: its node's.

use std::sync::Arc;

use celeriac::broker::{
    BoxFuture, Broker, Capabilities, Consumer, Link, Publication, QueueStatus, Subscription,
    Topology,
};
use celeriac::{Error, Result};
use tokio::sync::watch;

use super::line::Line;
use crate::isolation::frame::{Answer, Ask, Welcome};

/// The broker of a child: every call is made by its node, on the node's connection.
pub(super) struct NodeBroker {
    line: Arc<Line>,
    capabilities: Capabilities,
    url: String,
    link: watch::Sender<Link>,
}

impl NodeBroker {
    pub(super) fn new(line: Arc<Line>, welcome: &Welcome) -> Self {
        Self {
            line,
            capabilities: welcome.broker,
            url: welcome.broker_url.clone(),
            // How the node's own link does is told by the answers.
            link: watch::Sender::new(Link::Up {
                epoch: 1,
                server: "the node of this process".to_owned(),
            }),
        }
    }
}

impl Broker for NodeBroker {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            let answer = self.line.ask(Ask::Declare(topology.clone())).await?;
            expect(matches!(answer, Answer::Done).then_some(()))
        })
    }

    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            let mut answers = self.publish_all(vec![publication]).await;
            expect(answers.pop())?
        })
    }

    fn publish_all(&self, publications: Vec<Publication>) -> BoxFuture<'_, Vec<Result<()>>> {
        Box::pin(async move {
            let count = publications.len();
            match self.line.ask(Ask::Publish(publications)).await {
                Ok(Answer::Published(answers)) if answers.len() == count => answers
                    .into_iter()
                    .map(|answer| answer.map_err(Error::from))
                    .collect(),
                Ok(_) => each(count, &strange()),
                Err(error) => each(count, &error),
            }
        })
    }

    fn consume(&self, _: Subscription) -> BoxFuture<'_, Result<Box<dyn Consumer>>> {
        Box::pin(async {
            Err(Error::Unsupported {
                what: "consuming a queue",
                with: "the broker of an isolated task".to_owned(),
                instead: "open a broker in the task, or do not isolate it",
            })
        })
    }

    fn queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<QueueStatus>>> {
        Box::pin(async {
            match self.line.ask(Ask::Queue(name.to_owned())).await? {
                Answer::Queue(status) => Ok(status),
                _ => Err(strange()),
            }
        })
    }

    fn purge<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async {
            match self.line.ask(Ask::Purge(name.to_owned())).await? {
                Answer::Count(count) => Ok(count),
                _ => Err(strange()),
            }
        })
    }

    fn delete_queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async {
            match self.line.ask(Ask::DeleteQueue(name.to_owned())).await? {
                Answer::Flag(flag) => Ok(flag),
                _ => Err(strange()),
            }
        })
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        // The connection is the node's.
        Box::pin(async {})
    }
}

impl std::fmt::Debug for NodeBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeBroker")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// The error of an answer that belongs to another question.
pub(super) fn strange() -> Error {
    Error::Unavailable {
        what: "the node",
        reason: "expected the answer to what was asked, found another".to_owned(),
        source: None,
    }
}

pub(super) fn expect<T>(answer: Option<T>) -> Result<T> {
    answer.ok_or_else(strange)
}

/// Makes as many errors of one: none of the calls has an answer of its own.
pub(super) fn each<T>(count: usize, error: &Error) -> Vec<Result<T>> {
    let text = error.to_string();
    let again = |_| {
        Err(match error.is_retryable() {
            true => Error::Unavailable {
                what: "the node",
                reason: text.clone(),
                source: None,
            },
            false => Error::Refused {
                what: "the node".to_owned(),
                reason: text.clone(),
            },
        })
    };
    (0..count).map(again).collect()
}
