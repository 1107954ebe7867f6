//! A broker that fails on command.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use celeriac::broker::{
    BoxFuture, Broker, Capabilities, Consumer, Link, Lock, Publication, QueueStatus, Subscription,
    Topology,
};
use celeriac::{Error, Result};
use tokio::sync::watch;

/// What becomes of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It goes through: for the ones between faults.
    Pass,
    /// It is lost, and nobody is told.
    Drop,
    /// It is refused.
    Refuse,
    /// It is lost, and the connection with it.
    Fail,
    /// It arrives, but the connection is lost before the confirm.
    FailAfter,
    /// It arrives twice.
    Duplicate,
    /// It arrives later.
    Delay(Duration),
}

/// A broker that fails on command; without commands it is the broker inside.
///
/// Faults are used up, one for each publication.
#[derive(Debug, Clone)]
pub struct FlakyBroker {
    inner: Arc<dyn Broker>,
    plan: Arc<Mutex<VecDeque<Fault>>>,
}

impl FlakyBroker {
    /// Puts faults in front of a broker.
    pub fn new(inner: Arc<dyn Broker>) -> Self {
        Self {
            inner,
            plan: Arc::default(),
        }
    }

    /// Adds what becomes of the next publications.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().extend(faults);
    }

    /// Returns how many faults are still to come.
    pub fn left(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Fault>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn publish_with(&self, fault: Fault, publication: Publication) -> Result<()> {
        let lost = || {
            Err(Error::unavailable(
                "broker",
                "the connection was lost on command",
            ))
        };
        match fault {
            Fault::Pass => self.inner.publish(publication).await,
            Fault::Drop => Ok(()),
            Fault::Refuse => Err(Error::Refused {
                what: "publication".to_owned(),
                reason: "refused on command".to_owned(),
            }),
            Fault::Fail => lost(),
            Fault::FailAfter => {
                self.inner.publish(publication).await?;
                lost()
            }
            Fault::Duplicate => {
                self.inner.publish(publication.clone()).await?;
                self.inner.publish(publication).await
            }
            Fault::Delay(delay) => {
                tokio::time::sleep(delay).await;
                self.inner.publish(publication).await
            }
        }
    }
}

impl Broker for FlakyBroker {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn url(&self) -> String {
        self.inner.url()
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        self.inner.declare(topology)
    }

    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let fault = self.lock().pop_front().unwrap_or(Fault::Pass);
            self.publish_with(fault, publication).await
        })
    }

    fn consume(&self, subscription: Subscription) -> BoxFuture<'_, Result<Box<dyn Consumer>>> {
        self.inner.consume(subscription)
    }

    fn queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<QueueStatus>>> {
        self.inner.queue(name)
    }

    fn purge<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64>> {
        self.inner.purge(name)
    }

    fn delete_queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        self.inner.delete_queue(name)
    }

    fn lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn Lock>>>> {
        self.inner.lock(name)
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.inner.link()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

#[cfg(test)]
mod tests {
    use celeriac::broker::{MemoryBroker, Queue};
    use celeriac::protocol::Message;

    use super::*;

    #[tokio::test]
    async fn faults_come_in_their_order() {
        let broker = FlakyBroker::new(Arc::new(MemoryBroker::new()));
        let topology = Topology {
            queues: vec![Queue::new("q")],
            ..Topology::default()
        };
        broker.declare(&topology).await.unwrap();
        broker.plan([
            Fault::Drop,
            Fault::Refuse,
            Fault::Fail,
            Fault::Pass,
            Fault::FailAfter,
            Fault::Duplicate,
        ]);
        let mut answers = Vec::new();
        for _ in 0..6 {
            let publication = Publication::to_queue("q", Message::default());
            answers.push(
                broker
                    .publish(publication)
                    .await
                    .map_err(|error| error.is_retryable()),
            );
        }
        assert_eq!(
            answers,
            [Ok(()), Err(false), Err(true), Ok(()), Err(true), Ok(())]
        );
        assert_eq!(broker.queue("q").await.unwrap().unwrap().ready, 4);
        assert_eq!(broker.left(), 0);
    }
}
