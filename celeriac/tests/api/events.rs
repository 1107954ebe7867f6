//! Events that apps and tasks send themselves.

use std::sync::Arc;

use celeriac::broker::{
    Binding, Broker, Consumer, Exchange, ExchangeKind, MemoryBroker, Queue, Subscription, Topology,
};
use celeriac::protocol::event::{Event, EventKind};
use celeriac::protocol::{TaskHeaders, Value, naming};
use celeriac::task::Request;
use celeriac::{App, Context};

/// Listens to every event.
async fn ears(broker: &MemoryBroker) -> Box<dyn Consumer> {
    let topology = Topology {
        exchanges: vec![Exchange::new(naming::EVENT_EXCHANGE, ExchangeKind::Topic)],
        queues: vec![Queue::private("ears")],
        bindings: vec![Binding::new(naming::EVENT_EXCHANGE, "ears", "#")],
    };
    broker.declare(&topology).await.unwrap();
    let subscription = Subscription::unacknowledged("ears");
    broker.consume(subscription).await.unwrap()
}

async fn heard(ears: &mut Box<dyn Consumer>) -> (String, Event) {
    let delivery = ears.next(1).await.unwrap().remove(0);
    let mut events = Event::decode_batch(&delivery.message.body).unwrap();
    (delivery.routing_key, events.remove(0))
}

#[tokio::test]
async fn what_is_sent_is_told_when_that_is_wanted() {
    let broker = MemoryBroker::new();
    let mut ears = ears(&broker).await;
    for told in [false, true] {
        let app = App::builder("test")
            .broker_value(Arc::new(broker.clone()))
            .sent_events(told)
            .build()
            .unwrap();
        let call = app
            .call::<i64>("demo.add")
            .arg(2)
            .arg(3)
            .id(format!("told-{told}"));
        call.send(&app).await.unwrap();
    }
    let (key, event) = heard(&mut ears).await;
    assert_eq!(key, "task.sent");
    assert!(event.hostname.starts_with("gen"), "{}", event.hostname);
    let EventKind::TaskSent(sent) = event.kind else {
        panic!("{event:?}");
    };
    assert_eq!(
        (sent.uuid.as_str(), sent.name.as_str()),
        ("told-true", "demo.add")
    );
    assert_eq!(sent.root_id.as_deref(), Some("told-true"));
    assert_eq!(sent.args.as_deref(), Some("(2, 3)"));
    assert_eq!(
        [sent.queue, sent.exchange, sent.routing_key].map(Option::unwrap),
        ["celery", "", "celery"]
    );
}

#[tokio::test]
async fn a_task_sends_events_of_its_own() {
    let broker = MemoryBroker::new();
    let mut ears = ears(&broker).await;
    let app = App::builder("test").broker_value(Arc::new(broker.clone()));
    let request = Request {
        headers: TaskHeaders {
            id: "t".to_owned(),
            ..TaskHeaders::default()
        },
        hostname: "w1@vm".to_owned(),
        ..Request::default()
    };
    let context = Context::new(app.build().unwrap(), request);
    let fields = [("percent".to_owned(), Value::Int(50))]
        .into_iter()
        .collect();
    context.send_event("task-progress", fields).await.unwrap();
    let (key, event) = heard(&mut ears).await;
    assert_eq!(
        (key.as_str(), event.hostname.as_str()),
        ("task.progress", "w1@vm")
    );
    let EventKind::Other { kind, fields } = event.kind else {
        panic!("{event:?}");
    };
    assert_eq!(kind, "task-progress");
    assert_eq!(fields.get("uuid"), Some(&"t".into()));
    assert_eq!(fields.get("percent"), Some(&Value::Int(50)));
}
