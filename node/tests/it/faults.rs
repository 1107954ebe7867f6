//! Parts of a node that fail, and what becomes of the work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use celeriac::backend::MemoryBackend;
use celeriac::broker::{
    BoxFuture, Broker, Capabilities, Consumer, Delivery, Link, MemoryBroker, Publication,
    QueueStatus, Subscription, Topology,
};
use celeriac::{App, Result};
use celeriac_node::{Config, Node, Shutdown};
use tokio::sync::watch;

use crate::tasks::add;
use crate::{PATIENCE, tasks};

/// A broker whose consumers panic once, with messages in hand.
#[derive(Debug)]
struct Faulty {
    broker: MemoryBroker,
    panics: Arc<AtomicU32>,
}

struct FaultyConsumer {
    consumer: Box<dyn Consumer>,
    panics: Arc<AtomicU32>,
}

impl Consumer for FaultyConsumer {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Option<Vec<Delivery>>> {
        Box::pin(async move {
            let batch = self.consumer.next(max).await;
            let take = |left: u32| left.checked_sub(1);
            if self
                .panics
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
                .is_ok()
            {
                panic!(
                    "with {} messages in hand",
                    batch.map_or(0, |batch| batch.len())
                );
            }
            batch
        })
    }

    fn set_prefetch(&mut self, prefetch: u16) -> BoxFuture<'_, Result<()>> {
        self.consumer.set_prefetch(prefetch)
    }

    fn cancel(&mut self) -> BoxFuture<'_, Result<()>> {
        self.consumer.cancel()
    }
}

impl Broker for Faulty {
    fn capabilities(&self) -> Capabilities {
        self.broker.capabilities()
    }

    fn url(&self) -> String {
        self.broker.url()
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        self.broker.declare(topology)
    }

    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<()>> {
        self.broker.publish(publication)
    }

    fn consume(&self, subscription: Subscription) -> BoxFuture<'_, Result<Box<dyn Consumer>>> {
        Box::pin(async move {
            // The node's own queues are not what is tested.
            let others = subscription.queue != "celery";
            let panics = if others {
                Arc::default()
            } else {
                Arc::clone(&self.panics)
            };
            let consumer = self.broker.consume(subscription).await?;
            Ok(Box::new(FaultyConsumer { consumer, panics }) as Box<dyn Consumer>)
        })
    }

    fn queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<QueueStatus>>> {
        self.broker.queue(name)
    }

    fn purge<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64>> {
        self.broker.purge(name)
    }

    fn delete_queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        self.broker.delete_queue(name)
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.broker.link()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.broker.close()
    }
}

#[tokio::test]
async fn a_consumer_that_panics_is_made_anew_and_loses_nothing() {
    let (broker, backend) = (MemoryBroker::new(), MemoryBackend::new());
    let app = |broker: Arc<dyn Broker>| {
        let builder = App::builder("test")
            .broker_value(broker)
            .backend_value(Arc::new(backend.clone()));
        tasks::all(builder).build().unwrap()
    };
    let client = app(Arc::new(broker.clone()));
    let faulty = Faulty {
        broker: broker.connect(),
        panics: Arc::new(AtomicU32::new(2)),
    };
    let node = Node::new(app(Arc::new(faulty)), Config::default()).unwrap();
    let (handle, shutdown) = (node.handle(), Shutdown::new());
    let running = tokio::spawn(node.run(shutdown.clone()));
    assert!(handle.wait_ready().await);
    let mut results = Vec::new();
    for number in 0..20 {
        results.push((number, add.call(number, 1).send(&client).await.unwrap()));
    }
    for (number, result) in results {
        assert_eq!(result.get(PATIENCE).await.unwrap(), number + 1);
    }
    assert_eq!(handle.snapshot().restarts["consumer celery"], 2);
    assert!(handle.wait_ready().await);
    shutdown.drain();
    running.await.unwrap().unwrap();
}
