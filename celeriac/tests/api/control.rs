//! Remote control over the memory broker, with nodes played by hand.

use std::sync::Arc;
use std::time::Duration;

use celeriac::broker::{
    Binding, BoxFuture, Broker, Capabilities, Consumer, Exchange, ExchangeKind, Link, MemoryBroker,
    Publication, Queue, QueueStatus, Subscription, Topology,
};
use celeriac::control::{Command, Matcher, Signal};
use celeriac::protocol::control::{self, Reply, Request};
use celeriac::protocol::{Value, naming};
use celeriac::{App, Error, Result};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(5);

fn app(broker: &MemoryBroker) -> App {
    App::builder("test")
        .broker_value(Arc::new(broker.clone()))
        .build()
        .unwrap()
}

/// A node that hears requests.
struct Node {
    name: &'static str,
    broker: MemoryBroker,
    requests: Box<dyn Consumer>,
}

impl Node {
    async fn new(name: &'static str, broker: &MemoryBroker) -> Self {
        let queue = naming::control_queue(name);
        let exchange = Exchange::new(naming::CONTROL_EXCHANGE, ExchangeKind::Fanout).transient();
        let topology = Topology {
            exchanges: vec![exchange],
            queues: vec![Queue::private(&queue)],
            bindings: vec![Binding::new(naming::CONTROL_EXCHANGE, &queue, "")],
        };
        broker.declare(&topology).await.unwrap();
        let requests = broker
            .consume(Subscription::unacknowledged(&queue))
            .await
            .unwrap();
        Self {
            name,
            broker: broker.clone(),
            requests,
        }
    }

    async fn heard(&mut self) -> Request {
        let delivery = self.requests.next(1).await.unwrap().remove(0);
        Request::from_message(&delivery.message).unwrap()
    }

    async fn reply(&self, request: &Request, ticket: Option<String>) {
        let to = request.reply_to.clone().unwrap();
        let payload = control::ok("pong");
        let reply = Reply {
            node: self.name.into(),
            payload,
            ticket,
            clock: 40,
        };
        let publication = Publication::to_exchange(to.exchange, to.routing_key, reply.to_message());
        self.broker.publish(publication).await.unwrap();
    }

    async fn answer(&mut self) -> Request {
        let request = self.heard().await;
        self.reply(&request, request.ticket.clone()).await;
        request
    }
}

#[tokio::test(start_paused = true)]
async fn replies_come_from_every_node_until_time_is_up() {
    let broker = MemoryBroker::new();
    let app = app(&broker);
    let (mut one, mut two) = (
        Node::new("a@x", &broker).await,
        Node::new("b@x", &broker).await,
    );
    let control = app.control().within(WITHIN);
    let ask = control.ask(Command::ping());
    let (replies, first, _) = tokio::join!(ask, one.answer(), two.answer());
    let replies = replies.unwrap();
    assert_eq!(replies.keys().collect::<Vec<_>>(), ["a@x", "b@x"]);
    assert_eq!(replies["a@x"], control::ok("pong"));
    assert_eq!(first.method, "ping");
    assert!(
        first.expires.is_some(),
        "a node that was away must not answer later"
    );
    assert!(
        app.clock().value() > 40,
        "the clock moves past what was seen"
    );
}

#[tokio::test]
async fn asking_one_node_does_not_wait_for_others() {
    let broker = MemoryBroker::new();
    let app = app(&broker);
    let mut node = Node::new("a@x", &broker).await;
    let began = tokio::time::Instant::now();
    let hour = Duration::from_secs(3600);
    let control = app.control().to(["a@x"]).within(hour);
    let ask = control.ask(Command::ping());
    let (replies, request) = tokio::join!(ask, node.answer());
    assert_eq!(replies.unwrap().len(), 1);
    assert!(request.addresses("a@x") && !request.addresses("b@x"));
    assert!(began.elapsed() < hour);
}

#[tokio::test(start_paused = true)]
async fn no_reply_and_foreign_replies_are_no_error() {
    let broker = MemoryBroker::new();
    let app = app(&broker);
    let control = app.control().within(WITHIN);
    assert!(control.ask(Command::ping()).await.unwrap().is_empty());

    let mut node = Node::new("a@x", &broker).await;
    let ask = control.ask(Command::ping());
    let stale = async {
        let request = node.heard().await;
        node.reply(&request, Some("an older ticket".into())).await;
    };
    let (replies, ()) = tokio::join!(ask, stale);
    assert!(replies.unwrap().is_empty());
}

/// A broker that notes which queues were deleted, and says that it could not.
#[derive(Debug)]
struct Noting(MemoryBroker, mpsc::UnboundedSender<String>);

impl Broker for Noting {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn url(&self) -> String {
        self.0.url()
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        self.0.declare(topology)
    }

    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<()>> {
        self.0.publish(publication)
    }

    fn consume(&self, subscription: Subscription) -> BoxFuture<'_, Result<Box<dyn Consumer>>> {
        self.0.consume(subscription)
    }

    fn queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<QueueStatus>>> {
        self.0.queue(name)
    }

    fn purge<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64>> {
        self.0.purge(name)
    }

    fn delete_queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            self.1.send(name.to_owned()).unwrap();
            Err(Error::unavailable("broker", "the connection is lost"))
        })
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.0.link()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.close()
    }
}

fn noting(broker: &MemoryBroker) -> (App, mpsc::UnboundedReceiver<String>) {
    let (deleted, queues) = mpsc::unbounded_channel();
    let app = App::builder("test")
        .broker_value(Arc::new(Noting(broker.clone(), deleted)))
        .build()
        .unwrap();
    (app, queues)
}

fn reply_queue(request: &Request) -> String {
    naming::reply_queue(&request.reply_to.as_ref().unwrap().routing_key)
}

#[tokio::test]
async fn replies_count_though_their_queue_cannot_be_deleted() {
    let broker = MemoryBroker::new();
    let (app, mut deleted) = noting(&broker);
    let mut node = Node::new("a@x", &broker).await;
    let control = app.control().to(["a@x"]).within(WITHIN);
    let ask = control.ask(Command::ping());
    let (replies, request) = tokio::join!(ask, node.answer());
    assert_eq!(replies.unwrap().len(), 1);
    assert_eq!(deleted.recv().await, Some(reply_queue(&request)));
    assert!(deleted.try_recv().is_err(), "deleted once");
}

#[tokio::test]
async fn a_dropped_call_leaves_no_queue_to_remember() {
    let broker = MemoryBroker::new();
    let (app, mut deleted) = noting(&broker);
    let mut node = Node::new("a@x", &broker).await;
    let control = app.control().within(WITHIN);
    let request = tokio::select! {
        _ = control.ask(Command::ping()) => panic!("nobody replied"),
        request = node.heard() => request,
    };
    let gone = timeout(WITHIN, deleted.recv()).await.unwrap();
    assert_eq!(gone, Some(reply_queue(&request)));
}

#[tokio::test]
async fn revoking_names_every_task() {
    let broker = MemoryBroker::new();
    let app = app(&broker);
    let mut node = Node::new("a@x", &broker).await;
    app.control()
        .cast(Command::revoke(["t1", "t2"]).terminate(Signal::KILL))
        .await
        .unwrap();
    let request = node.heard().await;
    assert_eq!(
        (request.method.as_str(), request.reply_to),
        ("revoke", None)
    );
    let ids = Value::Array(vec!["t1".into(), "t2".into()]);
    assert_eq!(request.arguments.get("task_id"), Some(&ids));
    assert_eq!(request.arguments.get("terminate"), Some(&true.into()));
    assert_eq!(request.arguments.get("signal"), Some(&"SIGKILL".into()));
}

#[tokio::test]
async fn a_limit_ends_the_wait_and_a_pattern_travels() {
    let broker = MemoryBroker::new();
    let app = app(&broker);
    let (mut one, mut two) = (
        Node::new("a@x", &broker).await,
        Node::new("b@x", &broker).await,
    );
    let control = app.control().matching(Matcher::Glob, "?@x");
    let control = control.within(Duration::from_secs(3600)).limit(1);
    let ask = control.ask(Command::ping());
    let (replies, request) = tokio::join!(ask, one.answer());
    assert_eq!(replies.unwrap().len(), 1);
    assert_eq!(
        (request.pattern.as_deref(), request.matcher),
        (Some("?@x"), Some(Matcher::Glob))
    );
    assert!(two.heard().await.addresses("b@x") && !request.addresses("c@y"));
}
