//! Queues of every kind, and what leads to them.

use celeriac::AppBuilder;
use celeriac::broker::ExchangeKind;
use celeriac::routing::{Route, TaskQueue};

use super::*;

const NAMES: [&str; 2] = ["one@test", "two@test"];

fn described(app: AppBuilder) -> AppBuilder {
    let media = TaskQueue::new("media").exchange("files", ExchangeKind::Topic);
    app.queue(TaskQueue::new("celery"))
        .queue(TaskQueue::broadcast("everywhere"))
        .queue(media.routing_key("media.#"))
        .route("none.*", Route::queue("media").routing_key("media.x"))
        .create_missing_queues(false)
}

async fn pair(queues: &[&str]) -> [Rig; 2] {
    let (broker, backend) = (MemoryBroker::new(), MemoryBackend::new());
    let rig = async |name: &str| {
        let config = Config {
            name: name.to_owned(),
            queues: queues.iter().map(|queue| (*queue).to_owned()).collect(),
            worker_direct: true,
            ..Config::default()
        };
        Rig::on(&broker, &backend, config, described).await
    };
    [rig(NAMES[0]).await, rig(NAMES[1]).await]
}

fn taken(rig: &Rig) -> u64 {
    rig.handle
        .snapshot()
        .queues
        .values()
        .map(|queue| queue.taken)
        .sum()
}

/// S32: Every node that consumes a broadcast queue runs each of its tasks.
#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_task_runs_on_every_node() {
    let rigs = pair(&["everywhere"]).await;
    for _ in 0..3 {
        let call = tasks::add.call(1, 2).queue("everywhere");
        call.send(&rigs[0].app).await.unwrap();
    }
    for rig in &rigs {
        eventually("every node has run three", || async { taken(rig) == 3 }).await;
    }
    for rig in rigs {
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_can_be_sent_to_one_node_alone() {
    let rigs = pair(&["celery"]).await;
    let queue = TaskQueue::of_node(NAMES[1]);
    let app = &rigs[0].app;
    let call = tasks::add
        .call(1, 2)
        .exchange(queue.exchange.clone(), queue.key());
    let result = call.send(app).await.unwrap();
    rigs[0].end_of(result.id()).await;
    assert_eq!((taken(&rigs[0]), taken(&rigs[1])), (0, 1));
    for rig in rigs {
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_not_described_is_refused_when_that_is_wanted() {
    let [rig, other] = pair(&["celery"]).await;
    let call = tasks::add.call(1, 2).queue("typo");
    let error = call.send(&rig.app).await.unwrap_err().to_string();
    assert!(
        error.starts_with("queue: expected one that is described (celery, everywhere, media)"),
        "{error}"
    );
    let config = Config {
        queues: vec!["typo".to_owned()],
        ..Config::default()
    };
    let error = Node::new(rig.app.clone(), config)
        .err()
        .unwrap()
        .to_string();
    assert!(error.ends_with("found typo"), "{error}");
    rig.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_added_behind_the_exchange_that_a_request_names() {
    let rig = Rig::start().await;
    rig.hears().await;
    let command = Command::new("add_consumer")
        .argument("queue", "extra")
        .argument("exchange", "events")
        .argument("exchange_type", "topic")
        .argument("routing_key", "user.#");
    rig.app.control().ask(command).await.unwrap();
    eventually("the queue is consumed", || async {
        let snapshot = rig.handle.snapshot();
        snapshot
            .queues
            .get("extra")
            .is_some_and(|queue| queue.consuming)
    })
    .await;
    let call = tasks::add.call(1, 2).exchange("events", "user.new");
    let result = call.send(&rig.app).await.unwrap();
    assert_eq!(rig.end_of(result.id()).await.status, State::Success);
    rig.stop().await;
}
