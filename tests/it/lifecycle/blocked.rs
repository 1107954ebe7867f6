//! Loops whose thread is kept by somebody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use celeriac::broker::{
    BoxFuture, Broker, Capabilities, Consumer, Link, MemoryBroker, Publication, QueueStatus,
    Subscription, Topology,
};
use celeriac::{App, Result};
use celeriac_node::{Config, Node, Shutdown};
use celeriac_supervisor::Supervisor;
use celeriac_tests::eventually::{eventually, eventually_within};
use celeriac_tests::http::{self, Answer};
use celeriac_tests::program::{Program, free_address};
use celeriac_tests::servers;
use tokio::sync::watch;

use super::{sender, unique};

/// By when a loop that stands still is told, with the time that asking takes.
const NOTICED: Duration = Duration::from_millis(10_500);

/// Which calls of a broker keep their thread.
const NONE: u8 = 0;
const EVENTS: u8 = 1;
const DEPTHS: u8 = 2;

/// A broker that keeps the thread of whoever calls it, on command.
#[derive(Debug)]
struct Sticky {
    inner: MemoryBroker,
    stuck: Arc<AtomicU8>,
}

impl Sticky {
    #[allow(
        clippy::disallowed_methods,
        reason = "to keep a thread is what it is for"
    )]
    fn hold(&self, calls: u8) {
        while self.stuck.load(Ordering::Acquire) == calls {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Broker for Sticky {
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
            if publication.exchange == celeriac::protocol::naming::EVENT_EXCHANGE {
                self.hold(EVENTS);
            }
            self.inner.publish(publication).await
        })
    }

    fn consume(&self, subscription: Subscription) -> BoxFuture<'_, Result<Box<dyn Consumer>>> {
        self.inner.consume(subscription)
    }

    fn queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<QueueStatus>>> {
        Box::pin(async move {
            self.hold(DEPTHS);
            self.inner.queue(name).await
        })
    }

    fn purge<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64>> {
        self.inner.purge(name)
    }

    fn delete_queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        self.inner.delete_queue(name)
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.inner.link()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

fn sticky() -> (App, Arc<AtomicU8>) {
    let stuck = Arc::new(AtomicU8::new(NONE));
    let broker = Sticky {
        inner: MemoryBroker::new(),
        stuck: Arc::clone(&stuck),
    };
    let builder = App::builder("test").broker_value(Arc::new(broker));
    (builder.backend("memory://").build().unwrap(), stuck)
}

async fn turns_again(address: &str) {
    eventually("the loops turn again", || async {
        let answer = http::get(address, "/livez").await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
}

/// Waits until all of these loops are told to stand still.
async fn tells(address: &str, loops: &[&str]) -> Answer {
    let what = format!("/livez of {address} tells of {loops:?}");
    eventually_within(NOTICED, &what, || async {
        let answer = http::get(address, "/livez").await.ok()?;
        let told = |name: &&str| {
            let told = format!("the loop {name} has not turned for ");
            answer.body.contains(&told)
        };
        (answer.status == 503 && loops.iter().all(told)).then_some(answer)
    })
    .await
}

/// S51: tasks that keep every thread of a node's work block its consumers, its backend and
/// its timetable; that is told within 10 s, and taken back.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_keep_every_thread_are_noticed() {
    let (amqp, redis) = (servers::amqp_url(), servers::redis_url());
    let queue = unique("kept");
    let consumer = format!("consumer {queue}");
    let name = format!("kept@{queue}");
    let mut node = Program::node(&name, &amqp, &redis, &["-Q", &queue]).await;
    let address = node.http().to_owned();
    let app = sender(&amqp, &queue);
    let threads = std::thread::available_parallelism().unwrap().get();
    let start = Instant::now();
    for _ in 0..threads {
        let call = app.call::<f64>("demo.hold").arg(15.0);
        call.send(&app).await.unwrap();
    }
    let answer = tells(&address, &[&consumer, "backend", "timetable"]).await;
    assert!(start.elapsed() > Duration::from_secs(5), "too soon");
    // Those that tell of the node have a thread of their own.
    assert!(!answer.body.contains("heart"), "{}", answer.body);
    turns_again(&address).await;
    assert_eq!(node.terminate().await, 0, "{}", node.log());
    app.close().await;
}

/// S51: what keeps the thread of a node's actors is told too.
#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_thread_of_actors_is_noticed() {
    let (app, stuck) = sticky();
    let address = free_address();
    let config = Config {
        http: Some(address.parse().unwrap()),
        autoscale: Some(celeriac_node::Autoscale { max: 2, min: 1 }),
        ..Config::default()
    };
    let node = Node::new(app.clone(), config).unwrap();
    let shutdown = Shutdown::new();
    let running = tokio::spawn(node.run(shutdown.clone()));
    eventually("the node is ready", || async {
        let answer = http::get(&address, "/readyz").await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
    stuck.store(EVENTS, Ordering::Release);
    tells(&address, &["heart", "mailroom", "election", "scaler"]).await;
    stuck.store(NONE, Ordering::Release);
    turns_again(&address).await;
    shutdown.drain();
    running.await.unwrap().unwrap();
}

/// S51: so is what keeps the thread of a supervisor's actors.
#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_supervisor_is_noticed() {
    let (app, stuck) = sticky();
    let address = free_address();
    let config = celeriac_supervisor::Config {
        listen: address.parse().unwrap(),
        store: "memory:".to_owned(),
        queues: vec!["celery".to_owned()],
        queue_interval: Duration::from_millis(200),
        leader_election: celeriac_supervisor::LeaderElection::None,
        ..celeriac_supervisor::Config::default()
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let supervisor = Supervisor::new(app.clone(), config);
    let running = tokio::spawn(supervisor.run(async { drop(stopped.await) }));
    eventually("the supervisor has started", || async {
        let answer = http::get(&address, "/startupz").await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
    stuck.store(DEPTHS, Ordering::Release);
    tells(&address, &["root", "survey", "beat"]).await;
    stuck.store(NONE, Ordering::Release);
    turns_again(&address).await;
    drop(stop);
    assert!(running.await.unwrap().unwrap().clean);
}
