//! A node on a broker and a backend in memory, seen from outside.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod control;
mod faults;
mod messages;
mod outcomes;
mod redelivery;
mod refused;
mod routing;
mod running;
mod shutdown;
mod tasks;
mod timing;
mod workflows;

use std::sync::Arc;
use std::time::Duration;

use celeriac::backend::MemoryBackend;
use celeriac::broker::{Broker, Delivery, MemoryBroker, Publication, QueueStatus, Subscription};
use celeriac::control::Command;
use celeriac::protocol::{Message, ResultDocument, State};
use celeriac::{App, AppBuilder};
use celeriac_node::{Config, Handle, Node, Shutdown, Stopped};
use tokio::task::JoinHandle;

/// Longer than anything here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A node that runs, and an app that sends to it.
pub struct Rig {
    pub app: App,
    pub broker: MemoryBroker,
    /// The node's own connection.
    pub link: MemoryBroker,
    pub handle: Handle,
    pub shutdown: Shutdown,
    pub running: JoinHandle<celeriac::Result<Stopped>>,
}

impl Rig {
    pub async fn start() -> Self {
        Self::with(Config::default(), |builder| builder).await
    }

    pub async fn with(config: Config, tasks: impl Fn(AppBuilder) -> AppBuilder) -> Self {
        let broker = MemoryBroker::new();
        let backend = MemoryBackend::new();
        Self::on(&broker, &backend, config, tasks).await
    }

    pub async fn on(
        broker: &MemoryBroker,
        backend: &MemoryBackend,
        config: Config,
        tasks: impl Fn(AppBuilder) -> AppBuilder,
    ) -> Self {
        let link = broker.connect();
        let app = |broker: &MemoryBroker| {
            let builder = App::builder("test")
                .broker_value(Arc::new(broker.clone()))
                .backend_value(Arc::new(backend.clone()));
            tasks(tasks::all(builder)).build().unwrap()
        };
        let config = Config {
            cancel_grace: Duration::from_millis(200),
            ..config
        };
        let node = Node::new(app(&link), config).unwrap();
        let (handle, shutdown) = (node.handle(), Shutdown::new());
        let running = tokio::spawn(node.run(shutdown.clone()));
        assert!(handle.wait_ready().await);
        Self {
            app: app(broker),
            broker: broker.clone(),
            link,
            handle,
            shutdown,
            running,
        }
    }

    pub async fn stopped(self) -> Stopped {
        tokio::time::timeout(PATIENCE, self.running)
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }

    pub async fn stop(self) -> Stopped {
        self.shutdown.drain();
        self.stopped().await
    }

    /// Waits for the end of a task, by id.
    pub async fn end_of(&self, id: &str) -> ResultDocument {
        self.app
            .result::<celeriac::Value>(id)
            .ready(PATIENCE)
            .await
            .unwrap()
    }

    pub async fn state_of(&self, id: &str) -> State {
        self.app
            .result::<celeriac::Value>(id)
            .state()
            .await
            .unwrap()
    }

    /// Waits until the queue is empty and nothing of it is unacknowledged.
    pub async fn settled(&self) {
        eventually("no job is left", || async {
            let snapshot = self.handle.snapshot();
            let idle = snapshot.running + snapshot.waiting + snapshot.delivering == 0;
            idle && self.ready("celery").await == 0
        })
        .await;
    }

    pub async fn ready(&self, queue: &str) -> u64 {
        self.broker
            .queue(queue)
            .await
            .unwrap()
            .map_or(0, |status| status.ready)
    }

    pub async fn publish(&self, message: Message) {
        self.broker
            .publish(Publication::to_queue("celery", message))
            .await
            .unwrap();
    }

    /// Waits until the node answers remote control; requests before that are lost.
    pub async fn hears(&self) {
        let control = self.app.control().within(Duration::from_millis(200));
        eventually("the node answers", || async {
            let replies = control.ask(Command::ping()).await;
            !replies.unwrap().is_empty()
        })
        .await;
    }

    pub async fn broker_status(&self, queue: &str) -> QueueStatus {
        self.broker.queue(queue).await.unwrap().unwrap()
    }

    /// Waits for one message of a queue and takes it.
    pub async fn take(&self, queue: &str) -> Delivery {
        let mut consumer = self
            .broker
            .consume(Subscription::unacknowledged(queue))
            .await
            .unwrap();
        let next = tokio::time::timeout(PATIENCE, consumer.next(1)).await;
        next.expect("a message in time").unwrap().remove(0)
    }

    pub fn count(&self, counter: &str) -> u64 {
        self.handle.snapshot().counters[counter]
    }
}

/// Asks again and again until it is true.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let waiting = async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, waiting).await.is_ok(),
        "expected that {what}"
    );
}
