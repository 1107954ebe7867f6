//! The commands of the terminal that look at a running cluster and steer it.

use std::process::Output;
use std::time::Duration;

use celeriac::App;
use celeriac::broker::{Publication, Queue, Topology};
use celeriac_tests::eventually::eventually;
use celeriac_tests::program::Program;
use celeriac_tests::servers;
use serde_json::Value;
use tokio::process::Command;

async fn celeriac(arguments: &[&str]) -> Output {
    let run = Command::new(servers::binary_folder().join("celeriac"))
        .args(arguments)
        .env_remove("CELERY_BROKER_URL")
        .current_dir(std::env::temp_dir())
        .stdin(std::process::Stdio::null())
        .output();
    let ended = tokio::time::timeout(Duration::from_secs(60), run).await;
    ended.expect("the command ends").unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn json(output: &Output) -> Value {
    let text = out(output);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}: {output:?}"))
}

fn unique(what: &str) -> String {
    format!("{what}-{}", uuid::Uuid::new_v4())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_asked_and_steered_as_with_celery() {
    let (broker, queue) = (servers::own_vhost().await, unique("remote"));
    let backend = servers::redis_url();
    let name = format!("node@{queue}");
    let mut node = Program::node(&name, &broker, &backend, &["-Q", &queue, "-c", "2"]).await;

    let ping = celeriac(&["inspect", "ping", "-b", &broker]).await;
    let expected = format!("->  {name}: OK\n        pong\n\n1 node online.");
    assert_eq!(out(&ping), expected, "{ping:?}");
    let ping = celeriac(&["inspect", "ping", "-j", "-b", &broker]).await;
    assert_eq!(json(&ping)[&name]["ok"], "pong");
    let active = celeriac(&["inspect", "active", "-b", &broker]).await;
    assert!(out(&active).contains("    - empty -"), "{active:?}");

    let grown = celeriac(&["control", "pool_grow", "2", "-b", &broker, "-d", &name]).await;
    assert!(
        out(&grown).starts_with(&format!("->  {name}: OK")),
        "{grown:?}"
    );
    let stats = json(&celeriac(&["inspect", "stats", "--json", "-b", &broker]).await);
    assert_eq!(stats[&name]["pool"]["max-concurrency"], 4, "{stats}");

    let graph = out(&celeriac(&["graph", "-b", &broker]).await);
    assert!(
        graph.contains(&format!("\"queue {queue}\" -> \"node {name}\"")),
        "{graph}"
    );

    let nobody = celeriac(&["inspect", "ping", "-d", "nobody@x", "-b", &broker]).await;
    assert_eq!(nobody.status.code(), Some(69), "{nobody:?}");
    for wrong in [
        &["inspect", "nosuch"][..],
        &["control", "rate_limit", "one"],
        &["control", "time_limit", "t", "soon"],
        &["inspect"],
    ] {
        let refused = celeriac(&[wrong, &["-b", &broker]].concat()).await;
        assert_eq!(refused.status.code(), Some(64), "{wrong:?}: {refused:?}");
    }
    let refused = celeriac(&["inspect", "nosuch", "--json", "-b", &broker]).await;
    let error: Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert!(
        error["error"]
            .as_str()
            .unwrap()
            .contains("expected one of active")
    );

    let sent = celeriac(&["control", "shutdown", "-d", &name, "-b", &broker]).await;
    assert!(sent.status.success(), "{sent:?}");
    eventually("the node ends", || {
        let running = node.is_running();
        async move { (!running).then_some(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_printed_as_they_come() {
    let broker = servers::own_vhost().await;
    let queue = unique("events");
    let watching = {
        let broker = broker.clone();
        tokio::spawn(async move {
            celeriac(&[
                "events", "task.#", "--count", "3", "--for", "30s", "-j", "-b", &broker,
            ])
            .await
        })
    };
    let backend = servers::redis_url();
    let name = format!("node@{queue}");
    let _node = Program::node(&name, &broker, &backend, &["-Q", &queue, "-E"]).await;
    // Until the stream stands nobody hears anything; so calls go on until it has enough.
    eventually("three events are printed", || async {
        celeriac(&[
            "call", "demo.add", "-a", "[1,2]", "--queue", &queue, "-b", &broker,
        ])
        .await;
        watching.is_finished().then_some(())
    })
    .await;
    let printed = out(&watching.await.unwrap());
    let types: Vec<_> = printed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].clone())
        .collect();
    assert_eq!(types.len(), 3, "{printed}");
    assert!(
        types
            .iter()
            .all(|kind| kind.as_str().unwrap().starts_with("task-")),
        "{printed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_brought_from_one_broker_to_another() {
    let (from, to) = (servers::own_vhost().await, servers::own_vhost().await);
    let queue = unique("migrate");
    let open = |url: &str| {
        App::builder("test")
            .broker(url)
            .backend("disabled://")
            .build()
            .unwrap()
    };
    let (source, destination) = (open(&from), open(&to));
    let topology = Topology {
        queues: vec![Queue::new(&queue)],
        ..Topology::default()
    };
    source.broker().declare(&topology).await.unwrap();
    for number in 0..300 {
        let name = if number % 3 == 0 {
            "own.third"
        } else {
            "own.other"
        };
        let call = source
            .call::<celeriac::Value>(name)
            .arg(number)
            .queue(&queue);
        call.send(&source).await.unwrap();
    }
    let ready = |app: App| {
        let queue = queue.clone();
        async move {
            app.broker()
                .queue(&queue)
                .await
                .unwrap()
                .map(|status| status.ready)
        }
    };
    let copied = celeriac(&["migrate", &from, &to, "-Q", &queue, "-T", "own.third", "-j"]).await;
    assert_eq!(json(&copied)[0]["copied"], 100, "{copied:?}");
    assert_eq!(json(&copied)[0]["passed_over"], 200, "{copied:?}");
    eventually("all are in the source again", || async {
        (ready(source.clone()).await == Some(300)).then_some(())
    })
    .await;
    assert_eq!(ready(destination.clone()).await, Some(100));

    let moved = celeriac(&["migrate", &from, &to, "-Q", &queue, "-a", "--limit", "50"]).await;
    assert_eq!(
        out(&moved),
        format!("{queue}: 50 messages copied, 0 passed over"),
        "{moved:?}"
    );
    eventually("fifty are gone from the source", || async {
        (ready(source.clone()).await == Some(250)).then_some(())
    })
    .await;
    assert_eq!(ready(destination.clone()).await, Some(150));
    let missing = celeriac(&["migrate", &from, &to, "-Q", "no.such.queue"]).await;
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");
    source
        .broker()
        .publish(Publication::to_queue(&queue, Default::default()))
        .await
        .unwrap();
    source.close().await;
    destination.close().await;
}

#[tokio::test]
async fn what_needs_no_cluster_needs_none() {
    let report = json(&celeriac(&["report", "--json", "-b", "amqp://u:hush@h"]).await);
    assert!(
        report["software"]
            .as_str()
            .unwrap()
            .starts_with("celeriac:")
    );
    assert_eq!(report["settings"]["broker"], "amqp://u:**@h");
    for shell in ["bash", "zsh", "fish"] {
        let script = out(&celeriac(&["completions", shell]).await);
        assert!(
            script.contains("inspect") && script.contains("migrate"),
            "{shell}"
        );
    }
    let check = json(&celeriac(&["check", "--json"]).await);
    assert_eq!(check["sound"], true);
    let list = json(&celeriac(&["control", "--list", "--json"]).await);
    assert_eq!(list.as_array().unwrap().len(), 16, "{list}");
}
