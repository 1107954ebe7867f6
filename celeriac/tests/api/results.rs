//! Sending over the memory broker, and waiting for results that a test stores by hand.

use std::sync::Arc;
use std::time::Duration;

use celeriac::backend::{MemoryBackend, Store};
use celeriac::broker::{
    Binding, Broker, Exchange, ExchangeKind, MemoryBroker, Queue, Subscription, Topology,
};
use celeriac::canvas::{chain, chord, group};
use celeriac::protocol::task::Limits;
use celeriac::protocol::{Exception, ResultDocument, TaskMessage};
use celeriac::task::Request;
use celeriac::{App, AsyncResult, Call, Context, Error, State, Value, task};

const SOON: Duration = Duration::from_secs(5);

#[task(name = "demo.add")]
async fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task(name = "demo.sum")]
async fn sum(numbers: Vec<i64>) -> i64 {
    numbers.iter().sum()
}

fn app() -> (App, MemoryBroker) {
    let broker = MemoryBroker::new();
    let app = App::builder("test")
        .broker_value(Arc::new(broker.clone()))
        .backend_value(Arc::new(MemoryBackend::new()))
        .task(add)
        .build()
        .unwrap();
    (app, broker)
}

async fn store(app: &App, document: ResultDocument) {
    let store = Store {
        document,
        reply_to: None,
        correlation_id: None,
    };
    app.backend().store(vec![store]).await.remove(0).unwrap();
}

async fn succeed(app: &App, id: &str, value: impl Into<Value>) {
    store(app, ResultDocument::new(id, State::Success, value)).await;
}

async fn fail(app: &App, id: &str, message: &str) {
    let exception = Exception::python("ValueError", message).to_value();
    store(app, ResultDocument::new(id, State::Failure, exception)).await;
}

async fn taken(broker: &MemoryBroker, queue: &str, count: usize) -> Vec<TaskMessage> {
    let mut consumer = broker
        .consume(Subscription::unacknowledged(queue))
        .await
        .unwrap();
    let mut messages = Vec::new();
    while messages.len() < count {
        for delivery in consumer.next(count).await.unwrap() {
            let message = Arc::unwrap_or_clone(delivery.message);
            messages.push(TaskMessage::decode(message, &Limits::default()).unwrap());
        }
    }
    messages
}

#[tokio::test]
async fn a_call_is_in_its_queue_when_send_returns() {
    let (app, broker) = app();
    let result = add.call(2, 3).send(&app).await.unwrap();
    let other = app
        .call::<()>("far.away")
        .kwarg("n", 1)
        .queue("other")
        .send(&app)
        .await
        .unwrap();
    assert_eq!(broker.queue("celery").await.unwrap().unwrap().ready, 1);
    let message = taken(&broker, "celery", 1).await.remove(0);
    assert_eq!(
        (message.headers.task.as_str(), message.headers.id.as_str()),
        ("demo.add", result.id())
    );
    assert_eq!(message.properties.reply_to.as_deref(), Some(app.oid()));
    assert_eq!(message.headers.ignore_result, Some(false));
    let message = taken(&broker, "other", 1).await.remove(0);
    assert_eq!(
        (message.headers.id.as_str(), message.headers.ignore_result),
        (other.id(), None)
    );
}

#[tokio::test]
async fn a_call_that_no_queue_takes_is_refused() {
    let (app, broker) = app();
    let exchange = Exchange::new("shapes", ExchangeKind::Direct);
    let topology = Topology {
        exchanges: vec![exchange],
        queues: vec![Queue::new("round")],
        bindings: vec![Binding::new("shapes", "round", "circle")],
    };
    broker.declare(&topology).await.unwrap();
    let call = |key: &str| add.call(2, 3).exchange("shapes", key);
    let error = call("square").send(&app).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    call("circle").send(&app).await.unwrap();
    assert_eq!(broker.queue("round").await.unwrap().unwrap().ready, 1);
}

#[tokio::test]
async fn a_queue_that_was_deleted_is_declared_again() {
    let (app, broker) = app();
    add.call(1, 1).send(&app).await.unwrap();
    assert!(broker.delete_queue("celery").await.unwrap());
    add.call(2, 2).send(&app).await.unwrap();
    assert_eq!(broker.queue("celery").await.unwrap().unwrap().ready, 1);

    // Of several, each is in its queue once.
    assert!(broker.delete_queue("celery").await.unwrap());
    let other = add.call(3, 3).queue("other");
    let calls = [add.call(1, 1), other, add.call(2, 2)];
    let call: Call<Vec<i64>> = group(calls).into();
    call.send(&app).await.unwrap();
    assert_eq!(broker.queue("celery").await.unwrap().unwrap().ready, 2);
    assert_eq!(broker.queue("other").await.unwrap().unwrap().ready, 1);
}

#[tokio::test]
async fn what_a_task_sends_is_its_child() {
    let (app, broker) = app();
    let mut request = Request::default();
    request.headers.id = "parent".into();
    request.headers.root_id = Some("root".into());
    let context = Context::new(app, request);
    let child = add.call(1, 1).send(&context).await.unwrap();
    let message = taken(&broker, "celery", 1).await.remove(0);
    assert_eq!(message.headers.root_id.as_deref(), Some("root"));
    assert_eq!(message.headers.parent_id.as_deref(), Some("parent"));
    let tuple = vec![
        Value::from(vec![Value::from(child.id()), Value::Null]),
        Value::Null,
    ];
    assert_eq!(context.children(), [Value::from(tuple)]);
}

#[tokio::test]
async fn a_value_arrives_whenever_it_is_stored() {
    let (app, _) = app();
    let result = add.call(2, 3).send(&app).await.unwrap();
    assert_eq!(result.state().await.unwrap(), State::Pending);
    let (value, ()) = tokio::join!(result.get(SOON), succeed(&app, result.id(), 5));
    assert_eq!(value.unwrap(), 5);
    assert_eq!(result.get(SOON).await.unwrap(), 5);
    assert_eq!(result.state().await.unwrap(), State::Success);
    // Another process that knows only the id.
    assert_eq!(app.result::<i64>(result.id()).get(SOON).await.unwrap(), 5);
    result.forget().await.unwrap();
    assert!(
        app.result::<i64>(result.id())
            .document()
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_has_an_end() {
    let (app, _) = app();
    let result = add.call(2, 3).send(&app).await.unwrap();
    let error = result.get(SOON).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("task {} took longer than 5000 ms", result.id())
    );
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_failure_carries_the_exception() {
    let (app, _) = app();
    let result = add.call(2, 3).send(&app).await.unwrap();
    fail(&app, result.id(), "boom").await;
    match result.get(SOON).await.unwrap_err() {
        Error::Failed { id, exception, .. } => {
            assert_eq!(id, result.id());
            assert_eq!(exception.exc_type, "ValueError");
        }
        other => panic!("expected a failure, found {other}"),
    }
}

#[tokio::test]
async fn a_revoked_task_is_told_apart() {
    let (app, _) = app();
    let result = add.call(2, 3).send(&app).await.unwrap();
    let now = celeriac::clock::now();
    store(&app, ResultDocument::revoked(result.id(), "expired", now)).await;
    let error = result.get(SOON).await.unwrap_err();
    assert!(
        matches!(&error, Error::Revoked { reason, .. } if reason == "expired"),
        "{error}"
    );
}

#[tokio::test]
async fn a_value_of_another_type_is_an_error() {
    let (app, _) = app();
    let result = add.call(2, 3).send(&app).await.unwrap();
    succeed(&app, result.id(), "five").await;
    assert!(matches!(
        result.get(SOON).await.unwrap_err(),
        Error::Decode(_)
    ));
}

#[tokio::test]
async fn states_on_the_way_are_seen() {
    let (app, _) = app();
    let mut result = add.call(2, 3).send(&app).await.unwrap();
    let mut request = Request::default();
    request.headers.id = result.id().to_owned();
    let context = Context::new(app.clone(), request);
    context.progress(1, 2).await.unwrap();
    let seen = result.changed(SOON).await.unwrap();
    assert_eq!(seen.status.as_str(), "PROGRESS");
    assert_eq!(
        seen.result
            .as_map()
            .unwrap()
            .get("total")
            .and_then(Value::as_i64),
        Some(2)
    );
    let refused = context.update_state("SUCCESS", &1).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid { .. }), "{refused}");
    succeed(&app, result.id(), 5).await;
    assert_eq!(result.get(SOON).await.unwrap(), 5);
}

#[tokio::test]
async fn a_group_is_the_list_of_its_values() {
    let (app, broker) = app();
    let call: Call<Vec<i64>> = group([add.call(1, 1), add.call(2, 2)]).into();
    let mut result: AsyncResult<Vec<i64>> = call.send(&app).await.unwrap();
    assert_eq!(taken(&broker, "celery", 2).await.len(), 2);
    let ids: Vec<_> = result
        .members()
        .iter()
        .map(|member| member.id().to_owned())
        .collect();
    succeed(&app, &ids[1], 4).await;
    assert_eq!(result.state().await.unwrap(), State::Pending);
    assert!(matches!(
        result.changed(SOON).await.unwrap_err(),
        Error::Unsupported { .. }
    ));
    succeed(&app, &ids[0], 2).await;
    assert_eq!(result.state().await.unwrap(), State::Success);
    assert_eq!(result.get(SOON).await.unwrap(), [2, 4]);
    assert_eq!(result.members()[1].get(SOON).await.unwrap(), Value::Int(4));
    assert_eq!(result.into_members().len(), 2);

    let empty: Call<Vec<i64>> = group(Vec::<Call<i64>>::new()).into();
    let nothing = empty.send(&app).await.unwrap();
    assert_eq!(nothing.get(SOON).await.unwrap(), Vec::<i64>::new());
}

#[tokio::test]
async fn a_group_fails_with_its_first_failure() {
    let (app, _) = app();
    let call: Call<Vec<i64>> = group([add.call(1, 1), add.call(2, 2)]).into();
    let result = call.send(&app).await.unwrap();
    let failed = result.members()[1].id().to_owned();
    fail(&app, &failed, "boom").await;
    assert_eq!(result.state().await.unwrap(), State::Failure);
    let error = result.get(SOON).await.unwrap_err();
    assert!(
        matches!(&error, Error::Failed { id, .. } if *id == failed),
        "{error}"
    );
}

#[tokio::test]
async fn a_chain_has_the_id_of_its_last_step() {
    let (app, broker) = app();
    let result = add
        .call(1, 2)
        .then(add.partial().arg(4))
        .send(&app)
        .await
        .unwrap();
    let message = taken(&broker, "celery", 1).await.remove(0);
    let body = message.body(&Limits::default()).unwrap();
    let next = body.parts().unwrap().embed.chain.unwrap().remove(0);
    assert_eq!(next.task_id(), Some(result.id()));
}

#[tokio::test]
async fn a_chord_that_nobody_can_count_is_not_sent() {
    for url in ["disabled://", "rpc://"] {
        let broker = MemoryBroker::new();
        let app = App::builder("test")
            .broker_value(Arc::new(broker.clone()))
            .backend(url)
            .build()
            .unwrap();
        for workflow in [
            chord([add.call(1, 1)], sum.partial()),
            chain([
                add.call(1, 1).signature(),
                group([add.partial().arg(1), add.partial().arg(2)]),
                sum.partial().signature(),
            ]),
        ] {
            let error = app.send::<i64>(workflow, None).await.unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        }
        let queue = broker.queue("celery").await.unwrap();
        assert!(queue.is_none_or(|queue| queue.ready == 0));
    }
}

#[tokio::test]
async fn without_a_backend_nothing_is_waited_for() {
    let app = App::builder("test").build().unwrap();
    let result = add.call(1, 1).send(&app).await.unwrap();
    let error = result.get(SOON).await.unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

#[test]
fn two_tasks_of_one_name_are_an_error() {
    let error = App::builder("test")
        .task(add)
        .task(add)
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "task name: expected a name of its own, found demo.add twice"
    );
}
