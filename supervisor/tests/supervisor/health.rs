use std::sync::Arc;

use celeriac::App;
use celeriac::broker::{Broker, MemoryBroker};
use celeriac_supervisor::Supervisor;

use crate::harness::*;

/// S23.
#[tokio::test]
async fn a_broker_that_goes_fails_readiness_and_not_liveness() {
    let fixture = Fixture::start().await;
    assert_eq!(
        fixture.json("/readyz").await,
        serde_json::json!({ "ok": true, "reasons": [] })
    );
    fixture.broker.close().await;
    let answer = eventually("not ready", async || {
        let answer = fixture.get("/readyz").await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(
        answer.json()["reasons"][0]
            .as_str()
            .unwrap()
            .contains("broker"),
        "{}",
        answer.body
    );
    assert_eq!(fixture.get("/livez").await.status, 200);
    assert_eq!(fixture.get("/startupz").await.status, 200);
    let metrics = fixture.get("/metrics").await.body;
    assert!(metrics.contains("celeriac_broker_up 0"), "{metrics}");
    fixture.stop().await;
}

#[tokio::test]
async fn events_go_on_after_the_connection_was_lost() {
    let fixture = Fixture::start().await;
    fixture
        .say(&[received("w1@host", 1, "t1", "app.add")])
        .await;
    eventually("t1", async || {
        (fixture.get("/api/v1/tasks/t1").await.status == 200).then_some(())
    })
    .await;
    fixture.broker.interrupt();
    eventually("t2", async || {
        fixture
            .say(&[received("w1@host", 2, "t2", "app.add")])
            .await;
        (fixture.get("/api/v1/tasks/t2").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(fixture.get("/readyz").await.status, 200);
    fixture.stop().await;
}

#[tokio::test]
async fn every_loop_turns_and_every_thread_ends() {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let names = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
        tasks
            .filter_map(|task| name(task.ok()?))
            .collect::<Vec<_>>()
    };
    let fixture = Fixture::start().await;
    assert!(threads() > 5);
    for part in ["root", "backend", "intake", "survey"] {
        let turns = async || {
            let metrics = fixture.get("/metrics").await.body;
            let series = format!("celeriac_supervisor_loop_turns_total{{part=\"{part}\"}} ");
            let line = metrics
                .lines()
                .find(|line| line.starts_with(&series))?
                .to_owned();
            line[series.len()..].parse::<u64>().ok()
        };
        let before = turns().await.unwrap();
        eventually(part, async || (turns().await? > before).then_some(())).await;
    }
    let stopped = fixture.stop().await;
    assert!(stopped.clean, "{stopped:?}; left: {:?}", names());
}

#[test]
fn it_runs_in_a_runtime_of_one_thread_and_stops_at_once() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let broker = MemoryBroker::new();
        let app = App::builder("test")
            .broker_value(Arc::new(broker))
            .backend("memory://");
        let supervisor = Supervisor::new(app.build().unwrap(), config());
        let stopped = supervisor.run(std::future::ready(())).await.unwrap();
        assert!(stopped.clean);
    });
}
