//! What `#[task]` makes of a function, in code that allows no warning.
#![deny(warnings, missing_docs, clippy::all)]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use celeriac::protocol::{Body, Codec, Embed, Table};
use celeriac::task::{Execution, Request, Task, TaskError, TaskResult};
use celeriac::{App, Context, Value, task};

#[task]
async fn add(x: i64, y: i64) -> i64 {
    x + y
}

/// Has every option there is.
#[task(
    name = "demo.full",
    queue = "fast",
    priority = 5,
    max_retries = "forever",
    retry_delay = "10s",
    backoff = "2s..10m",
    jitter = false,
    soft_time_limit = "30s",
    time_limit = 60,
    acks_late = false,
    acks_on_failure = false,
    rate_limit = "10/m",
    ignore_result,
    expires = "1h",
    track_started
)]
pub(crate) async fn full() {}

/// Joins words, on a thread of its own.
#[task]
pub(crate) fn join(
    words: &[String],
    #[default(String::from(" "))] by: String,
    end: Option<char>,
) -> String {
    let mut text = words.join(&by);
    text.extend(end);
    text
}

/// Fails when it is told to.
#[task]
async fn checked(ctx: &Context, context: i64, arguments: &str) -> Result<String, TaskError> {
    if context < 0 {
        return Err(TaskError::python("ValueError", "negative"));
    }
    Ok(format!("{arguments} {context} {}", ctx.id()))
}

/// Fails with an error of the standard library.
#[task]
fn parse(r#type: String, mut tries: u8) -> std::result::Result<i64, std::num::ParseIntError> {
    tries += 1;
    r#type.repeat(tries.into()).parse()
}

#[task]
async fn long(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8) -> u8 {
    a + b + c + d + e + f + g
}

async fn start(task: impl Task, args: Vec<Value>, kwargs: Table) -> Result<TaskResult, String> {
    let app = App::builder("test").build().unwrap();
    let mut request = Request::default();
    request.headers.id = "id-1".into();
    let body = Body::encode(Codec::Json, &args, &kwargs, &Embed::default()).unwrap();
    let mut registry = celeriac::task::Registry::default();
    let name = task.name();
    registry.add(task).unwrap();
    let handler = registry.get(name).unwrap();
    let execution = handler
        .start(Context::new(app, request), body.parts().unwrap())
        .map_err(|error| error.to_string())?;
    Ok(match execution {
        Execution::Async(future) => future.await,
        Execution::Blocking(work) => tokio::task::spawn_blocking(work).await.unwrap(),
    })
}

fn kwargs<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

#[tokio::test]
async fn arguments_find_their_parameters() {
    let by_place = start(add, vec![2.into(), 3.into()], Table::new()).await;
    assert_eq!(by_place, Ok(Ok(Value::Int(5))));
    let by_name = start(add, vec![], kwargs([("y", 1.into()), ("x", 4.into())])).await;
    assert_eq!(by_name, Ok(Ok(Value::Int(5))));
    let missing = start(add, vec![2.into()], Table::new()).await;
    assert_eq!(
        missing.unwrap_err(),
        "add(): expected 2 required arguments, found 1 missing: 'y'"
    );
    let raw = start(
        parse,
        vec![],
        kwargs([("type", "4".into()), ("tries", 1.into())]),
    )
    .await;
    assert_eq!(raw, Ok(Ok(Value::Int(44))));
}

#[tokio::test]
async fn what_a_call_leaves_out_has_its_default() {
    let words = || vec![Value::from(vec![Value::from("a"), Value::from("b")])];
    let bare = start(join, words(), Table::new()).await;
    assert_eq!(bare, Ok(Ok("a b".into())));
    let given = start(
        join,
        words(),
        kwargs([("by", "-".into()), ("end", "!".into())]),
    )
    .await;
    assert_eq!(given, Ok(Ok("a-b!".into())));
    let null = start(join, words(), kwargs([("end", Value::Null)])).await;
    assert_eq!(null, Ok(Ok("a b".into())));
}

#[tokio::test]
async fn errors_and_context_reach_the_task() {
    let good = start(checked, vec![1.into(), "x".into()], Table::new()).await;
    assert_eq!(good, Ok(Ok("x 1 id-1".into())));
    let bad = start(checked, vec![Value::Int(-1), "x".into()], Table::new()).await;
    assert_eq!(bad, Ok(Err(TaskError::python("ValueError", "negative"))));
    let foreign = start(parse, vec!["x".into(), 0.into()], Table::new())
        .await
        .unwrap();
    assert_eq!(
        foreign.unwrap_err().to_string(),
        "ParseIntError('invalid digit found in string')"
    );
}

#[tokio::test]
async fn the_function_stays_callable() {
    assert_eq!(add::run(2, 3).await, 5);
    full::run().await;
    assert_eq!(join::run(&["a".into()], String::new(), Some('.')), "a.");
    assert_eq!(long::run(1, 1, 1, 1, 1, 1, 1).await, 7);
}

#[test]
fn options_become_task_options() {
    let options = full.options();
    assert_eq!(full.name(), "demo.full");
    assert_eq!(options.queue.as_deref(), Some("fast"));
    assert_eq!(options.priority, Some(5));
    assert_eq!(options.max_retries, None);
    assert_eq!(options.retry_delay, Duration::from_secs(10));
    assert_eq!(
        options.backoff.unwrap().delay(20, 0.0),
        Duration::from_secs(600)
    );
    assert_eq!(options.soft_time_limit, Some(Duration::from_secs(30)));
    assert_eq!(options.time_limit, Some(Duration::from_secs(60)));
    assert_eq!(options.rate_limit.unwrap().to_string(), "10/m");
    assert_eq!(options.expires, Some(Duration::from_secs(3600)));
    assert!(!options.acks_late && !options.acks_on_failure);
    assert!(options.ignore_result && options.track_started);
    assert_eq!(add.options(), celeriac::task::TaskOptions::default());
}

#[test]
fn calls_carry_their_arguments() {
    let signature = checked.call(1, "x").signature();
    assert_eq!(
        (signature.task.as_str(), signature.args),
        ("checked", vec![1.into(), "x".into()])
    );
    let signature = join.partial().arg(["a"]).kwarg("end", "!").signature();
    assert_eq!(signature.args, vec![Value::from(vec![Value::from("a")])]);
    assert_eq!(signature.kwargs, kwargs([("end", "!".into())]));
}

#[tokio::test]
async fn an_argument_that_cannot_be_encoded_stops_the_workflow() {
    use celeriac::canvas::{chain, chord, group};

    let odd = std::collections::BTreeMap::from([(vec![1], 1)]);
    let bad = || celeriac::Call::<()>::new("bad").arg(&odd);
    let app = App::builder("test").build().unwrap();
    for whole in [
        bad().signature(),
        chain([add.call(1, 2).signature(), bad().signature()]),
        chord([group([bad()])], add.partial()),
        add.call(1, 2).link(bad()).signature(),
    ] {
        let error = app.plan(whole, None).unwrap_err();
        assert!(matches!(error, celeriac::Error::Encode(_)), "{error:?}");
    }
}

/// Takes whatever comes.
#[task]
async fn anything(
    first: i64,
    #[args] rest: Vec<i64>,
    #[default(7)] last: i64,
    #[kwargs] more: Table,
) -> (i64, i64, usize) {
    (first, last + rest.iter().sum::<i64>(), more.len())
}

#[tokio::test]
async fn what_is_left_of_a_call_has_a_place() {
    let call = anything.call(1, 2).arg(3).kwarg("x", 4).signature();
    assert_eq!(call.kwargs.get("last"), Some(&Value::Int(2)));
    let result = start(anything, call.args, call.kwargs).await;
    assert_eq!(result, Ok(Ok(Value::from_serialize(&(1, 5, 1)).unwrap())));
}
