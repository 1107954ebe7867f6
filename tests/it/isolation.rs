//! Tasks with a process of their own, and what becomes of those processes. Guarantees
//! S27 and S28.

use std::path::Path;
use std::time::{Duration, Instant};

use celeriac::control::Command;
use celeriac::protocol::control::Signal;
use celeriac::protocol::{Exception, ResultDocument, State};
use celeriac::result::AsyncResult;
use celeriac::{App, Call, Value};
use celeriac_tests::eventually::{eventually, patience};
use celeriac_tests::program::Program;
use celeriac_tests::servers;
use futures_util::future::try_join_all;

/// A node of isolated tasks on a queue of its own.
struct Rig {
    name: String,
    queue: String,
    node: Program,
    app: App,
}

impl Rig {
    async fn start(more: &[&str]) -> Self {
        Self::with("4", more).await
    }

    async fn with(concurrency: &str, more: &[&str]) -> Self {
        let queue = format!("isolated-{}", uuid::Uuid::new_v4());
        let name = format!("node@{queue}");
        let (amqp, redis) = (servers::amqp_url(), servers::redis_url());
        let mut options = vec!["--default-queue", &queue, "-c", concurrency];
        options.extend(more);
        let node = Program::node(&name, &amqp, &redis, &options).await;
        let app = App::builder("test")
            .broker(&amqp)
            .backend(&redis)
            .default_queue(&queue)
            .build()
            .unwrap();
        Self {
            name,
            queue,
            node,
            app,
        }
    }

    fn call(&self, task: &str) -> Call<Value> {
        self.app.call(format!("isolated.{task}"))
    }

    async fn send(&self, call: Call<Value>) -> AsyncResult<Value> {
        call.send(&self.app).await.unwrap()
    }

    async fn run(&self, call: Call<Value>) -> ResultDocument {
        self.send(call).await.ready(patience()).await.unwrap()
    }

    async fn value(&self, call: Call<Value>) -> Value {
        let document = self.run(call).await;
        assert_eq!(document.status, State::Success, "{document:?}");
        document.result
    }

    async fn failure(&self, call: Call<Value>) -> Exception {
        let document = self.run(call).await;
        assert_eq!(document.status, State::Failure, "{document:?}");
        document.exception().unwrap()
    }

    /// What is told of a process that is gone.
    async fn lost(&self, call: Call<Value>) -> String {
        let exception = self.failure(call).await;
        assert_eq!(
            (exception.exc_type.as_str(), exception.exc_module.as_deref()),
            ("WorkerLostError", Some("billiard.exceptions"))
        );
        exception.exc_message[0].as_str().unwrap().to_owned()
    }

    /// The process that runs a task, once it does.
    async fn worker_of(&self, id: &str) -> u32 {
        eventually("the task runs in a process of its own", || async {
            let control = self.app.control().to([&self.name]);
            let replies = control.ask(Command::active(false)).await.ok()?;
            let tasks = replies.get(&self.name)?.as_array()?.to_vec();
            let mut tasks = tasks.iter().filter_map(Value::as_map);
            let task = tasks.find(|task| task.get("id") == Some(&Value::from(id)))?;
            let pid = u32::try_from(task.get("worker_pid")?.as_i64()?).ok()?;
            (Some(pid) != self.node.pid()).then_some(pid)
        })
        .await
    }

    async fn stop(mut self) {
        assert_eq!(self.node.terminate().await, 0, "{}", self.node.log());
        self.app.close().await;
    }
}

fn is_alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| !status.contains("\nState:\tZ"))
}

async fn is_gone(pid: u32) {
    eventually("the process is gone", || async {
        (!is_alive(pid)).then_some(())
    })
    .await;
}

fn kill(signal: &str, pid: u32) {
    let status = std::process::Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    assert!(status.unwrap().success());
}

fn pid(value: &Value) -> u32 {
    u32::try_from(value.as_i64().unwrap()).unwrap()
}

/// S27: values, failures, panics, states and calls of a task in a process are those of
/// any task; processes stay, one is enough for one task after the other, and they go with
/// their node.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_in_a_process_is_as_any_other() {
    let rig = Rig::start(&[]).await;
    let first = pid(&rig.value(rig.call("pid")).await);
    assert_ne!(Some(first), rig.node.pid());
    assert_eq!(
        rig.value(rig.call("add").arg(2).arg(3)).await,
        Value::Int(5)
    );
    assert_eq!(pid(&rig.value(rig.call("pid")).await), first);

    let failure = rig.failure(rig.call("fail").arg("boom")).await;
    assert_eq!(failure.repr(), "ValueError('boom')");
    let panic = rig.failure(rig.call("panic").arg("ouch")).await;
    assert_eq!(panic.repr(), "RuntimeError('task panicked: ouch')");
    let wrong = rig.failure(rig.call("add").arg(1)).await;
    assert_eq!(wrong.exc_type, "TypeError");

    let sent = rig.send(rig.call("parent").arg(20).arg(22)).await;
    let document = sent.ready(patience()).await.unwrap();
    assert_eq!(document.result, Value::Int(42), "{document:?}");
    assert_eq!(document.children.map(|all| all.len()), Some(1));

    rig.value(rig.call("print").arg("hello from a task")).await;
    eventually("what a task prints is in the node's log", || async {
        let log = rig.node.log();
        let told =
            |line: &str| line.contains("isolated.print") && line.contains("hello from a task");
        (log.lines().filter(|line| told(line)).count() == 2).then_some(())
    })
    .await;
    assert!(is_alive(first));
    rig.stop().await;
    is_gone(first).await;
}

/// S28: whatever ends a process, it is the end of one run, and told as Celery tells it.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_is_one_lost_run() {
    let rig = Rig::start(&[]).await;
    let told = rig.lost(rig.call("abort")).await;
    assert!(
        told.starts_with("Worker exited prematurely: signal 6 (SIGABRT) Job: "),
        "{told}"
    );
    let told = rig.lost(rig.call("exit").arg(3)).await;
    assert!(
        told.starts_with("Worker exited prematurely: exitcode 3 Job: "),
        "{told}"
    );
    let told = rig.lost(rig.call("overflow")).await;
    assert!(told.contains(": signal "), "{told}");

    let sent = rig.send(rig.call("sleep").arg(60.0)).await;
    kill("-KILL", rig.worker_of(sent.id()).await);
    let document = sent.ready(patience()).await.unwrap();
    let told = document.exception().unwrap().repr();
    assert!(told.contains("signal 9 (SIGKILL) Job: "), "{told}");
    assert_eq!(document.traceback, None);

    // The node is as it was.
    assert_eq!(
        rig.value(rig.call("add").arg(2).arg(3)).await,
        Value::Int(5)
    );
    rig.stop().await;
}

/// S28: a task that kills every process that runs it is delivered once more, when it
/// wants to be, and is then a failure and a dead letter.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_kills_its_processes_does_not_go_round() {
    let rig = Rig::start(&[]).await;
    let told = rig.lost(rig.call("abort_twice")).await;
    assert!(told.contains("signal 6 (SIGABRT)"), "{told}");
    let log = rig.node.log();
    let deaths = log
        .lines()
        .filter(|line| line.contains("process of the task died"));
    assert_eq!(deaths.count(), 2, "{log}");
    let dead = format!("{}.dead", rig.queue);
    eventually("its message is a dead letter", || async {
        let status = rig.app.broker().queue(&dead).await.ok()??;
        (status.ready == 1).then_some(())
    })
    .await;
    rig.stop().await;
}

/// S27: a hard time limit ends code that listens to nobody; its place is free at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_hard_limit_ends_a_busy_loop() {
    let rig = Rig::with("1", &[]).await;
    let start = Instant::now();
    let sent = rig
        // Long enough to be seen at work, when the machine is busy as well.
        .send(rig.call("spin").time_limit(Duration::from_secs(6)))
        .await;
    let spinning = rig.worker_of(sent.id()).await;
    let document = sent.ready(patience()).await.unwrap();
    assert_eq!(document.exception().unwrap().repr(), "TimeLimitExceeded(6)");
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    is_gone(spinning).await;
    assert_eq!(
        rig.value(rig.call("add").arg(2).arg(3)).await,
        Value::Int(5)
    );

    let soft = rig.call("heed").soft_time_limit(Duration::from_millis(300));
    assert_eq!(rig.value(soft).await, Value::from("heard"));
    // Who does not heed it has the grace, and no more.
    let soft = rig.call("spin").soft_time_limit(Duration::from_millis(300));
    assert_eq!(rig.failure(soft).await.exc_type, "SoftTimeLimitExceeded");
    rig.stop().await;
}

/// S27: a terminating revoke sends its signal to the process, busy or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_task_gets_the_signal() {
    let rig = Rig::start(&[]).await;
    for signal in [Signal::TERM, Signal::KILL] {
        let sent = rig.send(rig.call("spin")).await;
        let worker = rig.worker_of(sent.id()).await;
        let revoke = Command::revoke([sent.id()]).terminate(signal);
        rig.app
            .control()
            .to([&rig.name])
            .cast(revoke)
            .await
            .unwrap();
        let document = sent.ready(patience()).await.unwrap();
        assert_eq!(document.status, State::Revoked);
        assert_eq!(
            document.exception().unwrap().repr(),
            "TaskRevokedError('terminated')"
        );
        is_gone(worker).await;
    }
    rig.stop().await;
}

/// S27: memory is bounded in each process, and only idle processes are replaced.
#[tokio::test(flavor = "multi_thread")]
async fn memory_and_tasks_of_a_process_are_bounded() {
    let rig = Rig::with("1", &["--memory-limit-per-child", "200000"]).await;
    assert_eq!(rig.value(rig.call("hog").arg(20)).await, Value::Int(20));
    let told = rig.lost(rig.call("hog").arg(4000)).await;
    assert!(
        told.contains("memory limit of 196 MiB exceeded with "),
        "{told}"
    );
    rig.stop().await;

    let options = [
        "--max-tasks-per-child",
        "2",
        "--max-memory-per-child",
        "100000",
    ];
    let rig = Rig::with("1", &options).await;
    let mut pids = Vec::new();
    for _ in 0..4 {
        pids.push(pid(&rig.value(rig.call("pid")).await));
    }
    assert_eq!(pids[0], pids[1]);
    assert_eq!(pids[2], pids[3]);
    assert_ne!(pids[1], pids[2]);
    is_gone(pids[0]).await;
    rig.stop().await;
}

/// S27: no process outlives its node, not even one that is busy in a loop, nor what it
/// started.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_leaves_no_orphans() {
    let mut rig = Rig::start(&[]).await;
    let started = pid(&rig.value(rig.call("spawn")).await);
    assert!(is_alive(started));
    let sent = rig.send(rig.call("spin")).await;
    let idle = pid(&rig.value(rig.call("pid")).await);
    let busy = rig.worker_of(sent.id()).await;
    assert!(Path::new(&format!("/proc/{busy}")).exists());
    rig.node.kill().await;
    for process in [busy, idle, started] {
        is_gone(process).await;
    }
    rig.app.close().await;
}

/// S21, S27: a node that is told to stop lets its processes end their tasks; past the
/// deadline they are asked, then killed, and the task is another node's.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_drains_its_processes() {
    let rig = Rig::start(&[]).await;
    let sent = rig.send(rig.call("sleep").arg(1.5)).await;
    let worker = rig.worker_of(sent.id()).await;
    // A terminal's signal for the whole group must not end a process early.
    rig.stop().await;
    is_gone(worker).await;
    let app = reader();
    let document = app
        .result::<Value>(sent.id())
        .ready(patience())
        .await
        .unwrap();
    assert_eq!(document.status, State::Success);

    let mut rig = Rig::start(&["--drain-deadline", "1s"]).await;
    let (heeds, spins) = (
        rig.send(rig.call("cancel")).await,
        rig.send(rig.call("spin")).await,
    );
    let worker = rig.worker_of(spins.id()).await;
    rig.worker_of(heeds.id()).await;
    assert_eq!(rig.node.terminate().await, 0);
    is_gone(worker).await;
    let document = app
        .result::<Value>(heeds.id())
        .ready(patience())
        .await
        .unwrap();
    assert_eq!(document.result, Value::from("stopped"));
    eventually("the other task is with the broker again", || async {
        let status = rig.app.broker().queue(&rig.queue).await.ok()??;
        (status.ready == 1).then_some(())
    })
    .await;
    rig.app.close().await;
    app.close().await;
}

/// S21, S28: a service manager tells every process of a service to end. The node drains,
/// and the task that has lost its process is another node's.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_with_its_node_is_no_lost_run() {
    let mut rig = Rig::start(&[]).await;
    let sent = rig.send(rig.call("sleep").arg(600.0)).await;
    kill("-TERM", rig.worker_of(sent.id()).await);
    assert_eq!(rig.node.terminate().await, 0, "{}", rig.node.log());
    eventually("its task is with the broker again", || async {
        let status = rig.app.broker().queue(&rig.queue).await.ok()??;
        (status.ready == 1).then_some(())
    })
    .await;
    rig.app.close().await;
}

/// S27: a node that stops without waiting gives nothing back that still runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_kills_before_it_gives_back() {
    let mut rig = Rig::start(&[]).await;
    let sent = rig.send(rig.call("spin")).await;
    let worker = rig.worker_of(sent.id()).await;
    let node = rig.node.pid().unwrap();
    kill("-TERM", node);
    eventually("the node drains", || async {
        rig.node.log().contains("Draining").then_some(())
    })
    .await;
    kill("-TERM", node);
    eventually("its task is with the broker again", || async {
        let status = rig.app.broker().queue(&rig.queue).await.ok()??;
        (status.ready == 1).then_some(())
    })
    .await;
    assert!(!is_alive(worker));
    rig.node.kill().await;
    rig.app.close().await;
}

/// S27: a task may ask for as much at once as any other. The system ends its process
/// rather than the node when it lacks memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_the_weaker_part() {
    let rig = Rig::start(&[]).await;
    let asked = rig.value(rig.call("ask_much").arg(3000)).await;
    assert_eq!(asked, Value::Int(3000));
    let child = pid(&rig.value(rig.call("pid")).await);
    let score = |pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
        text.trim().parse::<i32>().unwrap()
    };
    let node = score(rig.node.pid().unwrap());
    assert_eq!(score(child), (node + 500).min(1000));
    rig.stop().await;
}

fn reader() -> App {
    App::builder("reader")
        .backend(servers::redis_url())
        .build()
        .unwrap()
}

/// S12, S27: processes are as many as places; idle ones are used before others start.
#[tokio::test(flavor = "multi_thread")]
async fn processes_run_side_by_side_and_are_bounded() {
    let rig = Rig::with("3", &[]).await;
    let naps = (0..9).map(|_| rig.call("sleep").arg(0.3).send(&rig.app));
    let naps = try_join_all(naps).await.unwrap();
    let ends = naps.iter().map(|nap| nap.get(patience()));
    let mut pids: Vec<u32> = try_join_all(ends).await.unwrap().iter().map(pid).collect();
    pids.sort_unstable();
    pids.dedup();
    assert!((2..=3).contains(&pids.len()), "{pids:?}");
    let stats = rig.app.control().to([&rig.name]);
    let stats = stats.ask(Command::stats()).await.unwrap();
    let pool = stats.get(&rig.name).and_then(Value::as_map).unwrap();
    let pool = pool.get("pool").and_then(Value::as_map).unwrap();
    let processes = pool.get("processes").and_then(Value::as_array).unwrap();
    let mut told: Vec<u32> = processes.iter().map(pid).collect();
    told.sort_unstable();
    assert_eq!(told, pids);

    // Not one of many short tasks is lost, and none takes long.
    let start = Instant::now();
    let sums = (0..500_i64).map(|n| rig.call("add").arg(n).arg(n).send(&rig.app));
    let sums = try_join_all(sums).await.unwrap();
    let ends = try_join_all(sums.iter().map(|sum| sum.get(patience())))
        .await
        .unwrap();
    let expected: Vec<_> = (0..500).map(|n| Value::Int(2 * n)).collect();
    assert_eq!(ends, expected);
    println!("500 isolated tasks took {:?}", start.elapsed());
    rig.stop().await;
}
