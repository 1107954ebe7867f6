//! The roles: each sends or runs so many no-op tasks and says what it took.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use celeriac::broker::Topology;
use celeriac::protocol::{Table, Value};
use celeriac::{App, Signature, task};
use celeriac_node::{Config, Node, Prefetch, Shutdown};
use futures_util::StreamExt as _;
use futures_util::stream;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use tokio::sync::Notify;

use super::Options;
use super::measure::{Sample, Watch, amqp_url};

/// Publications in flight at once, ours and the peer's alike.
const IN_FLIGHT: usize = 1_000;
/// Unacknowledged deliveries, ours and the peers' alike.
const PREFETCH: u16 = 1_000;

/// Does nothing.
#[task(name = "bench.noop", ignore_result)]
async fn noop() {}

pub(crate) fn play(role: &str, options: &Options) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let sample = runtime.block_on(async {
        let (tasks, queue) = (options.tasks, options.queue.as_str());
        match role {
            "memory-send" => memory(tasks, true, false).await,
            "memory-run" => memory(tasks, false, true).await,
            "memory-both" => memory(tasks, true, true).await,
            "amqp-send" => amqp_send(tasks, queue).await,
            "amqp-run" => amqp_run(tasks, queue, false).await,
            "amqp-run-events" => amqp_run(tasks, queue, true).await,
            "lapin-send" => lapin_send(tasks, queue).await,
            "lapin-consume" => lapin_consume(tasks, queue, 1).await,
            "lapin-consume-64" => lapin_consume(tasks, queue, 64).await,
            other => panic!("no role {other}"),
        }
    });
    println!("{}", serde_json::to_string(&sample).unwrap());
}

fn app(broker: &str, queue: &str, counter: &Counter) -> App {
    App::builder("bench")
        .broker(broker)
        .default_queue(queue)
        .handler(Arc::new(Counting::new(noop, counter.clone())))
        .build()
        .unwrap()
}

async fn memory(tasks: usize, time_send: bool, time_run: bool) -> Sample {
    let counter = Counter::default();
    let app = app("memory://", "bench", &counter);
    let shutdown = Shutdown::new();
    let node = Node::new(app.clone(), config("bench")).unwrap();
    if time_send && time_run {
        let node = tokio::spawn(node.run(shutdown.clone()));
        let watch = Watch::start();
        send(&app, tasks).await;
        counter.reached(tasks).await;
        let sample = watch.stop(tasks);
        shutdown.drain();
        node.await.unwrap().unwrap();
        return sample;
    }
    app.broker()
        .declare(&Topology::task_queue("bench"))
        .await
        .unwrap();
    let watch = Watch::start();
    send(&app, tasks).await;
    if !time_run {
        return watch.stop(tasks);
    }
    run(node, shutdown, &counter, tasks).await
}

async fn amqp_send(tasks: usize, queue: &str) -> Sample {
    let app = app(&amqp_url(), queue, &Counter::default());
    // The first call connects and declares; that is not what is measured.
    app.broker()
        .declare(&Topology::task_queue(queue))
        .await
        .unwrap();
    let watch = Watch::start();
    send(&app, tasks).await;
    let sample = watch.stop(tasks);
    app.close().await;
    sample
}

async fn amqp_run(tasks: usize, queue: &str, events: bool) -> Sample {
    let counter = Counter::default();
    let app = app(&amqp_url(), queue, &counter);
    let config = Config {
        events,
        ..config(queue)
    };
    let node = Node::new(app.clone(), config).unwrap();
    let sample = run(node, Shutdown::new(), &counter, tasks).await;
    let left = app.broker().queue(queue).await.unwrap().unwrap();
    assert_eq!(left.ready, 0, "every task was acknowledged");
    app.close().await;
    sample
}

/// Times a node from its first task to its last.
async fn run(node: Node, shutdown: Shutdown, counter: &Counter, tasks: usize) -> Sample {
    let node = tokio::spawn(node.run(shutdown.clone()));
    counter.reached(1).await;
    let watch = Watch::start();
    counter.reached(tasks).await;
    let sample = watch.stop(tasks);
    shutdown.drain();
    node.await.unwrap().unwrap();
    sample
}

fn config(queue: &str) -> Config {
    Config {
        name: format!("{queue}@bench"),
        queues: vec![queue.to_owned()],
        concurrency: 64,
        prefetch: Prefetch::Absolute(PREFETCH),
        dead_letters: celeriac_node::DeadLetters::None,
        ..Config::default()
    }
}

async fn send(app: &App, tasks: usize) {
    stream::iter(0..tasks)
        .map(|_| async { noop.call().send(app).await.unwrap() })
        .buffer_unordered(IN_FLIGHT)
        .for_each(|_| async {})
        .await;
}

/// The message of a no-op task, the same bytes that [`send`] sends.
fn message() -> (BasicProperties, Bytes) {
    let app = app("memory://", "bench", &Counter::default());
    let plan = app.plan(Signature::from(noop.call()), None).unwrap();
    let send = plan.sends.into_iter().next().unwrap();
    let publication = celeriac::producer::publication(
        send.signature,
        &send.embed,
        &celeriac::producer::Lineage::default(),
        app.defaults(),
        app.routing(),
        app.registry(),
        celeriac::clock::now(),
    )
    .unwrap();
    let message = publication.message;
    let headers = table(message.headers);
    let properties = message.properties;
    let properties = BasicProperties::default()
        .with_content_type(properties.content_type.unwrap().into())
        .with_content_encoding(properties.content_encoding.unwrap().into())
        .with_delivery_mode(properties.delivery_mode.unwrap())
        .with_correlation_id(properties.correlation_id.unwrap().into())
        .with_reply_to(properties.reply_to.unwrap().into())
        .with_headers(headers);
    (properties, message.body)
}

fn table(table: Table) -> FieldTable {
    let mut fields = FieldTable::default();
    for (name, value) in table {
        fields.insert(name.into(), field(value));
    }
    fields
}

fn field(value: Value) -> AMQPValue {
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(flag) => AMQPValue::Boolean(flag),
        Value::Int(number) => AMQPValue::LongInt(i32::try_from(number).unwrap()),
        Value::Str(text) => AMQPValue::LongString(text.into()),
        Value::Array(items) => AMQPValue::FieldArray(FieldArray::from(
            items.into_iter().map(field).collect::<Vec<_>>(),
        )),
        Value::Map(map) => AMQPValue::FieldTable(table(map)),
        other => panic!("a no-op task has no header of {}", other.kind()),
    }
}

async fn connect() -> Connection {
    Connection::connect(&amqp_url(), ConnectionProperties::default())
        .await
        .unwrap()
}

async fn lapin_send(tasks: usize, queue: &str) -> Sample {
    let broker = celeriac::broker::open(&amqp_url()).unwrap();
    broker.declare(&Topology::task_queue(queue)).await.unwrap();
    broker.close().await;
    let connection = connect().await;
    let channel = connection.create_channel().await.unwrap();
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .unwrap();
    let (properties, body) = message();
    let watch = Watch::start();
    stream::iter(0..tasks)
        .map(|_| {
            let (channel, properties, body) = (&channel, properties.clone(), &body);
            async move {
                let options = BasicPublishOptions {
                    mandatory: true,
                    ..Default::default()
                };
                let confirm = channel
                    .basic_publish("".into(), queue.into(), options, body, properties)
                    .await
                    .unwrap();
                assert!(confirm.await.unwrap().is_ack());
            }
        })
        .buffer_unordered(IN_FLIGHT)
        .for_each(|()| async {})
        .await;
    let sample = watch.stop(tasks);
    connection.close(200, "".into()).await.unwrap();
    sample
}

/// Consumes and acknowledges every `at_once` deliveries, and the last.
async fn lapin_consume(tasks: usize, queue: &str, at_once: usize) -> Sample {
    let connection = connect().await;
    let channel = connection.create_channel().await.unwrap();
    channel
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await
        .unwrap();
    let mut consumer = channel
        .basic_consume(
            queue.into(),
            "bench".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let mut watch = None;
    for number in 1..=tasks {
        let delivery = consumer.next().await.unwrap().unwrap();
        watch.get_or_insert_with(Watch::start);
        if number % at_once == 0 || number == tasks {
            let multiple = at_once > 1;
            delivery.ack(BasicAckOptions { multiple }).await.unwrap();
        }
    }
    let sample = watch.unwrap().stop(tasks);
    connection.close(200, "".into()).await.unwrap();
    sample
}

/// Counts runs and wakes who waits for a number of them.
#[derive(Clone, Default)]
struct Counter(Arc<(AtomicUsize, AtomicUsize, Notify)>);

impl Counter {
    fn count(&self) {
        let (done, goal, notify) = &*self.0;
        if done.fetch_add(1, Ordering::AcqRel) + 1 == goal.load(Ordering::Acquire) {
            notify.notify_one();
        }
    }

    async fn reached(&self, number: usize) {
        let (done, goal, notify) = &*self.0;
        goal.store(number, Ordering::Release);
        while done.load(Ordering::Acquire) < number {
            // The goal may be passed between the look and the wait.
            let _ = tokio::time::timeout(Duration::from_millis(20), notify.notified()).await;
        }
    }
}

/// A task that counts its runs.
struct Counting<T> {
    task: T,
    options: celeriac::task::TaskOptions,
    counter: Counter,
}

impl<T: celeriac::Task> Counting<T> {
    fn new(task: T, counter: Counter) -> Self {
        Self {
            options: task.options(),
            task,
            counter,
        }
    }
}

impl<T: celeriac::Task> celeriac::task::Handler for Counting<T> {
    fn name(&self) -> &str {
        self.task.name()
    }

    fn options(&self) -> &celeriac::task::TaskOptions {
        &self.options
    }

    fn parameters(&self) -> &[celeriac::task::Parameter] {
        self.task.parameters()
    }

    fn start(
        &self,
        context: celeriac::Context,
        parts: celeriac::protocol::Parts<'_>,
    ) -> Result<celeriac::task::Execution, celeriac::protocol::DecodeError> {
        let arguments = celeriac::task::Arguments::new(
            self.task.name(),
            self.task.parameters(),
            parts.args,
            parts.kwargs,
        )?;
        let execution = self.task.start(context, arguments)?;
        let counter = self.counter.clone();
        Ok(match execution {
            celeriac::task::Execution::Async(run) => {
                celeriac::task::Execution::Async(Box::pin(async move {
                    let result = run.await;
                    counter.count();
                    result
                }))
            }
            blocking => blocking,
        })
    }
}
