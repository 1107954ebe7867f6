//! Runs roles as processes and takes their figures.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What one run of one role took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) tasks: usize,
    /// From the first to the last task.
    pub(crate) seconds: f64,
    /// User and system time of the process in the meantime.
    pub(crate) cpu_seconds: f64,
}

impl Sample {
    pub(crate) fn rate(&self) -> f64 {
        self.tasks as f64 / self.seconds
    }

    /// CPU time of one task, in microseconds.
    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.tasks as f64
    }
}

/// Plays a role in a process of its own and returns what it says of itself.
pub(crate) fn role(name: &str, tasks: usize, queue: &str) -> Sample {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--role",
            name,
            "--tasks",
            &tasks.to_string(),
            "--queue",
            queue,
        ])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "role {name} failed");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "role {name}: {error}: {}",
            String::from_utf8_lossy(&output.stdout)
        )
    })
}

/// A stopwatch of wall and CPU time of this process.
pub(crate) struct Watch {
    wall: Instant,
    cpu: f64,
}

impl Watch {
    pub(crate) fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu: cpu_seconds(std::process::id()),
        }
    }

    pub(crate) fn stop(self, tasks: usize) -> Sample {
        Sample {
            tasks,
            seconds: self.wall.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds(std::process::id()) - self.cpu,
        }
    }
}

/// User and system time of a process, in seconds, from the kernel's books.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return 0.0;
    };
    // The name in brackets may hold blanks; utime and stime are fields 14 and 15.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

/// The resident memory of a stock node that has nothing to do, in MiB.
pub(crate) fn idle_node_memory() -> f64 {
    let binary = release_binary("celeriac");
    let queue = fresh_queue();
    let name = format!("{queue}@bench");
    let mut node = Command::new(&binary)
        .args([
            "node",
            "-b",
            &amqp_url(),
            "-r",
            "rpc://",
            "-Q",
            &queue,
            "-n",
            &name,
            "-l",
            "error",
        ])
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "{}: {error}; build it with cargo build --release",
                binary.display()
            )
        });
    // Long enough for connections, queues and a few heartbeats.
    let until = Instant::now() + Duration::from_secs(8);
    let mut highest = 0.0_f64;
    while Instant::now() < until {
        highest = highest.max(resident_mib(node.id()));
        pause(Duration::from_millis(200));
    }
    assert!(node.try_wait().unwrap().is_none(), "the node runs");
    node.kill().unwrap();
    node.wait().unwrap();
    delete_queue(&queue);
    highest
}

/// The resident memory of a process, in MiB.
pub(crate) fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or("0 kB");
    line.trim()
        .trim_end_matches(" kB")
        .parse::<f64>()
        .unwrap_or_default()
        / 1024.0
}

pub(crate) fn release_binary(name: &str) -> PathBuf {
    // .../target/release/deps/throughput-*
    let here = std::env::current_exe().unwrap();
    here.parent().unwrap().parent().unwrap().join(name)
}

#[allow(
    clippy::disallowed_methods,
    reason = "a measuring loop outside any runtime"
)]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

pub(crate) fn amqp_url() -> String {
    std::env::var("CELERIAC_TEST_AMQP_URL")
        .expect("CELERIAC_TEST_AMQP_URL: run `./tests/run with cargo bench -p celeriac-tests`")
}

pub(crate) fn fresh_queue() -> String {
    format!("bench-{}", uuid::Uuid::new_v4())
}

pub(crate) fn delete_queue(queue: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let broker = celeriac::broker::open(&amqp_url()).unwrap();
        broker.delete_queue(queue).await.unwrap();
        broker.delete_queue(&format!("{queue}.dead")).await.unwrap();
        broker.close().await;
    });
}
