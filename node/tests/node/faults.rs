//! Parts of a node that fail, and what becomes of the work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use celeriac::backend::MemoryBackend;
use celeriac::broker::{
    BoxFuture, Broker, Capabilities, Consumer, Delivery, Link, MemoryBroker, Publication,
    QueueStatus, Subscription, Topology,
};
use celeriac::control::Command;
use celeriac::{App, Result};
use celeriac_node::{Config, Node, Shutdown};
use tokio::sync::watch;

use crate::tasks::add;
use crate::{PATIENCE, Rig, eventually, tasks};

/// A broker whose consumers of tasks fail as they are told to.
#[derive(Debug)]
struct Faulty {
    broker: MemoryBroker,
    faults: Arc<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    /// So often they panic, with messages in hand.
    panics: AtomicU32,
    /// The server has no consumer any more.
    gone: AtomicBool,
    /// The server does not answer when the prefetch changes.
    mute: AtomicBool,
}

struct FaultyConsumer {
    consumer: Box<dyn Consumer>,
    faults: Arc<Faults>,
}

impl Consumer for FaultyConsumer {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Option<Vec<Delivery>>> {
        Box::pin(async move {
            let batch = self.consumer.next(max).await;
            let take = |left: u32| left.checked_sub(1);
            if self
                .faults
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
        if self.faults.mute.load(Ordering::SeqCst) {
            return Box::pin(std::future::pending());
        }
        self.consumer.set_prefetch(prefetch)
    }

    fn is_consuming(&self) -> bool {
        !self.faults.gone.load(Ordering::SeqCst)
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
            let faults = if others {
                Arc::default()
            } else {
                Arc::clone(&self.faults)
            };
            let consumer = self.broker.consume(subscription).await?;
            Ok(Box::new(FaultyConsumer { consumer, faults }) as Box<dyn Consumer>)
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

/// A node on a faulty broker.
async fn rig(panics: u32) -> (Rig, Arc<Faults>) {
    let (broker, backend) = (MemoryBroker::new(), MemoryBackend::new());
    let app = |broker: Arc<dyn Broker>| {
        let builder = App::builder("test")
            .broker_value(broker)
            .backend_value(Arc::new(backend.clone()));
        tasks::all(builder).build().unwrap()
    };
    let client = app(Arc::new(broker.clone()));
    let faults = Arc::new(Faults {
        panics: AtomicU32::new(panics),
        ..Faults::default()
    });
    let link = broker.connect();
    let faulty = Faulty {
        broker: link.clone(),
        faults: Arc::clone(&faults),
    };
    let node = Node::new(app(Arc::new(faulty)), Config::default()).unwrap();
    let (handle, shutdown) = (node.handle(), Shutdown::new());
    let running = tokio::spawn(node.run(shutdown.clone()));
    assert!(handle.wait_ready().await);
    let rig = Rig {
        app: client,
        broker,
        link,
        handle,
        shutdown,
        running,
    };
    (rig, faults)
}

#[tokio::test]
async fn a_consumer_that_panics_is_made_anew_and_loses_nothing() {
    let (rig, _) = rig(2).await;
    let mut results = Vec::new();
    for number in 0..20 {
        results.push((number, add.call(number, 1).send(&rig.app).await.unwrap()));
    }
    for (number, result) in results {
        assert_eq!(result.get(PATIENCE).await.unwrap(), number + 1);
    }
    assert_eq!(rig.handle.snapshot().restarts["consumer celery"], 2);
    assert!(rig.handle.wait_ready().await);
    rig.stop().await;
}

#[tokio::test]
async fn a_server_that_does_not_change_the_prefetch_holds_up_nothing_for_long() {
    let (rig, faults) = rig(0).await;
    rig.hears().await;
    faults.mute.store(true, Ordering::SeqCst);
    let control = rig.app.control();
    control.cast(Command::pool_grow(1)).await.unwrap();
    let slots = Config::default().concurrency + 1;
    eventually("it grows", || async {
        rig.handle.snapshot().slots == slots
    })
    .await;
    let sum = add.call(1, 1).send(&rig.app).await.unwrap();
    assert_eq!(sum.get(PATIENCE).await.unwrap(), 2);
    rig.stop().await;
}

#[tokio::test]
async fn a_node_whose_consumer_the_server_lost_is_not_ready() {
    let (rig, faults) = rig(0).await;
    faults.gone.store(true, Ordering::SeqCst);
    eventually("it is not ready", || async { !rig.handle.is_ready() }).await;
    assert!(!rig.handle.snapshot().queues["celery"].consuming);
    faults.gone.store(false, Ordering::SeqCst);
    assert!(rig.handle.wait_ready().await);
}
