//! Process 1 of a container, made with a namespace of process ids.

use std::time::Duration;

use celeriac::State;
use celeriac_tests::eventually::{eventually, patience};
use celeriac_tests::program::Program;
use celeriac_tests::servers;

use super::{last_line, sender, unique};

/// The fields of a process that tell its family: id, state, parent, id in its namespace.
struct Process {
    pid: u32,
    state: String,
    parent: u32,
    inside: u32,
}

fn processes() -> Vec<Process> {
    let read = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().to_owned())
        };
        Some(Process {
            pid,
            state: field("State:")?,
            parent: field("PPid:")?.parse().ok()?,
            inside: field("NSpid:")?.split_whitespace().last()?.parse().ok()?,
        })
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(read).collect()
}

fn child_of(parent: u32) -> Option<Process> {
    processes().into_iter().find(|one| one.parent == parent)
}

fn kill(signal: &str, pid: u32) {
    let pid = pid.to_string();
    let status = std::process::Command::new("kill")
        .args([signal, &pid])
        .status();
    assert!(status.unwrap().success());
}

/// S51: as process 1 a node waits for whatever is left to it, takes no end from who started
/// a process in it, ends at SIGTERM with 0, and its isolated tasks' processes go with it.
#[tokio::test(flavor = "multi_thread")]
async fn process_1_reaps_what_is_left_to_it() {
    let (amqp, redis, queue) = (servers::amqp_url(), servers::redis_url(), unique("first"));
    let name = format!("node@{queue}");
    let mut node = Program::first_process("demo-node", &name, &amqp, &redis, &["-Q", &queue]).await;
    let outside = child_of(node.pid().unwrap()).unwrap();
    assert_eq!(outside.inside, 1);
    let app = sender(&amqp, &queue);
    let mut sent = Vec::new();
    for _ in 0..10 {
        for task in ["demo.orphan", "isolated.orphan"] {
            sent.push(app.call::<i64>(task).send(&app).await.unwrap());
        }
    }
    for result in &sent {
        let document = result.ready(patience()).await.unwrap();
        assert_eq!(document.status, State::Success, "{document:?}");
        // The shell's own status, which who started it hears.
        assert_eq!(document.result, celeriac::Value::Int(3));
    }
    eventually(
        "what the shells left behind ended and was waited for",
        || async {
            let of = |pid| processes().into_iter().filter(move |one| one.parent == pid);
            let left = of(outside.pid).count();
            let zombies = of(outside.pid)
                .filter(|one| one.state.starts_with('Z'))
                .count();
            (left == 1 && zombies == 0).then_some(())
        },
    )
    .await;
    kill("-TERM", outside.pid);
    assert_eq!(
        node.ended(Duration::from_secs(20)).await,
        0,
        "{}",
        node.log()
    );
    assert!(
        last_line(&node.log()).contains("stopped: drained; 20 tasks finished"),
        "{}",
        node.log()
    );
    app.close().await;
}

/// S51: a node that something kills says by what, where nobody else can.
#[tokio::test(flavor = "multi_thread")]
async fn process_1_says_which_signal_ended_the_node() {
    let (amqp, redis, queue) = (servers::amqp_url(), servers::redis_url(), unique("killed"));
    let name = format!("node@{queue}");
    let options = ["-Q", &queue, "--log-format", "json"];
    let mut node = Program::first_process("demo-node", &name, &amqp, &redis, &options).await;
    let outside = child_of(node.pid().unwrap()).unwrap();
    let inside = child_of(outside.pid).unwrap();
    kill("-ABRT", inside.pid);
    assert_eq!(node.ended(Duration::from_secs(20)).await, 134);
    let log = node.log();
    let line: serde_json::Value = serde_json::from_str(last_line(&log)).unwrap();
    assert_eq!(line["level"], "ERROR", "{log}");
    assert_eq!(
        line["fields"]["message"], "ended by signal 6 (SIGABRT)",
        "{log}"
    );
}
