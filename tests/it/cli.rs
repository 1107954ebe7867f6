//! The command line, as a person uses it.

use std::process::Output;
use std::time::Duration;

use celeriac_tests::eventually::eventually;
use celeriac_tests::program::{Program, free_address};
use celeriac_tests::{http, servers};
use serde_json::json;
use tokio::process::Command;

pub(crate) async fn celeriac(arguments: &[&str]) -> Output {
    celeriac_with(arguments, &[]).await
}

async fn celeriac_with(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let run = Command::new(servers::binary_folder().join("celeriac"))
        .args(arguments)
        .env_remove("CELERY_BROKER_URL")
        .env_remove("CELERY_RESULT_BACKEND")
        .envs(environment.iter().copied())
        .current_dir(std::env::temp_dir())
        .stdin(std::process::Stdio::null())
        .output();
    tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .unwrap()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// S23: One command brings up a cluster that answers on page, API and command line.
#[tokio::test(flavor = "multi_thread")]
async fn up_is_a_whole_cluster_in_one_process() {
    let address = free_address();
    let api = format!("http://{address}");
    let mut up = Program::start(
        "celeriac",
        "up",
        &["up", "--nodes", "2", "--listen", &address],
    );
    eventually("both nodes are online", || async {
        let answer = http::get(&address, "/api/v1/nodes").await.ok()?;
        let nodes = answer.json()["nodes"].as_array()?.clone();
        let online = nodes
            .iter()
            .filter(|node| node["state"] == "online")
            .count();
        (online == 2).then_some(())
    })
    .await;

    let call = celeriac(&[
        "call",
        "celeriac.add",
        "--args",
        "[2, 3]",
        "--wait",
        "--api",
        &api,
    ])
    .await;
    assert_eq!(out(&call), "5", "{}", err(&call));

    let body = json!({"name": "celeriac.add", "args": ["two", 3], "wait_ms": 10_000});
    let failed = http::post(&address, "/api/v1/tasks", &body)
        .await
        .unwrap()
        .json();
    assert_eq!(failed["state"], "FAILURE", "{failed}");

    let status = celeriac(&["status", "--api", &api]).await;
    assert!(out(&status).ends_with("2 nodes online."), "{status:?}");
    for path in [
        "/livez",
        "/readyz",
        "/startupz",
        "/metrics",
        "/api/v1/openapi.json",
        "/",
    ] {
        assert_eq!(
            http::get(&address, path).await.unwrap().status,
            200,
            "{path}"
        );
    }
    assert_eq!(up.terminate().await, 0, "{}", up.log());
}

/// The whole way over RabbitMQ: node, supervisor, call, result, status, queues, purge.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_work_on_a_real_cluster() {
    let (amqp, redis) = (servers::amqp_url(), servers::redis_url());
    let queue = format!("cli-{}", uuid::Uuid::new_v4());
    let name = format!("worker@{queue}");
    let mut node = Program::node(&name, &amqp, &redis, &["-Q", &queue]).await;
    let connections = ["-b", &amqp, "-r", &redis];

    let call = [
        "call", "demo.add", "--args", "[2, 3]", "--queue", &queue, "--wait",
    ];
    let output = celeriac(&[&call[..], &connections].concat()).await;
    assert_eq!(out(&output), "5", "{}", err(&output));

    let call = [
        "call",
        "demo.fail",
        "--args",
        "[\"boom\"]",
        "--queue",
        &queue,
        "--wait",
    ];
    let output = celeriac(&[&call[..], &connections].concat()).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("DemoError: boom"), "{}", err(&output));

    let call = [
        "call",
        "demo.add",
        "--kwargs",
        "{\"x\": 1, \"y\": 1}",
        "--queue",
        &queue,
    ];
    let output = celeriac(&[&call[..], &connections].concat()).await;
    let id = out(&output);
    let output = celeriac(&[&["result", &id, "--wait"][..], &connections].concat()).await;
    assert!(
        out(&output).contains("\"status\": \"SUCCESS\""),
        "{output:?}"
    );

    let output = celeriac(&["status", "-b", &amqp]).await;
    assert!(out(&output).contains(&name), "{output:?}");
    let output = celeriac(&["queues", &queue, "-b", &amqp]).await;
    assert!(out(&output).contains(&queue), "{output:?}");
    assert_eq!(node.terminate().await, 0, "{}", node.log());

    // Nobody consumes now, so what is sent waits, and can be dropped.
    let call = ["call", "demo.add", "--args", "[2, 3]", "--queue", &queue];
    assert!(
        celeriac(&[&call[..], &connections].concat())
            .await
            .status
            .success()
    );
    let refused = celeriac(&["purge", &queue, "-b", &amqp]).await;
    assert_eq!(refused.status.code(), Some(64), "a script must say --force");
    let output = celeriac(&["purge", &queue, "--force", "-b", &amqp]).await;
    assert_eq!(out(&output), format!("{queue}: 1 messages dropped"));
}

#[tokio::test]
async fn check_prints_the_effective_settings_with_secrets_masked() {
    let environment = [
        ("CELERY_BROKER_URL", "amqp://ann:secret@127.0.0.1/"),
        ("CELERIAC_CONCURRENCY", "3"),
    ];
    let output = celeriac_with(&["check", "--token", "0123456789abcdef-hush"], &environment).await;
    assert!(output.status.success(), "{}", err(&output));
    let text = out(&output);
    assert!(text.contains("environment CELERY_BROKER_URL"), "{text}");
    assert!(!text.contains("secret") && !text.contains("hush"), "{text}");
}

/// Bad settings are told before anything starts, and nothing does.
#[tokio::test]
async fn wrong_usage_says_what_is_wrong_and_ends_with_64() {
    for (arguments, word) in [
        (
            &["node", "-c", "none"][..],
            "setting concurrency (flag): expected a number from 1",
        ),
        (
            &["node", "-b", "mysql://x"],
            "setting broker (flag): expected memory://, amqp:// or amqps://",
        ),
        (
            &["node", "--drain-deadline", "soon"],
            "setting drain_deadline (flag): expected",
        ),
        (&["supervisor", "--listen", "0.0.0.0:0"], "token"),
        (
            &["call", "x", "--args", "{}", "-b", "amqp://127.0.0.1:1"],
            "--args: expected a JSON list",
        ),
        (
            &["call", "x", "-b", "memory://"],
            "memory:// lives inside the process",
        ),
        (&["nonsense"], "unrecognized subcommand"),
        (
            &["check", "--config", "/nowhere.toml"],
            "settings file /nowhere.toml",
        ),
    ] {
        let output = celeriac(arguments).await;
        assert_eq!(
            output.status.code(),
            Some(64),
            "{arguments:?}: {}",
            err(&output)
        );
        assert!(
            err(&output).contains(word),
            "{arguments:?}: {}",
            err(&output)
        );
    }
}

/// S21: Nobody has to read the log for a node to end as it should.
#[tokio::test]
async fn a_node_whose_log_nobody_reads_drains() {
    let address = free_address();
    let arguments = ["node", "-b", "amqp://127.0.0.1:1/", "--http", &address];
    let mut node = Command::new(servers::binary_folder().join("celeriac"))
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    eventually("the node is up", || async {
        http::get(&address, "/livez").await.ok()
    })
    .await;
    drop(node.stderr.take());
    let pid = node.id().unwrap().to_string();
    let told = Command::new("kill").args(["-TERM", &pid]).status().await;
    assert!(told.unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(30), node.wait()).await;
    assert!(ended.unwrap().unwrap().success());
}
