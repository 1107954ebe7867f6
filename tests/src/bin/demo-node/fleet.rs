//! Tasks that write down that they run, in a file that outlives every node.

use std::time::Duration;

use celeriac::{AppBuilder, Context, task};
use celeriac_tests::ledger::{self, Word};

/// How often a long task writes that it still runs.
const BEAT: Duration = Duration::from_millis(100);

/// Adds all of them.
pub(crate) fn add_all(app: AppBuilder) -> AppBuilder {
    app.task(quick).task(wait).task(block).task(isolated)
}

/// Does nothing, and writes that it did.
#[task(name = "fleet.quick")]
async fn quick(ctx: Context, file: String) -> String {
    ledger::note(&file, Word::Begin, &ctx);
    ledger::note(&file, Word::End, &ctx);
    ctx.request().hostname.clone()
}

/// Waits, and says which node ran it.
#[task(name = "fleet.wait")]
async fn wait(ctx: Context, file: String, seconds: f64) -> String {
    wait_for(&ctx, &file, seconds).await
}

/// The same in a process of its own.
#[task(name = "fleet.isolated", isolated)]
async fn isolated(ctx: Context, file: String, seconds: f64) -> String {
    wait_for(&ctx, &file, seconds).await
}

async fn wait_for(ctx: &Context, file: &str, seconds: f64) -> String {
    ledger::note(file, Word::Begin, ctx);
    for step in steps(seconds) {
        tokio::time::sleep(step).await;
        ledger::note(file, Word::Alive, ctx);
    }
    ledger::note(file, Word::End, ctx);
    ctx.request().hostname.clone()
}

/// The same, and keeps its thread.
#[allow(
    clippy::disallowed_methods,
    reason = "to block its thread is what this task is for"
)]
#[task(name = "fleet.block")]
fn block(ctx: Context, file: String, seconds: f64) -> String {
    ledger::note(&file, Word::Begin, &ctx);
    for step in steps(seconds) {
        std::thread::sleep(step);
        ledger::note(&file, Word::Alive, &ctx);
    }
    ledger::note(&file, Word::End, &ctx);
    ctx.request().hostname.clone()
}

fn steps(seconds: f64) -> impl Iterator<Item = Duration> {
    let mut left = Duration::from_secs_f64(seconds);
    std::iter::from_fn(move || {
        let step = left.min(BEAT);
        left -= step;
        (!step.is_zero()).then_some(step)
    })
}
