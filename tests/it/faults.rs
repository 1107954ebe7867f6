//! What dies, and what must not be lost then. Guarantees S1 to S7.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use celeriac::App;
use celeriac::control::Command;
use celeriac_tests::eventually::eventually;
use celeriac_tests::program::Program;
use celeriac_tests::rabbit::PrivateRabbit;
use celeriac_tests::servers;
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;

const TASKS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(90);

fn unique(word: &str) -> String {
    format!("{word}-{}", uuid::Uuid::new_v4())
}

/// S1, S2: a node that is killed while its tasks run loses none of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_loses_nothing() {
    let (amqp, redis) = (servers::amqp_url(), servers::redis_url());
    let queue = unique("killed");
    let (first, second) = (format!("first@{queue}"), format!("second@{queue}"));
    let options = ["-Q", &queue, "-c", "50", "--prefetch", "1x"];
    let mut doomed = Program::node(&first, &amqp, &redis, &options).await;
    let mut other = Program::node(&second, &amqp, &redis, &options).await;

    let app = App::builder("test")
        .broker(&amqp)
        .backend(&redis)
        .default_queue(&queue)
        .build()
        .unwrap();
    let call = || app.call::<String>("demo.whoami").arg(2.0).send(&app);
    let results = try_join_all((0..TASKS).map(|_| call())).await.unwrap();
    eventually("the doomed node runs tasks", || async {
        (running(&app, &first).await >= 20).then_some(())
    })
    .await;
    doomed.kill().await;

    let ran_by = try_join_all(results.iter().map(|result| result.get(PATIENCE)))
        .await
        .unwrap();
    assert_eq!(ran_by.len(), TASKS);
    // Those that were running on the killed node ran again on the other.
    assert!(ran_by.iter().filter(|node| **node == second).count() >= TASKS / 2);
    assert_eq!(other.terminate().await, 0);
    app.close().await;
}

/// S5, S7: RabbitMQ goes away and comes back while tasks run. Nothing is lost, no
/// process restarts, and each outcome is stored once.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_costs_nothing() {
    let rabbit = PrivateRabbit::create().await;
    let (amqp, redis) = (rabbit.amqp_url(), servers::redis_url());
    let queue = unique("restart");
    let options = ["-Q", &queue, "-c", "20", "--prefetch", "1x"];
    let mut nodes = [
        Program::node(&format!("first@{queue}"), &amqp, &redis, &options).await,
        Program::node(&format!("second@{queue}"), &amqp, &redis, &options).await,
    ];
    let stored = Outcomes::watch(&redis).await;

    let app = App::builder("test")
        .broker(&amqp)
        .backend(&redis)
        .default_queue(&queue)
        .build()
        .unwrap();
    let call = || app.call::<String>("demo.whoami").arg(3.0).send(&app);
    let results = try_join_all((0..TASKS).map(|_| call())).await.unwrap();
    eventually("tasks run", || async {
        (running(&app, &format!("first@{queue}")).await > 0).then_some(())
    })
    .await;
    rabbit.stop().await;
    for node in &mut nodes {
        let address = node.http().to_owned();
        eventually("the node says that it is not ready", || async {
            let answer = celeriac_tests::http::get(&address, "/readyz").await.ok()?;
            (answer.status == 503).then_some(())
        })
        .await;
        let live = celeriac_tests::http::get(&address, "/livez").await.unwrap();
        assert_eq!(
            live.status, 200,
            "a lost broker is no reason to restart a node"
        );
    }
    rabbit.start().await;

    let all = try_join_all(results.iter().map(|result| result.get(PATIENCE)))
        .await
        .unwrap();
    assert_eq!(all.len(), TASKS);
    for node in &mut nodes {
        assert!(node.is_running(), "no process restarted");
    }
    eventually("the queue is empty again", || async {
        let status = app.broker().queue(&queue).await.ok()??;
        (status.ready == 0).then_some(())
    })
    .await;
    for result in &results {
        assert_eq!(
            stored.successes(result.id()),
            1,
            "outcomes of {}",
            result.id()
        );
    }
    for node in &mut nodes {
        assert_eq!(node.terminate().await, 0);
    }
    app.close().await;
    rabbit.destroy().await;
}

/// How many tasks a node says that it runs.
async fn running(app: &App, node: &str) -> usize {
    let replies = app
        .control()
        .to([node])
        .within(Duration::from_secs(2))
        .ask(Command::active(false))
        .await
        .unwrap_or_default();
    replies
        .get(node)
        .and_then(|reply| reply.as_array())
        .map_or(0, <[_]>::len)
}

/// Counts what is stored, as the store itself tells its subscribers.
struct Outcomes(Arc<Mutex<BTreeMap<String, usize>>>);

impl Outcomes {
    async fn watch(url: &str) -> Self {
        let counts = Arc::new(Mutex::new(BTreeMap::new()));
        let client = redis::Client::open(url).unwrap();
        let mut subscription = client.get_async_pubsub().await.unwrap();
        subscription.psubscribe("celery-task-meta-*").await.unwrap();
        let seen = Arc::clone(&counts);
        tokio::spawn(async move {
            let mut messages = subscription.into_on_message();
            while let Some(message) = messages.next().await {
                let text: String = message.get_payload().unwrap();
                let document: serde_json::Value = serde_json::from_str(&text).unwrap();
                if document["status"] == "SUCCESS" {
                    let id = document["task_id"].as_str().unwrap().to_owned();
                    *seen.lock().unwrap().entry(id).or_insert(0) += 1;
                }
            }
        });
        Self(counts)
    }

    fn successes(&self, id: &str) -> usize {
        self.0.lock().unwrap().get(id).copied().unwrap_or(0)
    }
}
