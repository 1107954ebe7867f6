//! The tasks that the tests send.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use celeriac::task::{Retry, TaskError};
use celeriac::{AppBuilder, Context, task};
use dashmap::DashMap;
use tokio::sync::Semaphore;

#[task]
pub async fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task]
pub fn multiply(x: i64, y: i64) -> i64 {
    x * y
}

#[task]
pub async fn total(numbers: Vec<i64>) -> i64 {
    numbers.iter().sum()
}

#[task]
pub async fn fail(text: String) -> Result<i64, TaskError> {
    Err(TaskError::python("ValueError", text))
}

#[task]
pub async fn parse(text: String) -> Result<i64, TaskError> {
    Ok(text.parse()?)
}

#[task]
pub async fn panics() -> i64 {
    panic!("at the disco")
}

#[task]
pub fn panics_on_a_thread() -> i64 {
    panic!("on a thread")
}

#[task(max_retries = 2)]
pub async fn retries(ctx: &Context, until: u32) -> Result<u32, TaskError> {
    match ctx.retries() {
        done if done >= until => Ok(done),
        _ => Err(Retry::default()
            .after(Duration::ZERO)
            .because(TaskError::python("OSError", "not yet"))
            .into()),
    }
}

#[task(max_retries = 1, backoff = "1ms")]
pub async fn flaky() -> Result<i64, TaskError> {
    Err(TaskError::python("ConnectionError", "reset"))
}

#[task]
pub async fn rejects() -> Result<i64, TaskError> {
    Err(TaskError::reject("not mine"))
}

#[task]
pub async fn ignores() -> Result<i64, TaskError> {
    Err(TaskError::Ignore)
}

#[task(acks_on_failure = false)]
pub async fn buried() -> Result<i64, TaskError> {
    Err(TaskError::message("bury me"))
}

/// What gated tasks share with the tests: which have started, how often, and whether
/// they may end.
pub struct Gate {
    pub open: Semaphore,
    pub starts: AtomicU64,
}

/// Gates by name: each test has its own.
pub type Gates = Arc<DashMap<String, Arc<Gate>>>;

pub fn gates() -> &'static Gates {
    static GATES: std::sync::OnceLock<Gates> = std::sync::OnceLock::new();
    GATES.get_or_init(Gates::default)
}

pub fn gate(name: &str) -> Arc<Gate> {
    let new = || {
        Arc::new(Gate {
            open: Semaphore::new(0),
            starts: AtomicU64::new(0),
        })
    };
    Arc::clone(&gates().entry(name.to_owned()).or_insert_with(new))
}

impl Gate {
    pub fn starts(&self) -> u64 {
        self.starts.load(Ordering::SeqCst)
    }

    pub async fn started(&self, times: u64) {
        crate::eventually("the task starts", || async { self.starts() >= times }).await;
    }
}

/// Ends when the test lets it.
#[task]
pub async fn wait(name: String) -> String {
    let gate = gate(&name);
    gate.starts.fetch_add(1, Ordering::SeqCst);
    gate.open.acquire().await.unwrap().forget();
    name
}

/// The same, acknowledged before it runs.
#[task(acks_late = false)]
pub async fn wait_early(name: String) -> String {
    let gate = gate(&name);
    gate.starts.fetch_add(1, Ordering::SeqCst);
    gate.open.acquire().await.unwrap().forget();
    name
}

/// The same, with a state of its own on the way.
#[task(track_started)]
pub async fn wait_tracked(ctx: Context, name: String) -> celeriac::Result<(), celeriac::Error> {
    let gate = gate(&name);
    gate.starts.fetch_add(1, Ordering::SeqCst);
    gate.open.acquire().await.unwrap().forget();
    ctx.progress(1, 2).await?;
    gate.starts.fetch_add(1, Ordering::SeqCst);
    gate.open.acquire().await.unwrap().forget();
    Ok(())
}

/// Ends well when it is asked to stop.
#[task]
pub async fn listens(ctx: Context, name: String) -> String {
    gate(&name).starts.fetch_add(1, Ordering::SeqCst);
    tokio::select! {
        () = ctx.soft_limit() => "soft limit".to_owned(),
        () = ctx.cancelled() => "cancelled".to_owned(),
    }
}

/// Holds what panics when it is dropped.
#[task]
pub async fn drops_badly(name: String) -> i64 {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("dropped badly");
        }
    }
    gate(&name).starts.fetch_add(1, Ordering::SeqCst);
    let bad = Bad;
    std::future::pending::<()>().await;
    drop(bad);
    1
}

/// Blocks its thread until it is asked to stop.
#[task]
pub fn blocks(ctx: Context, name: String) -> bool {
    let gate = gate(&name);
    gate.starts.fetch_add(1, Ordering::SeqCst);
    while gate.open.try_acquire().is_err() {
        std::thread::yield_now();
    }
    ctx.is_cancelled()
}

/// Blocks its thread until the test lets it, acknowledged before it runs.
#[task(acks_late = false)]
pub fn blocks_early(name: String) {
    let gate = gate(&name);
    gate.starts.fetch_add(1, Ordering::SeqCst);
    while gate.open.try_acquire().is_err() {
        std::thread::yield_now();
    }
}

pub fn all(builder: AppBuilder) -> AppBuilder {
    builder
        .task(add)
        .task(multiply)
        .task(total)
        .task(fail)
        .task(parse)
        .task(panics)
        .task(panics_on_a_thread)
        .task(retries)
        .task(flaky)
        .task(rejects)
        .task(ignores)
        .task(buried)
        .task(wait)
        .task(wait_early)
        .task(wait_tracked)
        .task(listens)
        .task(drops_badly)
        .task(blocks)
        .task(blocks_early)
}
