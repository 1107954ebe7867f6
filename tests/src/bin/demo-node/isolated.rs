//! Tasks with a process of their own, most of which do it harm.

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use celeriac::{AppBuilder, Context, TaskError, task};
use futures_util::FutureExt as _;
use futures_util::future::try_join_all;

/// Adds all of them.
pub(crate) fn add_all(app: AppBuilder) -> AppBuilder {
    app.task(pid)
        .task(traced)
        .task(sleep)
        .task(spin)
        .task(abort)
        .task(abort_twice)
        .task(exit)
        .task(overflow)
        .task(hog)
        .task(fail)
        .task(panic)
        .task(heed)
        .task(cancel)
        .task(parent)
        .task(add)
        .task(print)
        .task(spawn)
        .task(ask_much)
        .task(orphan)
}

/// Says which process runs it.
#[task(name = "isolated.pid", isolated)]
async fn pid() -> u32 {
    std::process::id()
}

/// Returns the span that it runs in, for the header of a request.
#[task(name = "isolated.traced", isolated)]
async fn traced(ctx: Context) -> Option<String> {
    ctx.trace()?.traceparent()
}

#[task(name = "isolated.add", isolated)]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task(name = "isolated.sleep", isolated)]
async fn sleep(seconds: f64) -> u32 {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    std::process::id()
}

/// Keeps a processor for ever.
#[task(name = "isolated.spin", isolated)]
fn spin() {
    loop {
        black_box(());
    }
}

#[task(name = "isolated.abort", isolated)]
fn abort() {
    std::process::abort()
}

/// Kills every process that runs it, and wants another.
#[task(name = "isolated.abort_twice", isolated, reject_on_worker_lost)]
fn abort_twice() {
    std::process::abort()
}

#[allow(clippy::disallowed_methods, reason = "it is what this task is for")]
#[task(name = "isolated.exit", isolated)]
fn exit(code: i32) {
    std::process::exit(code)
}

/// Runs out of stack.
#[task(name = "isolated.overflow", isolated)]
fn overflow() -> u64 {
    #[allow(unconditional_recursion, reason = "it is what this task is for")]
    fn deeper(n: u64) -> u64 {
        let room = black_box([n; 512]);
        deeper(n + 1) + room[7]
    }
    deeper(0)
}

/// Takes memory, a MiB at a time, up to so many.
#[task(name = "isolated.hog", isolated)]
fn hog(mebi: usize) -> usize {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for _ in 0..mebi {
        all.push(black_box(vec![1; 1 << 20]));
    }
    all.len()
}

#[task(name = "isolated.fail", isolated)]
async fn fail(message: String) -> Result<(), TaskError> {
    Err(TaskError::python("ValueError", message))
}

#[task(name = "isolated.panic", isolated)]
async fn panic(message: String) {
    panic!("{message}")
}

/// Returns when its soft limit passes.
#[task(name = "isolated.heed", isolated)]
async fn heed(ctx: Context) -> String {
    ctx.soft_limit().await;
    "heard".to_owned()
}

/// Returns when it shall stop.
#[task(name = "isolated.cancel", isolated)]
async fn cancel(ctx: Context) -> String {
    ctx.cancelled().await;
    "stopped".to_owned()
}

/// Tells its progress, sends another task and waits for its result.
#[task(name = "isolated.parent", isolated)]
async fn parent(ctx: Context, x: i64, y: i64) -> Result<i64, TaskError> {
    ctx.progress(1, 2).await?;
    let child = add.call(x, y).send(&ctx).await?;
    Ok(child.get(Duration::from_secs(20)).await?)
}

/// Says something to whoever reads.
#[allow(clippy::print_stdout, reason = "it is what this task is for")]
#[task(name = "isolated.print", isolated)]
fn print(text: String) {
    println!("{text}");
    eprintln!("{text}, again");
}

/// Starts a process that outlives this task, and returns its id.
#[task(name = "isolated.spawn", isolated)]
fn spawn() -> Result<u32, TaskError> {
    Ok(Command::new("sleep").arg("1000").spawn()?.id())
}

/// Leaves a process behind that nobody waits for, and says how its shell ended.
#[task(name = "isolated.orphan", isolated)]
fn orphan() -> Result<Option<i32>, TaskError> {
    crate::leave_orphan()
}

/// Asks for more at once than its node does at once; says how many had an answer.
#[task(name = "isolated.ask_much", isolated)]
async fn ask_much(ctx: Context, n: u32) -> Result<usize, TaskError> {
    // One that is not waited for is done all the same, and takes its place.
    for _ in 0..n {
        let _ = ctx.progress(0, 1).now_or_never();
    }
    let asks = (0..n).map(|at| ctx.progress(u64::from(at), u64::from(n)));
    Ok(try_join_all(asks).await?.len())
}
