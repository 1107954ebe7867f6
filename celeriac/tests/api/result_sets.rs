//! Waiting for many results, and following what tasks set going.

use std::sync::Arc;
use std::time::Duration;

use celeriac::backend::{MemoryBackend, Store};
use celeriac::broker::MemoryBroker;
use celeriac::canvas::{chain, chord, group};
use celeriac::protocol::{Exception, ResultDocument, ResultTuple};
use celeriac::{
    App, AsyncResult, Call, Error, GroupResult, ResultSet, Signature, State, Value, task,
};

const SOON: Duration = Duration::from_secs(5);

#[task(name = "demo.add")]
async fn add(x: i64, y: i64) -> i64 {
    x + y
}

fn app() -> App {
    App::builder("test")
        .broker_value(Arc::new(MemoryBroker::new()))
        .backend_value(Arc::new(MemoryBackend::new()))
        .task(add)
        .build()
        .unwrap()
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

async fn fail(app: &App, id: &str) {
    let exception = Exception::python("ValueError", "boom").to_value();
    store(app, ResultDocument::new(id, State::Failure, exception)).await;
}

async fn three(app: &App) -> ResultSet<i64> {
    let mut set = ResultSet::new(app);
    for x in 0..3 {
        let id = format!("t{x}");
        set.add(add.call(x, x).id(id).send(app).await.unwrap());
    }
    set
}

#[tokio::test]
async fn results_come_in_the_order_of_their_completion() {
    let app = app();
    let set = three(&app).await;
    let mut completed = set.completed();
    let mut order = Vec::new();
    for id in ["t2", "t0", "t1"] {
        match id {
            "t0" => fail(&app, id).await,
            id => succeed(&app, id, 7).await,
        }
        let (result, value) = completed.next(SOON).await.unwrap().unwrap();
        order.push((result.id().to_owned(), value.ok()));
    }
    let order: Vec<_> = order
        .iter()
        .map(|(id, value)| (id.as_str(), *value))
        .collect();
    assert_eq!(order, [("t2", Some(7)), ("t0", None), ("t1", Some(7))]);
    assert_eq!(completed.remaining(), 0);
    assert!(completed.next(SOON).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_too_short_loses_nothing() {
    let app = app();
    let set = three(&app).await;
    let mut completed = set.completed();
    let error = completed.next(SOON).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    for id in ["t0", "t1", "t2"] {
        succeed(&app, id, 1).await;
    }
    let mut count = 0;
    while completed.next(SOON).await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 3);
}

#[tokio::test]
async fn a_set_is_counted_and_joined() {
    let app = app();
    let mut set = three(&app).await;
    set.add(app.result("t0"));
    assert_eq!(set.len(), 3);
    succeed(&app, "t0", 0).await;
    fail(&app, "t1").await;
    let counts = set.counts().await.unwrap();
    assert_eq!(
        (counts.successful, counts.failed, counts.waiting),
        (1, 1, 1)
    );
    assert_eq!((counts.completed(), counts.is_ready()), (2, false));
    let error = set.get(SOON).await.unwrap_err();
    assert!(
        matches!(&error, Error::Failed { id, .. } if id == "t1"),
        "{error}"
    );

    succeed(&app, "t2", 4).await;
    let states = set.ready(SOON).await.unwrap();
    let states: Vec<_> = states.into_iter().map(|document| document.status).collect();
    assert_eq!(states, [State::Success, State::Failure, State::Success]);
    assert!(set.counts().await.unwrap().is_ready());
    assert_eq!(set.remove("t1").unwrap().id(), "t1");
    assert_eq!(set.get(SOON).await.unwrap(), [0, 4]);
    set.forget().await.unwrap();
    let gone: AsyncResult<i64> = app.result("t0");
    assert!(gone.document().await.unwrap().is_none());
    set.revoke(true).await.unwrap();
}

#[tokio::test]
async fn a_group_is_restored_by_another_process() {
    let app = app();
    let calls = [add.call(1, 1).id("a"), add.call(2, 2).id("b")];
    let call: Call<Vec<i64>> = chain([add.call(0, 0).id("first").into(), group(calls)]).into();
    let group = call.send(&app).await.unwrap().into_group().unwrap();
    assert_eq!(group.parent().unwrap().id(), "first");
    group.save().await.unwrap();

    let restored = GroupResult::<i64>::restore(&app, group.id()).await.unwrap();
    let restored = restored.unwrap();
    assert_eq!(restored.tuple(), group.tuple());
    succeed(&app, "a", 2).await;
    succeed(&app, "b", 4).await;
    assert_eq!(restored.get(SOON).await.unwrap(), [2, 4]);
    restored.delete().await.unwrap();
    let gone = GroupResult::<i64>::restore(&app, group.id()).await.unwrap();
    assert!(gone.is_none());

    // One task that makes a list is no group.
    let list: AsyncResult<Vec<i64>> = app.result("list");
    assert!(list.into_group().is_none());
}

#[tokio::test]
async fn a_group_in_a_group_is_a_list_in_a_list() {
    let app = app();
    let inner = chain([add.call(0, 0).signature(), pair("b", "c")]);
    let call: Call<(i64, Vec<i64>)> = group([add.call(1, 1).id("a").signature(), inner]).into();
    let result = call.send(&app).await.unwrap();
    for (id, value) in [("a", 1), ("b", 2), ("c", 3)] {
        succeed(&app, id, value).await;
    }
    assert_eq!(result.get(SOON).await.unwrap(), (1, vec![2, 3]));
}

fn pair(first: &str, second: &str) -> Signature {
    group([
        add.partial().arg(1).id(first),
        add.partial().arg(2).id(second),
    ])
}

#[tokio::test]
async fn the_steps_before_are_known() {
    let app = app();
    let steps = [add.call(1, 1).id("one"), add.partial().arg(2).id("two")];
    let result: AsyncResult<i64> = app.send(chain(steps), None).await.unwrap();
    assert_eq!((result.id(), result.parent().unwrap().id()), ("two", "one"));
    assert!(result.parent().unwrap().parent().is_none());

    let body = add.partial().id("body");
    let chord = chord([add.call(1, 1).id("member")], body);
    let result: AsyncResult<i64> = app.send(chord, None).await.unwrap();
    let header = result.parent().unwrap();
    assert_eq!(header.members()[0].id(), "member");

    // What a task returns that returns a result leads to the result.
    let text = celeriac::protocol::Codec::Json
        .to_vec(&Value::from_serialize(&result).unwrap())
        .unwrap();
    let read: ResultTuple = celeriac::protocol::Codec::Json
        .to_value(&text, "result")
        .unwrap()
        .to()
        .unwrap();
    succeed(&app, "body", 5).await;
    let again: AsyncResult<i64> = app.result_of(read);
    assert_eq!(again.get(SOON).await.unwrap(), 5);
    assert_eq!(again.parent().unwrap().tuple(), header.tuple());
}

#[tokio::test]
async fn what_a_task_set_going_is_collected() {
    let app = app();
    let with = |id: &str, children: Vec<ResultTuple>| ResultDocument {
        children: Some(children.into_iter().map(Value::from).collect()),
        ..ResultDocument::new(id, State::Success, id)
    };
    let inner = ResultTuple::group("g", ["x", "y"].map(ResultTuple::new));
    // A task that was retried names itself.
    let own = ResultTuple::new("root");
    store(&app, with("root", vec![own, ResultTuple::new("a"), inner])).await;
    store(&app, with("a", vec![ResultTuple::new("z")])).await;
    fail(&app, "x").await;
    for id in ["y", "z"] {
        store(&app, with(id, Vec::new())).await;
    }
    let root: AsyncResult<Value> = app.result("root");
    let tree = root.collect(SOON).await.unwrap();
    let ids: Vec<_> = tree.iter().map(|(result, _)| result.id()).collect();
    assert_eq!(ids, ["root", "a", "g", "z", "x", "y"]);
    let children = root.children().await.unwrap();
    let ids: Vec<_> = children.iter().map(AsyncResult::id).collect();
    assert_eq!(ids, ["root", "a", "g"]);
    assert_eq!(root.info().await.unwrap(), Value::from("root"));
    assert_eq!(root.traceback().await.unwrap(), None);
    assert_eq!(root.date_done().await.unwrap(), None);
}

#[tokio::test]
async fn a_backend_that_keeps_nothing_says_so() {
    let app = App::builder("test").backend("rpc://").build().unwrap();
    let refused = GroupResult::<i64>::restore(&app, "g").await.unwrap_err();
    assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
    assert!(!app.backend().capabilities().fetch);
}
