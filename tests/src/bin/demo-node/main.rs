//! A user's worker: the `celeriac` command with tasks of its own, for tests and benchmarks.
//!
//! Written with nothing but the public crates, as any worker is.

mod fleet;
mod isolated;
mod mixed;
mod workflow;

use std::process::ExitCode;
use std::time::Duration;

use celeriac::protocol::Table;
use celeriac::task::Retry;
use celeriac::{Context, TaskError, Value, task};

fn main() -> ExitCode {
    celeriac_cli::main(|app, settings| {
        assert!(settings.text("hostname") != Some("panic@start"), "asked to");
        let app = fleet::add_all(isolated::add_all(celeriac_cli::tasks::add(app, settings)));
        mixed::add(workflow::add(app))
            .task(add)
            .task(mul)
            .task(tsum)
            .task(echo)
            .task(noop)
            .task(sleep)
            .task(block)
            .task(fail)
            .task(panic)
            .task(retry)
            .task(reject)
            .task(abort)
            .task(ignore)
            .task(progress)
            .task(parent)
            .task(whoami)
            .task(traced)
            .task(show_request)
            .task(hold)
            .task(orphan)
    })
}

/// What `demo.fail` ends in.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct DemoError(String);

#[task(name = "demo.add")]
async fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task(name = "demo.mul")]
async fn mul(x: i64, y: i64) -> i64 {
    x * y
}

#[task(name = "demo.tsum")]
async fn tsum(numbers: Vec<i64>) -> i64 {
    numbers.iter().sum()
}

#[task(name = "demo.echo")]
async fn echo(value: Value) -> Value {
    value
}

#[task(name = "demo.noop")]
async fn noop() {}

/// Waits, and leaves its thread to others.
#[task(name = "demo.sleep")]
async fn sleep(seconds: f64) -> f64 {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    seconds
}

/// Waits, and keeps a thread that others need.
#[allow(
    clippy::disallowed_methods,
    reason = "to block its thread is what this task is for"
)]
#[task(name = "demo.hold")]
async fn hold(seconds: f64) -> f64 {
    std::thread::sleep(Duration::from_secs_f64(seconds));
    seconds
}

/// Leaves a process behind that nobody waits for, and says how its shell ended.
#[task(name = "demo.orphan")]
fn orphan() -> Result<Option<i32>, TaskError> {
    leave_orphan()
}

fn leave_orphan() -> Result<Option<i32>, TaskError> {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "sleep 0.2 & exit 3"]);
    Ok(shell.stdout(std::process::Stdio::null()).status()?.code())
}

/// Waits, and keeps its thread.
#[allow(
    clippy::disallowed_methods,
    reason = "to block its thread is what this task is for"
)]
#[task(name = "demo.block")]
fn block(seconds: f64) -> f64 {
    std::thread::sleep(Duration::from_secs_f64(seconds));
    seconds
}

#[task(name = "demo.fail")]
async fn fail(message: String) -> Result<(), DemoError> {
    Err(DemoError(message))
}

#[task(name = "demo.panic")]
async fn panic(message: String) {
    panic!("{message}")
}

/// Fails so many times, then returns how often.
#[task(name = "demo.retry")]
async fn retry(ctx: Context, times: u32) -> Result<u32, TaskError> {
    if ctx.retries() >= times {
        return Ok(ctx.retries());
    }
    let cause = DemoError(format!("try {}", ctx.retries() + 1));
    Err(Retry::default()
        .after(Duration::from_millis(50))
        .up_to(times)
        .because(cause)
        .into())
}

#[task(name = "demo.reject")]
async fn reject() -> Result<(), TaskError> {
    Err(TaskError::reject("asked to refuse it"))
}

/// Takes its node along.
#[task(name = "demo.abort")]
async fn abort() {
    std::process::abort()
}

#[task(name = "demo.ignore")]
async fn ignore() -> Result<(), TaskError> {
    Err(TaskError::Ignore)
}

/// Tells its progress so many times.
#[task(name = "demo.progress")]
async fn progress(ctx: Context, steps: u64) -> Result<u64, TaskError> {
    for step in 1..=steps {
        ctx.progress(step, steps).await?;
    }
    Ok(steps)
}

/// Sends another task and returns its id.
#[task(name = "demo.parent")]
async fn parent(ctx: Context, x: i64, y: i64) -> Result<String, TaskError> {
    let child = add.call(x, y).send(&ctx).await?;
    Ok(child.id().to_owned())
}

/// Shows what came with a call. Asks once more for a run when the value is `retry`.
#[task(name = "demo.request")]
async fn show_request(ctx: Context, value: Value) -> Result<Value, TaskError> {
    let request = ctx.request();
    if value.as_str() == Some("retry") && ctx.retries() == 0 {
        return Err(ctx.retry_after(Duration::ZERO));
    }
    let delivery = Table::from_iter([
        (
            "exchange".to_owned(),
            Value::from(&*request.delivery.exchange),
        ),
        (
            "routing_key".to_owned(),
            (&*request.delivery.routing_key).into(),
        ),
    ]);
    let began = celeriac::clock::now().duration_since(std::time::UNIX_EPOCH);
    Ok(Value::Map(Table::from_iter([
        ("value".to_owned(), value),
        (
            "headers".to_owned(),
            request.headers.clone().into_table().into(),
        ),
        ("properties".to_owned(), request.properties_table().into()),
        ("delivery".to_owned(), delivery.into()),
        ("hostname".to_owned(), (&*request.hostname).into()),
        (
            "began".to_owned(),
            began.unwrap_or_default().as_secs_f64().into(),
        ),
    ])))
}

/// Returns the span that it runs in, for the header of a request.
#[task(name = "demo.traced")]
async fn traced(ctx: Context) -> Option<String> {
    ctx.trace()?.traceparent()
}

/// Waits, then says which node ran it.
#[task(name = "demo.whoami", max_retries = "forever")]
async fn whoami(ctx: Context, seconds: f64) -> String {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    ctx.request().hostname.clone()
}
