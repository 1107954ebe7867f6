#![allow(clippy::unwrap_used)]
use celeriac::App;
use celeriac::protocol::{Codec, Embed, Raw, Signature};
use celeriac::task;
use celeriac::task::Request;

use tokio::sync::mpsc;

use super::*;
use crate::config::Config;

#[task(name = "demo.double")]
async fn double(x: i64) -> i64 {
    2 * x
}

#[task(name = "demo.divide")]
fn divide(x: i64, y: i64) -> Result<i64, TaskError> {
    x.checked_div(y)
        .ok_or_else(|| TaskError::python("ZeroDivisionError", "division by zero"))
}

#[task(name = "demo.again")]
async fn again(_x: i64) -> Result<i64, TaskError> {
    Err(TaskError::retry())
}

#[task(name = "demo.apart", isolated)]
fn apart(x: i64) -> i64 {
    x
}

fn shared() -> Arc<Shared> {
    let app = App::builder("test")
        .broker("memory://")
        .backend("memory://");
    let app = app.task(double).task(divide).task(again).task(apart);
    let config = Config {
        blocking_threads: Some(1),
        ..Config::default()
    };
    let work = tokio::runtime::Handle::current();
    Shared::new(app.build().unwrap(), config, work, mpsc::channel(1).0)
}

async fn run(name: &str, args: &[Value], kwargs: &[(&str, Value)]) -> TaskResult {
    run_on(&shared(), name, args, kwargs).await
}

async fn run_on(
    shared: &Shared,
    name: &str,
    args: &[Value],
    kwargs: &[(&str, Value)],
) -> TaskResult {
    let (app, tasks) = (shared.app.clone(), &shared.tasks);
    let raw = |value: &Value| Raw {
        codec: Codec::Json,
        bytes: Codec::Json.to_vec(value).unwrap().into(),
    };
    let parts = Parts {
        args: args.iter().map(raw).collect(),
        kwargs: kwargs
            .iter()
            .map(|(name, value)| ((*name).into(), raw(value)))
            .collect(),
        embed: Embed::default(),
    };
    let context = Context::new(app, Request::default());
    match tasks.get(name).unwrap().start(context, parts).unwrap() {
        Execution::Async(code) => code.await,
        Execution::Blocking(_) => panic!("a builtin that blocks"),
    }
}

fn numbers(numbers: &[i64]) -> Value {
    Value::Array(numbers.iter().map(|&number| number.into()).collect())
}

fn failure(result: TaskResult) -> (String, String) {
    match result.unwrap_err() {
        TaskError::Failure { exception, .. } => (exception.exc_type.clone(), exception.repr()),
        other => panic!("expected a failure, found {other:?}"),
    }
}

fn over(task: &str, items: Value) -> [(&'static str, Value); 2] {
    [("task", Signature::new(task).into()), ("it", items)]
}

#[tokio::test]
async fn a_map_runs_its_task_for_each_item() {
    let result = run("celery.map", &[], &over("demo.double", numbers(&[1, 2, 3]))).await;
    assert_eq!(result.unwrap(), numbers(&[2, 4, 6]));
    let pairs = Value::Array(vec![numbers(&[6, 3]), numbers(&[8, 2])]);
    let result = run("celery.starmap", &[], &over("demo.divide", pairs)).await;
    assert_eq!(result.unwrap(), numbers(&[2, 4]));
    let none = run("celery.map", &[], &over("demo.double", numbers(&[]))).await;
    assert_eq!(none.unwrap(), numbers(&[]));
}

/// S30.
#[tokio::test]
async fn one_item_that_fails_fails_the_map() {
    let pairs = Value::Array(vec![numbers(&[6, 3]), numbers(&[8, 0])]);
    let result = run("celery.starmap", &[], &over("demo.divide", pairs)).await;
    assert_eq!(failure(result).0, "ZeroDivisionError");
    let items = numbers(&[1]);
    for (task, kind) in [
        ("demo.unknown", "NotRegistered"),
        ("demo.divide", "TypeError"),
        ("demo.again", "Retry"),
    ] {
        let result = run("celery.map", &[], &over(task, items.clone())).await;
        assert_eq!(failure(result).0, kind, "{task}");
    }
}

/// S27, S30.
#[tokio::test]
async fn a_map_of_an_isolated_task_is_refused() {
    let result = run("celery.map", &[], &over("demo.apart", numbers(&[1]))).await;
    let (kind, text) = failure(result);
    assert_eq!(kind, "ValueError");
    assert!(
        text.contains("demo.apart runs in a process of its own"),
        "{text}"
    );
}

/// S14: The threads of a map's items are among those that blocking tasks may have.
#[tokio::test]
async fn an_item_that_blocks_waits_for_a_thread() {
    let shared = shared();
    let taken = Arc::clone(&shared.threads).acquire_owned().await.unwrap();
    let pairs = over("demo.divide", Value::Array(vec![numbers(&[6, 3])]));
    let mut map = std::pin::pin!(run_on(&shared, "celery.starmap", &[], &pairs));
    assert!(futures_util::poll!(map.as_mut()).is_pending());
    assert_eq!(shared.threads.available_permits(), 0);
    drop(taken);
    assert_eq!(map.await.unwrap(), numbers(&[2]));
}

#[tokio::test]
async fn what_was_accumulated_is_returned() {
    let (list, number) = (numbers(&[1, 2]), Value::Int(3));
    let args = [list.clone(), number.clone()];
    let at = |index: i64| [("index", Value::Int(index))];
    assert_eq!(run("celery.accumulate", &args, &at(0)).await.unwrap(), list);
    assert_eq!(
        run("celery.accumulate", &args, &at(-1)).await.unwrap(),
        number
    );
    let all = run("celery.accumulate", &args, &[]).await.unwrap();
    assert_eq!(all, Value::Array(args.to_vec()));
    let beyond = run("celery.accumulate", &args, &at(2)).await;
    assert_eq!(failure(beyond).0, "IndexError");
}

#[tokio::test]
async fn what_is_no_call_of_them_says_so() {
    let (kind, text) = failure(run("celery.map", &[], &[]).await);
    assert_eq!(kind, "TypeError");
    assert!(
        text.contains("celery.map") && text.contains("task"),
        "{text}"
    );
    assert_eq!(
        failure(run("celery.chain", &[], &[]).await).0,
        "NotImplementedError"
    );
    let zero = [
        Signature::new("demo.double").into(),
        Value::Array(vec![numbers(&[1])]),
        0.into(),
    ];
    assert_eq!(
        failure(run("celery.chunks", &zero, &[]).await).0,
        "ValueError"
    );
}

#[tokio::test]
async fn workflows_that_came_as_messages_are_sent() {
    let task = Value::from(Signature::new("demo.double"));
    let items = [1, 2, 3].map(|number| numbers(&[number]));
    let chunks = [task.clone(), items.to_vec().into(), 2.into()];
    let result = run("celery.chunks", &chunks, &[]).await.unwrap();
    let result = celeriac::protocol::ResultTuple::from_value(&result).unwrap();
    assert_eq!(result.tasks().len(), 2);

    let named = numbers(&[7]);
    let group = [
        Value::Array(vec![task.clone()]),
        named.clone(),
        "gid".into(),
    ];
    assert_eq!(run("celery.group", &group, &[]).await.unwrap(), named);

    let header = Value::Array(vec![task]);
    let body = Signature::new("demo.double").with_option("task_id", "body");
    let kwargs = [
        ("header", header),
        ("body", body.into()),
        ("eager", false.into()),
    ];
    let result = run("celery.chord", &[], &kwargs).await.unwrap();
    let result = celeriac::protocol::ResultTuple::from_value(&result).unwrap();
    assert_eq!(result.id, "body");
}

#[test]
fn a_task_of_the_app_goes_first() {
    #[task(name = "celery.backend_cleanup")]
    async fn cleanup() {}

    let mut tasks = Registry::default();
    tasks.add(cleanup).unwrap();
    let own = Arc::clone(tasks.get("celery.backend_cleanup").unwrap());
    let tasks = complete(tasks, &Weak::new());
    assert!(Arc::ptr_eq(
        &own,
        tasks.get("celery.backend_cleanup").unwrap()
    ));
    assert_eq!(tasks.len(), 9);
}
