//! Isolated tasks on a broker and a backend in memory, which no other process can reach.
//! Guarantees S27 and S28.
//!
//! A program with a main of its own, as its children are the same program.
#![allow(clippy::unwrap_used, missing_docs)]

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use celeriac::canvas::chord;
use celeriac::protocol::{ResultDocument, State};
use celeriac::task::Retry;
use celeriac::{App, Call, Context, TaskError, Value, task};
use celeriac_node::isolation::{self, Isolation};
use celeriac_node::{Config, Node, Shutdown};

/// Set for the run of this program that does not call `enter`.
const FORGETFUL: &str = "CELERIAC_TEST_FORGETFUL";

const PATIENCE: Duration = Duration::from_secs(60);

#[task(isolated)]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task(isolated)]
fn sum(numbers: Vec<i64>) -> i64 {
    numbers.iter().sum()
}

/// Sends a chord from a process and waits for its body.
#[task(isolated)]
async fn conduct(ctx: Context) -> Result<i64, TaskError> {
    let header = [add.call(1, 2), add.call(3, 4)];
    let body: Call<i64> = chord(header, sum.partial()).into();
    let sent = body.send(&ctx).await?;
    Ok(sent.get(PATIENCE).await?)
}

/// Adds to the chord that it is in.
#[task(isolated)]
async fn join_in(ctx: Context) -> Result<i64, TaskError> {
    ctx.add_to_chord(add.call(10, 20)).await?;
    Ok(5)
}

#[task(isolated)]
async fn again(ctx: Context) -> Result<u32, TaskError> {
    match ctx.retries() {
        2 => Ok(2),
        _ => Err(Retry::default().after(Duration::from_millis(10)).into()),
    }
}

#[task(isolated)]
async fn other(ctx: Context) -> Result<i64, TaskError> {
    Err(ctx.replace(add.call(40, 2)))
}

#[task(isolated)]
async fn pid() -> u32 {
    std::process::id()
}

#[task(isolated)]
async fn nap(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Keeps a thread of the node, as no asynchronous task should.
#[allow(clippy::disallowed_methods, reason = "it is what this task is for")]
#[task]
async fn block(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// Starts this program, which is no child of the node, and waits for its end.
#[task(isolated)]
fn grandchild() -> Result<bool, TaskError> {
    let this = std::env::current_exe()?;
    let ended = Command::new(this).env(FORGETFUL, "grandchild").status()?;
    Ok(ended.success())
}

fn app() -> celeriac::Result<App> {
    App::builder("isolation")
        .broker("memory://")
        .backend("memory://")
        .task(add)
        .task(sum)
        .task(conduct)
        .task(join_in)
        .task(again)
        .task(other)
        .task(grandchild)
        .task(pid)
        .task(nap)
        .task(block)
        .build()
}

fn main() -> ExitCode {
    let forgetful = std::env::var(FORGETFUL).ok();
    if forgetful.as_deref() == Some("grandchild") {
        // What a task starts is not taken for a child of the node.
        assert!(!isolation::is_child());
        return ExitCode::SUCCESS;
    }
    if forgetful.is_none()
        && let Some(status) = isolation::enter(app)
    {
        return status;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if forgetful.is_some() {
        return match runtime.block_on(forget()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    no_child_becomes_a_node();
    println!("a child whose node is gone ends: ok");
    runtime.block_on(remember());
    println!("what a task in a process sends and stores goes through its node: ok");
    runtime.block_on(outlast());
    println!("a process that dies or sleeps while it is idle is no lost run: ok");
    runtime.block_on(look_on());
    println!("blocking code in the node harms no process: ok");
    let this = std::env::current_exe().unwrap();
    let ended = Command::new(this).env(FORGETFUL, "1").status().unwrap();
    assert!(ended.success());
    println!("a program that forgets to enter is told so: ok");
    ExitCode::SUCCESS
}

async fn with_node<F: Future<Output = ()>>(test: impl FnOnce(App) -> F) -> celeriac::Result<()> {
    let app = app()?;
    let config = Config {
        isolation: Isolation {
            silence: Duration::from_secs(2),
            ..Isolation::default()
        },
        ..Config::default()
    };
    let node = Node::new(app.clone(), config)?;
    let (handle, shutdown) = (node.handle(), Shutdown::new());
    let running = tokio::spawn(node.run(shutdown.clone()));
    assert!(handle.wait_ready().await);
    test(app.clone()).await;
    shutdown.drain();
    running.await.unwrap()?;
    app.close().await;
    Ok(())
}

async fn run<R: serde::de::DeserializeOwned>(app: &App, call: Call<R>) -> ResultDocument {
    let sent = call.send(app).await.unwrap();
    let document = sent.ready(PATIENCE).await.unwrap();
    assert_eq!(document.status, State::Success, "{document:?}");
    document
}

/// S27: a child whose node died before it came to `enter` ends; what a task starts is no
/// child, and no node either.
fn no_child_becomes_a_node() {
    let this = std::env::current_exe().unwrap();
    let program = || {
        let mut program = Command::new(&this);
        program.env("CELERIAC_ISOLATED_BY", std::process::id().to_string());
        program
    };
    let (line, node) = UnixStream::pair().unwrap();
    drop(node);
    let orphan = program().stdin(OwnedFd::from(line)).output().unwrap();
    let told = String::from_utf8_lossy(&orphan.stderr);
    assert_eq!(orphan.status.code(), Some(70), "{told}");
    assert!(told.contains("expected a welcome from the node"), "{told}");
    assert_eq!(String::from_utf8_lossy(&orphan.stdout), "");

    let started = program().env(FORGETFUL, "1").stdin(Stdio::null()).output();
    let started = started.unwrap();
    let told = String::from_utf8_lossy(&started.stderr);
    assert_eq!(started.status.code(), Some(1), "{told}");
    assert!(told.contains("no node in an isolated task"), "{told}");
}

/// S27: tasks in processes take part in workflows like any other.
async fn remember() {
    let test = |app: App| async move {
        let conducted = run(&app, conduct.call()).await;
        assert_eq!(conducted.result, Value::Int(10));
        assert_eq!(conducted.children.map(|all| all.len()), Some(1));
        let joined: Call<i64> = chord([join_in.call(), add.call(1, 1)], sum.partial()).into();
        assert_eq!(run(&app, joined).await.result, Value::Int(37));
        assert_eq!(run(&app, again.call()).await.result, Value::Int(2));
        assert_eq!(run(&app, other.call()).await.result, Value::Int(42));
        assert_eq!(run(&app, grandchild.call()).await.result, Value::Bool(true));
    };
    with_node(test).await.unwrap();
}

/// S28: what becomes of a process that is idle concerns no task, even if the next one is
/// given to it before the node knows.
async fn outlast() {
    let test = |app: App| async move {
        for signal in ["-STOP", "-KILL"] {
            let first = run(&app, pid.call()).await.result;
            let id = first.as_i64().unwrap().to_string();
            let sent = Command::new("kill").args([signal, &id]).status();
            assert!(sent.unwrap().success());
            assert_ne!(run(&app, pid.call()).await.result, first);
        }
    };
    with_node(test).await.unwrap();
}

/// S27: code that keeps every thread of the node for longer than a process may be silent
/// delays no sign of life.
async fn look_on() {
    let test = |app: App| async move {
        run(&app, pid.call()).await;
        let threads = std::thread::available_parallelism().unwrap().get();
        let long = nap.call(3500).send(&app).await.unwrap();
        for _ in 0..threads {
            block.call(3000).send(&app).await.unwrap();
        }
        let document = long.ready(PATIENCE).await.unwrap();
        assert_eq!(document.status, State::Success, "{document:?}");
    };
    with_node(test).await.unwrap();
}

/// S28: a task that can get no process fails, and says what to do.
async fn forget() -> celeriac::Result<()> {
    let test = |app: App| async move {
        let sent = add.call(1, 2).send(&app).await.unwrap();
        let document = sent.ready(PATIENCE).await.unwrap();
        let text = document.exception().unwrap().repr();
        assert!(
            text.starts_with("WorkerLostError('no process for an isolated task: "),
            "{text}"
        );
        assert!(
            text.contains("calls celeriac_node::isolation::enter first"),
            "{text}"
        );
        // Its result is stored before its message goes there.
        let dead = async {
            loop {
                let dead = app.broker().queue("celery.dead").await.unwrap();
                if dead.is_some_and(|dead| dead.ready == 1) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, dead).await.unwrap();
    };
    with_node(test).await
}
