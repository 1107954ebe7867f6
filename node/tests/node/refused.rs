//! Servers that say no, and what becomes of the work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use celeriac::backend::{
    Addition, Backend, Capabilities, Joined, Member, MemoryBackend, Store, Stored, Waiter,
};
use celeriac::broker::{
    self, BoxFuture, Broker, Consumer, Link, MemoryBroker, Publication, QueueStatus, Subscription,
    Topology,
};
use celeriac::canvas::{chain, chord};
use celeriac::protocol::error::EncodeError;
use celeriac::protocol::{
    Body, Codec, Embed, Exception, Properties, ResultDocument, Table, TaskHeaders, TaskMessage,
};
use celeriac::{App, Error, Result, Signature, State};
use celeriac_node::{Config, Handle, Node, Shutdown, Stopped};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::tasks::{self, *};
use crate::{PATIENCE, eventually};

/// A broker that refuses some publications.
#[derive(Clone)]
struct Picky {
    broker: MemoryBroker,
    refuses: fn(&Publication) -> bool,
}

impl std::fmt::Debug for Picky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.broker.fmt(f)
    }
}

impl Broker for Picky {
    fn capabilities(&self) -> broker::Capabilities {
        self.broker.capabilities()
    }

    fn url(&self) -> String {
        self.broker.url()
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        self.broker.declare(topology)
    }

    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<()>> {
        if (self.refuses)(&publication) {
            return Box::pin(async { Err(refusal()) });
        }
        self.broker.publish(publication)
    }

    fn consume(&self, subscription: Subscription) -> BoxFuture<'_, Result<Box<dyn Consumer>>> {
        self.broker.consume(subscription)
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

/// Says with which error a document is refused.
type Refusal = Arc<dyn Fn(&ResultDocument) -> Option<Error> + Send + Sync>;

/// A backend that refuses to store some documents, and whose answer to the first one who
/// counts last in a chord is lost.
#[derive(Clone)]
struct Moody {
    backend: MemoryBackend,
    refuses: Refusal,
    lost: Arc<AtomicBool>,
}

impl std::fmt::Debug for Moody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.backend.fmt(f)
    }
}

impl Backend for Moody {
    fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }

    fn url(&self) -> String {
        self.backend.url()
    }

    fn store(&self, batch: Vec<Store>) -> BoxFuture<'_, Vec<Result<Stored>>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            for store in batch {
                answers.push(match (self.refuses)(&store.document) {
                    Some(error) => Err(error),
                    None => self.backend.store(vec![store]).await.remove(0),
                });
            }
            answers
        })
    }

    fn fetch<'a>(
        &'a self,
        ids: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<ResultDocument>>>> {
        self.backend.fetch(ids)
    }

    fn watch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Waiter>> {
        self.backend.watch(id)
    }

    fn forget<'a>(&'a self, ids: &'a [String]) -> BoxFuture<'a, Result<()>> {
        self.backend.forget(ids)
    }

    fn begin_join<'a>(&'a self, group: &'a str, size: u32) -> BoxFuture<'a, Result<()>> {
        self.backend.begin_join(group, size)
    }

    fn extend_join<'a>(
        &'a self,
        group: &'a str,
        addition: Addition<'a>,
    ) -> BoxFuture<'a, Result<()>> {
        self.backend.extend_join(group, addition)
    }

    fn join(&self, member: Member) -> BoxFuture<'_, Result<Option<Vec<Joined>>>> {
        Box::pin(async move {
            let joined = self.backend.join(member).await?;
            if joined.is_some() && !self.lost.swap(true, Ordering::SeqCst) {
                return Err(Error::Timeout {
                    what: "the answer".to_owned(),
                    after: Duration::ZERO,
                });
            }
            Ok(joined)
        })
    }

    fn end_join<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<()>> {
        self.backend.end_join(group)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.backend.close()
    }
}

fn refusal() -> Error {
    Error::Refused {
        what: "what was asked".to_owned(),
        reason: "not now".to_owned(),
    }
}

struct Rig {
    app: App,
    broker: MemoryBroker,
    handle: Handle,
    shutdown: Shutdown,
    running: JoinHandle<Result<Stopped>>,
}

impl Rig {
    async fn start(
        refuses_message: fn(&Publication) -> bool,
        refuses_result: impl Fn(&ResultDocument) -> Option<Error> + Send + Sync + 'static,
    ) -> Self {
        let broker = MemoryBroker::new();
        let backend = MemoryBackend::new();
        let app = |broker: Arc<dyn Broker>, backend: Arc<dyn Backend>| {
            let builder = App::builder("test")
                .broker_value(broker)
                .backend_value(backend);
            tasks::all(builder).build().unwrap()
        };
        let picky = Picky {
            broker: broker.connect(),
            refuses: refuses_message,
        };
        let moody = Moody {
            backend: backend.clone(),
            refuses: Arc::new(refuses_result),
            lost: Arc::default(),
        };
        let node = Node::new(app(Arc::new(picky), Arc::new(moody)), Config::default()).unwrap();
        let (handle, shutdown) = (node.handle(), Shutdown::new());
        let running = tokio::spawn(node.run(shutdown.clone()));
        assert!(handle.wait_ready().await);
        Self {
            app: app(Arc::new(broker.clone()), Arc::new(backend)),
            broker,
            handle,
            shutdown,
            running,
        }
    }

    async fn end_of(&self, id: &str) -> ResultDocument {
        let result = self.app.result::<celeriac::Value>(id);
        result.ready(PATIENCE).await.unwrap()
    }

    async fn stop(self) {
        self.shutdown.drain();
        self.running.await.unwrap().unwrap();
    }

    async fn dead(&self) -> u64 {
        let dead = self.broker.queue("celery.dead").await.unwrap();
        dead.map_or(0, |status| status.ready)
    }
}

fn exception(document: &ResultDocument) -> Exception {
    assert_eq!(document.status, State::Failure);
    Exception::from_value(&document.result).unwrap()
}

fn all_messages_pass(_: &Publication) -> bool {
    false
}

fn all_results_pass(_: &ResultDocument) -> Option<Error> {
    None
}

/// A step that no serializer here writes.
fn unsendable() -> Signature {
    Signature::new("add")
        .arg(1)
        .with_option("serializer", "pickle")
}

// S1, S15.
#[tokio::test]
async fn a_task_that_cannot_be_parked_waits_here() {
    let delayed = |publication: &Publication| publication.not_before.is_some();
    let rig = Rig::start(delayed, all_results_pass).await;
    let eta = celeriac::clock::now() + Duration::from_millis(2_500);
    // From a client whose broker does not delay.
    let headers = TaskHeaders {
        task: "add".to_owned(),
        id: "late".to_owned(),
        eta: Some(eta.into()),
        ..TaskHeaders::default()
    };
    let args = [1.into(), 2.into()];
    let body = Body::encode(Codec::Json, &args, &Table::new(), &Embed::default()).unwrap();
    let message = TaskMessage::encode(headers, Properties::default(), body, None);
    let publication = Publication::to_queue("celery", message.unwrap());
    rig.broker.publish(publication).await.unwrap();
    assert_eq!(rig.end_of("late").await.result, 3.into());
    assert!(celeriac::clock::now() >= eta);
    rig.stop().await;
}

// S4.
#[tokio::test]
async fn a_chord_whose_last_answer_is_lost_has_its_body() {
    let rig = Rig::start(all_messages_pass, all_results_pass).await;
    let header = [1, 2].map(|number| Signature::new("add").arg(number).arg(1));
    let sum = chord(header, Signature::new("total"));
    let sum = rig.app.send::<i64>(sum, None).await.unwrap();
    assert_eq!(sum.get(PATIENCE).await.unwrap(), 5);
    rig.stop().await;
}

// S10, S17.
#[tokio::test]
async fn a_next_try_that_nobody_takes_is_a_failure_and_a_dead_letter() {
    let retried = |publication: &Publication| {
        let count = publication.message.headers.get("retries");
        count.is_some_and(|count| *count != 0.into()) && publication.exchange.is_empty()
    };
    let rig = Rig::start(retried, all_results_pass).await;
    let result = retries.call(2).send(&rig.app).await.unwrap();
    let document = result.ready(PATIENCE).await.unwrap();
    assert_eq!(exception(&document).exc_type, "OperationalError");
    eventually("it is kept", || async { rig.dead().await == 1 }).await;
    // The node is not held up by it.
    let sum = add.call(1, 1).send(&rig.app).await.unwrap();
    assert_eq!(sum.get(PATIENCE).await.unwrap(), 2);
    rig.stop().await;
}

// S4, S19.
#[tokio::test]
async fn a_step_that_cannot_be_sent_fails_with_all_that_waits_for_it() {
    let rig = Rig::start(all_messages_pass, all_results_pass).await;
    let first = || Signature::new("add").arg(1).arg(2);
    let steps = [first(), unsendable(), Signature::new("add").arg(5)];
    let result = rig.app.send::<i64>(chain(steps), None).await.unwrap();
    let document = result.ready(PATIENCE).await.unwrap();
    assert_eq!(exception(&document).exc_type, "OperationalError");

    // A member of a chord whose second step cannot be sent, and a body that cannot.
    let header = [first(), chain([first(), unsendable()])];
    let result = chord(header, Signature::new("total"));
    let result = rig.app.send::<i64>(result, None).await.unwrap();
    let document = result.ready(PATIENCE).await.unwrap();
    assert_eq!(exception(&document).exc_type, "ChordError");
    let body = Signature::new("total").with_option("serializer", "pickle");
    let result = chord([first(), first()], body);
    let result = rig.app.send::<i64>(result, None).await.unwrap();
    let document = result.ready(PATIENCE).await.unwrap();
    assert_eq!(exception(&document).exc_type, "OperationalError");
    rig.stop().await;
}

// S19.
#[tokio::test]
async fn who_waits_for_an_errback_is_told_of_a_step_that_cannot_be_sent() {
    let rig = Rig::start(all_messages_pass, all_results_pass).await;
    let door = gate("unsendable");
    let told = Signature::new("wait").arg("unsendable").immutable();
    let errbacks = vec![celeriac::Value::from(told)];
    let step = unsendable().with_option("link_error", errbacks);
    let steps = chain([Signature::new("add").arg(1).arg(2), step]);
    rig.app.send::<i64>(steps, None).await.unwrap();
    door.started(1).await;
    door.open.add_permits(1);
    rig.stop().await;
}

// S1, S4.
#[tokio::test]
async fn a_result_that_is_refused_for_a_while_is_kept() {
    let left = AtomicU32::new(3);
    let rig = Rig::start(all_messages_pass, move |document| {
        let take = |left: u32| left.checked_sub(1);
        let again = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        (document.status == State::Success && again.is_ok()).then(refusal)
    })
    .await;
    let sum = add.call(1, 1).send(&rig.app).await.unwrap();
    assert_eq!(sum.get(PATIENCE).await.unwrap(), 2);
    assert_eq!(rig.handle.snapshot().counters["results_refused"], 0);
    rig.stop().await;
}

// S19.
#[tokio::test]
async fn a_result_that_cannot_be_written_fails_all_that_waits_for_it() {
    let rig = Rig::start(all_messages_pass, |document| {
        let written = document.status != State::Success;
        let error = || EncodeError::new("result", "not writable");
        (!written).then(|| Error::Encode(error()))
    })
    .await;
    let steps = [
        Signature::new("add").arg(1).arg(2),
        Signature::new("add").arg(3),
    ];
    let result = rig.app.send::<i64>(chain(steps), None).await.unwrap();
    let document = result.ready(PATIENCE).await.unwrap();
    assert_eq!(exception(&document).exc_type, "EncodeError");
    rig.stop().await;
}

// S11.
#[tokio::test]
async fn a_dead_letter_queue_that_was_deleted_is_made_anew() {
    let rig = Rig::start(all_messages_pass, all_results_pass).await;
    assert!(rig.broker.delete_queue("celery.dead").await.unwrap());
    let unknown = rig.app.call::<i64>("nobody.knows").send(&rig.app).await;
    let document = unknown.unwrap().ready(PATIENCE).await.unwrap();
    assert_eq!(exception(&document).exc_type, "NotRegistered");
    eventually("it is kept", || async { rig.dead().await == 1 }).await;
    rig.stop().await;
}
