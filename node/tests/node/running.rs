//! What a running task may ask for: to be replaced, to add to its chord, to run again in
//! another way, to store its result early.

use std::sync::atomic::Ordering;
use std::time::Duration;

use celeriac::canvas::{chain, chord, group};
use celeriac::protocol::Table;
use celeriac::task::{Failure, Hooks, Retry};
use celeriac::{Context, Signature, State, TaskError, Value, task};
use celeriac_node::Config;

use crate::tasks::*;
use crate::{PATIENCE, Rig, eventually};

fn plus(y: i64) -> Signature {
    Signature::new("add").arg(y)
}

/// Replaces itself with what it was given.
#[task]
async fn becomes(ctx: Context, with: Signature) -> Result<Value, TaskError> {
    Err(ctx.replace(with))
}

/// Adds a call for each number to the chord that it is in.
#[task]
async fn spreads(ctx: Context, numbers: Vec<i64>) -> Result<i64, TaskError> {
    for number in numbers {
        ctx.add_to_chord(add.call(number, 100)).await?;
    }
    Ok(0)
}

/// Adds a chord to the chord that it is in.
#[task]
async fn nests(ctx: Context, numbers: Vec<i64>) -> Result<i64, TaskError> {
    let header = numbers.iter().map(|number| add.call(*number, 100));
    ctx.add_to_chord::<i64>(chord(header, total.partial()))
        .await?;
    Ok(0)
}

/// Adds to the chord that it is in, and gives its message back the first time.
#[task]
async fn spreads_again(ctx: Context) -> Result<i64, TaskError> {
    ctx.add_to_chord(add.call(1, 100)).await?;
    ctx.add_to_chord(add.call(2, 100)).await?;
    match ctx.request().delivery.redelivered {
        true => Ok(0),
        false => Err(TaskError::requeue("once more")),
    }
}

/// Adds to the chord that it is in what cannot be sent.
#[task]
async fn spreads_nothing(ctx: Context) -> Result<bool, TaskError> {
    let call = add.call(1, 100).option("serializer", "pickle");
    Ok(ctx.add_to_chord(call).await.is_ok())
}

/// Runs again with another `x`, another priority, limit and header.
#[task(max_retries = 1)]
async fn changes(ctx: Context, x: i64, y: i64) -> Result<Vec<Value>, TaskError> {
    if ctx.retries() == 0 {
        let headers: Table = [("new".to_owned(), Value::from(x))].into_iter().collect();
        return Err(Retry::default()
            .after(Duration::ZERO)
            .args([x + 1])
            .option("priority", 5)
            .option("time_limit", 60)
            .option("headers", headers)
            .into());
    }
    let request = ctx.request();
    let header = |name: &str| request.own_headers().get(name).cloned();
    Ok(vec![
        x.into(),
        y.into(),
        request.delivery.priority.map(i64::from).into(),
        ctx.time_limits().hard.into(),
        header("mine").into(),
        header("new").into(),
    ])
}

/// Stores its result, then gives its message back; the second time it would say so.
#[task]
async fn early(ctx: Context) -> Result<String, TaskError> {
    if ctx.request().delivery.redelivered {
        return Ok("ran twice".to_owned());
    }
    ctx.store_result(&"early").await?;
    Err(TaskError::requeue("done already"))
}

#[task]
async fn same(text: String) -> String {
    text
}

#[task(soft_time_limit = "50ms")]
async fn guarded(ctx: Context, catch: bool) -> Result<i64, TaskError> {
    let work = std::future::pending::<i64>();
    match ctx.within_soft_limit(work).await {
        Err(_) if catch => Ok(0),
        end => Ok(end?),
    }
}

async fn rig() -> Rig {
    Rig::with(Config::default(), |builder| {
        builder
            .task(becomes)
            .task(spreads)
            .task(nests)
            .task(changes)
            .task(early)
            .task(same)
            .task(guarded)
    })
    .await
}

async fn value(rig: &Rig, signature: Signature) -> Value {
    let result = rig.app.send::<Value>(signature, None).await.unwrap();
    result.get(PATIENCE).await.unwrap()
}

fn array(numbers: &[i64]) -> Value {
    Value::Array(numbers.iter().map(|n| Value::from(*n)).collect())
}

/// S26.
#[tokio::test]
async fn a_task_is_replaced_by_any_workflow_under_its_id() {
    let rig = rig().await;
    let by = |with: Signature| Signature::from(becomes.call(with));
    let task = || plus(1).arg(2);
    let steps = || chain([task(), plus(10)]);
    let pair = || group([task(), plus(5).arg(5)]);
    for (with, expected) in [
        (task(), Value::from(3)),
        (steps(), Value::from(13)),
        (pair(), array(&[3, 10])),
        (chain([task(), group([plus(1), plus(2)])]), array(&[4, 5])),
        (
            chord([task(), task()], Signature::new("total")),
            Value::from(6),
        ),
        (by(pair()), array(&[3, 10])),
    ] {
        assert_eq!(value(&rig, by(with)).await, expected);
    }
    // In the middle of a chain, and as the member of a chord.
    let within = chain([by(steps()), plus(100)]);
    assert_eq!(value(&rig, within).await, Value::from(113));
    let header = [
        by(task()),
        by(steps()),
        by(chord([task()], Signature::new("total"))),
    ];
    let sum = chord(header, Signature::new("total"));
    assert_eq!(value(&rig, sum).await, Value::from(19));
    rig.settled().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_task_that_cannot_be_replaced_fails() {
    let rig = rig().await;
    let empty = chain(Vec::<Signature>::new());
    let result = becomes.call(empty).send(&rig.app).await.unwrap();
    let document = rig.end_of(result.id()).await;
    assert_eq!(document.status, State::Failure);
    assert_eq!(
        document.exception().unwrap().exc_type,
        "ImproperlyConfigured"
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_chord_waits_for_what_was_added_to_it() {
    let rig = rig().await;
    for (header, expected) in [
        (spreads.call(vec![1, 2]).signature(), 203),
        (nests.call(vec![1, 2]).signature(), 203),
    ] {
        let sum = chord([header, plus(3).arg(4)], Signature::new("total"));
        assert_eq!(value(&rig, sum).await, Value::from(expected + 7));
    }
    let alone = spreads.call(vec![1]).send(&rig.app).await.unwrap();
    assert_eq!(rig.end_of(alone.id()).await.status, State::Failure);
    rig.stop().await;
}

/// S17.
#[tokio::test]
async fn a_next_try_may_differ_and_keeps_the_rest() {
    let rig = rig().await;
    let call = changes.partial().kwarg("x", 1).kwarg("y", 2);
    let result = call.header("mine", "kept").send(&rig.app).await.unwrap();
    let expected: Vec<Value> = vec![
        2.into(),
        2.into(),
        5.into(),
        60.0.into(),
        "kept".into(),
        1.into(),
    ];
    assert_eq!(result.get(PATIENCE).await.unwrap(), expected);
    rig.stop().await;
}

/// S5: the chain behind a success that was stored early goes on.
#[tokio::test]
async fn a_result_that_is_stored_early_is_final() {
    let rig = rig().await;
    let then = chain([early.partial(), same.partial()]);
    assert_eq!(value(&rig, then).await, Value::from("early"));
    rig.settled().await;
    assert_eq!(rig.count("duplicates"), 1);
    rig.stop().await;
}

/// S14.
#[tokio::test]
async fn the_soft_limit_is_an_error_that_a_task_can_catch() {
    let rig = rig().await;
    let caught = guarded.call(true).send(&rig.app).await.unwrap();
    assert_eq!(caught.get(PATIENCE).await.unwrap(), 0);
    let passed_on = guarded.call(false).send(&rig.app).await.unwrap();
    let document = rig.end_of(passed_on.id()).await;
    assert_eq!(
        document.exception().unwrap(),
        celeriac::protocol::Exception::soft_time_limit_exceeded()
    );
    rig.stop().await;
}

static TOLD: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

fn tell(text: String) {
    TOLD.lock().unwrap().push(text);
}

async fn hears(text: &str) {
    crate::eventually(text, || async {
        TOLD.lock().unwrap().iter().any(|told| told == text)
    })
    .await;
}

#[task(errback)]
async fn notify(failure: Failure, label: String) {
    let exception = failure.exception.map(|exception| exception.repr());
    tell(format!("{label}: {} {exception:?}", failure.id));
}

#[task]
fn notify_old(id: String, label: String) {
    tell(format!("{label}: {id}"));
}

/// S19.
#[tokio::test]
async fn errbacks_are_called_here_or_sent() {
    let rig = Rig::with(Config::default(), |builder| {
        builder.task(notify).task(notify_old)
    })
    .await;
    let boom = Some("ValueError('boom')");
    let call = fail.call("boom".to_owned());
    let call = call.link_error(notify.partial().arg("new"));
    let call = call.link_error(notify_old.partial().arg("old"));
    let result = call.send(&rig.app).await.unwrap();
    hears(&format!("new: {} {boom:?}", result.id())).await;
    hears(&format!("old: {}", result.id())).await;
    // The body of a chord that cannot run has failed, and its errbacks are told.
    let body = add.partial().link_error(notify.partial().arg("chord"));
    let header = [fail.call("boom".to_owned()), fail.call("boom".to_owned())];
    let result = rig
        .app
        .send::<i64>(chord(header, body), None)
        .await
        .unwrap();
    let document = rig.end_of(result.id()).await;
    let why = Some(document.exception().unwrap().repr());
    hears(&format!("chord: {} {why:?}", result.id())).await;
    rig.settled().await;
    rig.stop().await;
}

/// Says that it works, under its own id, and which that is.
#[task(errback)]
async fn noisy(ctx: Context, failure: Failure) -> celeriac::Result<(), celeriac::Error> {
    ctx.progress(1, 2).await?;
    tell(format!("noisy for {}", failure.id));
    Ok(())
}

/// Takes longer than it may, and holds what panics when it is dropped.
#[task(errback, time_limit = "50ms")]
async fn drops_worse(failure: Failure) {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("dropped badly");
        }
    }
    gate(&failure.id).starts.fetch_add(1, Ordering::SeqCst);
    let bad = Bad;
    std::future::pending::<()>().await;
    drop(bad);
}

/// Ends when the test lets it.
#[task(errback)]
async fn slow(_failure: Failure, name: String) {
    wait_at(&name).await;
}

async fn wait_at(name: &str) {
    let gate = gate(name);
    gate.starts.fetch_add(1, Ordering::SeqCst);
    gate.open.acquire().await.unwrap().forget();
}

fn with_errbacks(builder: celeriac::AppBuilder) -> celeriac::AppBuilder {
    let builder = builder.task(notify).task(notify_old).task(noisy);
    builder.task(drops_worse).task(slow)
}

/// S19: What follows an errback runs, wherever the errback does.
#[tokio::test]
async fn what_follows_an_errback_runs() {
    let rig = Rig::with(Config::default(), with_errbacks).await;
    let told = |name: &str| Signature::new("wait").arg(name).immutable();
    let errback = |label: &str| Signature::from(notify.partial().arg(label));
    let call = fail.call("boom".to_owned());
    let call = call.link_error(chain([errback("in a chain"), told("behind an errback")]));
    let header = [errback("one of two"), errback("two of two")];
    let call = call.link_error(chord(header, told("body of errbacks")));
    let result = call.send(&rig.app).await.unwrap();
    for name in ["behind an errback", "body of errbacks"] {
        gate(name).started(1).await;
        gate(name).open.add_permits(1);
    }
    hears(&format!("in a chain: {} None", result.id())).await;
    rig.settled().await;
    rig.stop().await;
}

/// S19.
#[tokio::test]
async fn an_errback_does_not_write_over_the_failure() {
    let rig = Rig::with(Config::default(), with_errbacks).await;
    let call = fail.call("boom".to_owned()).link_error(noisy.partial());
    let result = call.send(&rig.app).await.unwrap();
    hears(&format!("noisy for {}", result.id())).await;
    rig.settled().await;
    assert_eq!(rig.state_of(result.id()).await, State::Failure);
    rig.stop().await;
}

/// S13.
#[tokio::test]
async fn an_errback_that_panics_when_it_is_dropped_is_its_own_failure() {
    let rig = Rig::with(Config::default(), with_errbacks).await;
    let call = fail.call("boom".to_owned());
    let result = call.link_error(drops_worse.partial()).send(&rig.app);
    let result = result.await.unwrap();
    gate(result.id()).started(1).await;
    rig.settled().await;
    assert_eq!(gate(result.id()).starts(), 1);
    rig.stop().await;
}

/// S12: No more outcomes have their errbacks called at once than tasks may run.
#[tokio::test]
async fn errbacks_are_bounded_as_tasks_are() {
    let config = Config {
        concurrency: 1,
        ..Config::default()
    };
    let rig = Rig::with(config, with_errbacks).await;
    let errback = slow.partial().arg("slow errback");
    for _ in 0..3 {
        let call = fail.call("boom".to_owned()).link_error(errback.clone());
        let result = call.send(&rig.app).await.unwrap();
        assert_eq!(rig.end_of(result.id()).await.status, State::Failure);
    }
    let door = gate("slow errback");
    door.started(1).await;
    // Others run and end meanwhile.
    let sum = add.call(1, 2).send(&rig.app).await.unwrap();
    assert_eq!(sum.get(PATIENCE).await.unwrap(), 3);
    assert_eq!(door.starts(), 1);
    door.open.add_permits(3);
    rig.settled().await;
    assert_eq!(door.starts(), 3);
    rig.stop().await;
}

/// S13: A routing function that panics is the failure of what it was asked about.
#[tokio::test]
async fn a_routing_function_that_panics_fails_what_it_routes() {
    let rig = Rig::with(Config::default(), |builder| {
        builder.route_with(|call| {
            assert!(call.task != "multiply", "no way");
            None
        })
    })
    .await;
    let error = multiply.call(1, 2).send(&rig.app).await.unwrap_err();
    assert!(error.to_string().contains("panic: no way"), "{error}");
    let step = Signature::new("multiply")
        .arg(3)
        .with_option("task_id", "unrouted");
    add.call(1, 2).link(step).send(&rig.app).await.unwrap();
    let document = rig.end_of("unrouted").await;
    assert_eq!(document.exception().unwrap().exc_type, "OperationalError");
    let sum = add.call(1, 2).send(&rig.app).await.unwrap();
    assert_eq!(sum.get(PATIENCE).await.unwrap(), 3);
    rig.stop().await;
}

/// S29: What a member adds counts once, however often the member runs, and not at all
/// when it cannot be sent.
#[tokio::test]
async fn what_a_member_adds_counts_once() {
    let rig = Rig::with(Config::default(), |builder| {
        builder.task(spreads_again).task(spreads_nothing)
    })
    .await;
    for (member, results) in [
        (Signature::new("spreads_again"), vec![0, 1, 101, 102]),
        (Signature::new("spreads_nothing"), vec![0, 1]),
    ] {
        let header = [member, plus(1).arg(0)];
        let body = Signature::new("celery.accumulate");
        let all = rig.app.send::<Value>(chord(header, body), None);
        let all = all.await.unwrap().get(PATIENCE).await.unwrap();
        let lists = all.as_array().unwrap();
        let all = lists[0].as_array().unwrap().iter();
        let number = |one: &Value| one.as_i64().or(one.as_bool().map(i64::from)).unwrap();
        let mut all: Vec<_> = all.map(number).collect();
        all.sort_unstable();
        assert_eq!(all, results);
    }
    rig.stop().await;
}

struct Stays;

impl Hooks for Stays {
    async fn before_start(&self, ctx: &Context) -> Result<(), TaskError> {
        wait_at(ctx.id()).await;
        Ok(())
    }
}

#[task(hooks = Stays)]
async fn prepared() {
    tell("it was prepared".to_owned());
}

/// S31: A task that is called off before its code has started does not start.
#[tokio::test]
async fn a_task_that_is_terminated_in_its_first_hook_does_not_run() {
    let rig = Rig::with(Config::default(), |builder| builder.task(prepared)).await;
    rig.hears().await;
    let result = prepared.call().send(&rig.app).await.unwrap();
    gate(result.id()).started(1).await;
    result.revoke(true).await.unwrap();
    assert_eq!(rig.end_of(result.id()).await.status, State::Revoked);
    rig.stop().await;
    assert!(!TOLD.lock().unwrap().contains(&"it was prepared".to_owned()));
}

struct Tells(&'static str);

impl Hooks for Tells {
    async fn before_start(&self, ctx: &Context) -> Result<(), TaskError> {
        match ctx.request().own_headers().get("stop") {
            None => Ok(()),
            Some(_) => Err(TaskError::python("PermissionError", "not you")),
        }
    }

    async fn on_success(&self, ctx: &Context, value: &Value) -> Result<(), TaskError> {
        tell(format!("{} success {} {value:?}", self.0, ctx.id()));
        Err(TaskError::message("it is logged"))
    }

    async fn on_failure(&self, ctx: &Context, failure: &Failure) -> Result<(), TaskError> {
        let error = failure
            .exception
            .as_ref()
            .map(|error| error.exc_type.clone());
        tell(format!("{} failure {} {error:?}", self.0, ctx.id()));
        panic!("it is logged")
    }

    async fn on_retry(&self, ctx: &Context, _: &Failure) -> Result<(), TaskError> {
        tell(format!("{} retry {} {}", self.0, ctx.id(), ctx.retries()));
        Ok(())
    }

    async fn after_return(&self, ctx: &Context, state: &State, _: &Value) -> Result<(), TaskError> {
        tell(format!("{} return {} {state}", self.0, ctx.id()));
        Ok(())
    }
}

#[task(hooks = Tells("own"), max_retries = 1, retry_for(ValueError), retry_delay = "0s")]
async fn hooked(x: i64) -> Result<i64, TaskError> {
    match x {
        0 => Err(TaskError::python("ValueError", "zero")),
        x => Ok(x),
    }
}

/// S31.
#[tokio::test]
async fn hooks_are_called_beside_the_code() {
    let rig = Rig::with(Config::default(), |builder| {
        builder.task(hooked).hooks(Tells("all"))
    })
    .await;
    let good = hooked.call(5).send(&rig.app).await.unwrap();
    assert_eq!(good.get(PATIENCE).await.unwrap(), 5);
    let bad = hooked.call(0).send(&rig.app).await.unwrap();
    assert_eq!(rig.end_of(bad.id()).await.status, State::Failure);
    for who in ["all", "own"] {
        hears(&format!("{who} success {} {:?}", good.id(), Value::from(5))).await;
        hears(&format!("{who} return {} SUCCESS", good.id())).await;
        hears(&format!("{who} retry {} 0", bad.id())).await;
        hears(&format!(
            "{who} failure {} {:?}",
            bad.id(),
            Some("ValueError")
        ))
        .await;
        hears(&format!("{who} return {} FAILURE", bad.id())).await;
    }
    let stopped = hooked
        .call(5)
        .header("stop", true)
        .send(&rig.app)
        .await
        .unwrap();
    let error = rig.end_of(stopped.id()).await.exception().unwrap();
    assert_eq!(error.exc_type, "PermissionError");
    rig.stop().await;
}

#[tokio::test]
async fn an_extended_result_says_what_was_called() {
    let rig = Rig::with(Config::default(), |builder| builder.result_extended(true)).await;
    let call = add.partial().arg(2).kwarg("y", 3);
    let call = call.option("stamped_headers", vec![Value::from("who")]);
    let result = call.option("who", "me").send(&rig.app).await.unwrap();
    let extended = rig.end_of(result.id()).await.extended.unwrap();
    assert_eq!(extended.name.as_deref(), Some("add"));
    assert_eq!(extended.args, array(&[2]));
    let kwargs: Table = [("y".to_owned(), Value::from(3))].into_iter().collect();
    assert_eq!(extended.kwargs, Value::Map(kwargs));
    assert_eq!(extended.queue.as_deref(), Some("celery"));
    assert_eq!(extended.retries, Some(0));
    assert!(extended.worker.is_some_and(|name| name.contains('@')));
    assert_eq!(extended.stamps.get("who"), Some(&Value::from("me")));
    // Nothing is known of what is not here.
    let unknown = rig
        .app
        .call::<Value>("nobody.knows")
        .send(&rig.app)
        .await
        .unwrap();
    let extended = rig.end_of(unknown.id()).await.extended.unwrap();
    assert_eq!((extended.name, extended.args), (None, Value::Null));
    rig.stop().await;
}

#[tokio::test]
async fn states_on_the_way_are_extended_too() {
    let rig = Rig::with(Config::default(), |builder| builder.result_extended(true)).await;
    let door = gate("extended");
    let result = wait_tracked
        .call("extended".to_owned())
        .send(&rig.app)
        .await
        .unwrap();
    let seen = async |state: &str| {
        let state = State::from(state);
        eventually("the state is stored", || async {
            rig.state_of(result.id()).await == state
        })
        .await;
        let document = result.document().await.unwrap().unwrap();
        let extended = document.extended.unwrap();
        assert_eq!(extended.name.as_deref(), Some("wait_tracked"), "{state}");
        assert_eq!(extended.args, Value::Array(vec!["extended".into()]));
    };
    door.started(1).await;
    seen("STARTED").await;
    door.open.add_permits(1);
    door.started(2).await;
    seen("PROGRESS").await;
    door.open.add_permits(1);
    seen("SUCCESS").await;
    rig.stop().await;
}
