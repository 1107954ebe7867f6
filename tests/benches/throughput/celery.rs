//! Celery's own worker, draining the same messages.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::measure::{Sample, amqp_url, cpu_seconds, pause};

/// The task that the messages ask for.
const PROGRAM: &str = "
import os
from celery import Celery

app = Celery('bench', broker=os.environ['BENCH_BROKER'])
app.conf.worker_prefetch_multiplier = 100
app.conf.task_ignore_result = True
app.conf.task_default_queue = os.environ['BENCH_QUEUE']

@app.task(name='bench.noop', ignore_result=True)
def noop():
    pass
";

/// Starts a worker on a filled queue and times it until the queue is empty.
pub(crate) fn drain(pool: &str, tasks: usize, queue: &str) -> Sample {
    let python = std::env::var("CELERIAC_TEST_PYTHON").expect("CELERIAC_TEST_PYTHON");
    let folder = std::env::temp_dir().join(queue);
    std::fs::create_dir_all(&folder).unwrap();
    let mut file = std::fs::File::create(folder.join("bench_tasks.py")).unwrap();
    file.write_all(PROGRAM.as_bytes()).unwrap();
    let concurrency = if pool == "prefork" { "2" } else { "10" };
    let mut worker = Command::new(python)
        .args([
            "-m",
            "celery",
            "-A",
            "bench_tasks",
            "worker",
            "-P",
            pool,
            "-c",
            concurrency,
        ])
        .args([
            "-Q",
            queue,
            "-n",
            queue,
            "-l",
            "error",
            "--without-gossip",
            "--without-mingle",
        ])
        .env("BENCH_BROKER", amqp_url())
        .env("BENCH_QUEUE", queue)
        .current_dir(&folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let sample = time(&worker, tasks, queue);
    stop(&mut worker);
    std::fs::remove_dir_all(&folder).unwrap();
    sample
}

/// From the first message taken to the last one acknowledged.
fn time(worker: &Child, tasks: usize, queue: &str) -> Sample {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let broker = {
        let _inside = runtime.enter();
        celeriac::broker::open(&amqp_url()).unwrap()
    };
    let ready = || {
        runtime
            .block_on(broker.queue(queue))
            .unwrap()
            .unwrap()
            .ready
    };
    let deadline = Instant::now() + Duration::from_secs(300);
    while ready() as usize >= tasks {
        assert!(Instant::now() < deadline, "celery's worker did not start");
        pause(Duration::from_millis(20));
    }
    let (start, cpu) = (Instant::now(), tree_cpu(worker.id()));
    while ready() > 0 {
        assert!(Instant::now() < deadline, "celery's worker did not finish");
        pause(Duration::from_millis(20));
    }
    let sample = Sample {
        tasks,
        seconds: start.elapsed().as_secs_f64(),
        cpu_seconds: tree_cpu(worker.id()) - cpu,
    };
    runtime.block_on(broker.close());
    sample
}

/// CPU time of a process and its children.
fn tree_cpu(pid: u32) -> f64 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let below: f64 = children
        .split_whitespace()
        .map(|pid| tree_cpu(pid.parse().unwrap()))
        .sum();
    cpu_seconds(pid) + below
}

fn stop(worker: &mut Child) {
    let pid = worker.id().to_string();
    let _ = Command::new("kill").args(["-TERM", &pid]).status();
    let deadline = Instant::now() + Duration::from_secs(20);
    while worker.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            worker.kill().unwrap();
        }
        pause(Duration::from_millis(50));
    }
}
