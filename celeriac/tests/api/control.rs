//! Remote control over the memory broker, with nodes played by hand.

use std::sync::Arc;
use std::time::Duration;

use celeriac::App;
use celeriac::broker::{
    Binding, Broker, Consumer, Exchange, ExchangeKind, MemoryBroker, Publication, Queue,
    Subscription, Topology,
};
use celeriac::protocol::control::{self, Reply, Request};
use celeriac::protocol::{Table, Value, naming};

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
    let control = app.control();
    let ask = control.ask("ping", Table::new(), None, WITHIN);
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
    let control = app.control();
    let ask = control.ask("ping", Table::new(), Some(vec!["a@x".into()]), hour);
    let (replies, request) = tokio::join!(ask, node.answer());
    assert_eq!(replies.unwrap().len(), 1);
    assert!(request.addresses("a@x") && !request.addresses("b@x"));
    assert!(began.elapsed() < hour);
}

#[tokio::test(start_paused = true)]
async fn no_reply_and_foreign_replies_are_no_error() {
    let broker = MemoryBroker::new();
    let app = app(&broker);
    let control = app.control();
    assert!(
        control
            .ask("ping", Table::new(), None, WITHIN)
            .await
            .unwrap()
            .is_empty()
    );

    let mut node = Node::new("a@x", &broker).await;
    let ask = control.ask("ping", Table::new(), None, WITHIN);
    let stale = async {
        let request = node.heard().await;
        node.reply(&request, Some("an older ticket".into())).await;
    };
    let (replies, ()) = tokio::join!(ask, stale);
    assert!(replies.unwrap().is_empty());
}

#[tokio::test]
async fn revoking_names_every_task() {
    let broker = MemoryBroker::new();
    let app = app(&broker);
    let mut node = Node::new("a@x", &broker).await;
    app.control()
        .revoke(&["t1".into(), "t2".into()], true)
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
}
