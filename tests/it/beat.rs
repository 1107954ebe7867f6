//! Schedules with real processes: leaders that die, brokers that restart, stores that
//! cannot be written. Guarantees S41 to S43.

mod alone;
mod edits;
mod once;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use celeriac::broker::{Consumer, Subscription, Topology};
use celeriac::protocol::{TaskHeaders, Timestamp};
use celeriac::{App, Entry};
use celeriac_tests::eventually::{eventually, within};
use celeriac_tests::program::Program;
use celeriac_tests::rabbit::PrivateRabbit;
use celeriac_tests::{http, servers};
use serde_json::{Value, json};

/// Ticks as they reached the broker: how often each, by its time in whole seconds.
#[derive(Debug, Default)]
struct Ticks {
    counts: BTreeMap<u64, u32>,
    terms: Vec<i64>,
}

struct Scene {
    folder: PathBuf,
    amqp: String,
    queue: String,
    settings: PathBuf,
}

impl Scene {
    /// A settings file with an entry for each second, that makes up for what was missed.
    fn new(word: &str, amqp: String) -> Self {
        let name = format!("{word}-{}", uuid::Uuid::new_v4());
        let folder = servers::log_folder().join(&name);
        std::fs::create_dir_all(&folder).unwrap();
        let scene = Self {
            settings: folder.join("celeriac.toml"),
            folder,
            amqp,
            queue: name.clone(),
        };
        scene.write(&format!(
            "[[schedule]]\nname = \"{name}\"\ntask = \"celeriac.add\"\nargs = [1, 2]\n\
             every = \"1s\"\nmisfire = \"all(1000)\"\nqueue = \"{name}\"\n"
        ));
        scene
    }

    /// Writes another settings file.
    fn write(&self, text: &str) {
        std::fs::write(&self.settings, text).unwrap();
    }

    fn add_entry(&self, fields: &str) {
        let text = std::fs::read_to_string(&self.settings).unwrap();
        self.write(&format!("{text}\n[[schedule]]\n{fields}"));
    }

    fn store(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    async fn supervisor(&self, number: usize, store: &str) -> Program {
        let name = format!("{}-{number}", self.queue);
        let settings = self.settings.display().to_string();
        let more = ["--config", &settings, "--store", store];
        Program::supervisor(&name, &self.amqp, "disabled://", &more).await
    }

    async fn consumer(&self, app: &App) -> Box<dyn Consumer> {
        consumer_of(app, &self.queue).await
    }

    fn app(&self) -> App {
        App::builder("test").broker(&self.amqp).build().unwrap()
    }
}

async fn consumer_of(app: &App, queue: &str) -> Box<dyn Consumer> {
    let broker = app.broker();
    broker.declare(&Topology::task_queue(queue)).await.unwrap();
    broker.consume(Subscription::new(queue, 100)).await.unwrap()
}

impl Ticks {
    /// Takes what comes until a tick later than `after` is there.
    async fn until(&mut self, consumer: &mut Box<dyn Consumer>, after: u64) {
        while self.last() <= after {
            let batch = within("a tick", consumer.next(100)).await.unwrap();
            for delivery in batch {
                let headers = TaskHeaders::from_ref(&delivery.message.headers).unwrap();
                let tick = headers.extra("celeriac-tick").unwrap().as_str().unwrap();
                let at = tick
                    .rsplit_once('@')
                    .unwrap()
                    .1
                    .parse::<Timestamp>()
                    .unwrap();
                let at = SystemTime::from(at);
                let entry = tick.rsplit_once('@').unwrap().0;
                assert_eq!(
                    headers.id,
                    celeriac::schedule::tick_id(entry, at).to_string()
                );
                *self.counts.entry(seconds(at)).or_default() += 1;
                self.terms
                    .push(headers.extra("celeriac-term").unwrap().as_i64().unwrap());
                delivery.receipt.acknowledge();
            }
        }
    }

    fn last(&self) -> u64 {
        self.counts.keys().last().copied().unwrap_or_default()
    }

    fn assert_whole(&self) {
        let first = *self.counts.keys().next().unwrap();
        let missing: Vec<_> = (first..=self.last())
            .filter(|second| !self.counts.contains_key(second))
            .collect();
        assert!(missing.is_empty(), "lost: {missing:?}");
    }

    fn twice(&self) -> u32 {
        self.counts.values().map(|count| count - 1).sum()
    }
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

async fn leader(supervisor: &Program) -> Value {
    let answer = http::get(supervisor.http(), "/api/v1/leader")
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    answer.json()
}

/// Finds which of the supervisors leads.
async fn leading(all: &[Program]) -> usize {
    eventually("one leads", || async {
        for (at, supervisor) in all.iter().enumerate() {
            if leader(supervisor).await["leads"] == json!(true) {
                return Some(at);
            }
        }
        None
    })
    .await
}

/// Kills the leader again and again; says how long each time no tick came.
async fn kill_leaders(scene: &Scene, stores: [&str; 2]) -> (Ticks, Vec<Duration>) {
    let app = scene.app();
    let mut consumer = scene.consumer(&app).await;
    let mut all = Vec::new();
    for (number, store) in stores.iter().enumerate() {
        all.push(scene.supervisor(number, &scene.store(store)).await);
    }
    let mut ticks = Ticks::default();
    ticks.until(&mut consumer, 0).await;
    let mut gaps = Vec::new();
    for round in 0..3 {
        ticks.until(&mut consumer, ticks.last() + 1).await;
        let at = leading(&all).await;
        let other = leader(&all[1 - at]).await;
        assert_eq!(other["leads"], json!(false), "one leads at a time");
        all[at].kill().await;
        let killed = std::time::Instant::now();
        let then = seconds(celeriac::clock::now());
        ticks.until(&mut consumer, then).await;
        gaps.push(killed.elapsed());
        all[at] = scene
            .supervisor(10 + 2 * round + at, &scene.store(stores[at]))
            .await;
    }
    ticks.until(&mut consumer, ticks.last() + 1).await;
    app.close().await;
    (ticks, gaps)
}

/// S41, S42: leaders die one after the other; the next tick comes within 5 s, and none is
/// lost. The store is shared: it knows what the dead leader sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_leader_costs_no_tick() {
    let scene = Scene::new("leader", servers::own_vhost().await);
    let (ticks, gaps) = kill_leaders(&scene, ["shared.db", "shared.db"]).await;
    println!("no tick for {gaps:?}, sent twice {}", ticks.twice());
    assert!(
        gaps.iter().all(|gap| *gap < Duration::from_secs(5)),
        "{gaps:?}"
    );
    ticks.assert_whole();
    assert!(
        ticks.terms.is_sorted(),
        "terms only grow: {:?}",
        ticks.terms
    );
    // At most the tick between the broker's confirmation and the store's, with the same id.
    assert!(ticks.twice() <= 3, "{:?}", ticks.counts);
}

/// S41, S42: the same with a store of its own for each: what was sent is known by events.
#[tokio::test(flavor = "multi_thread")]
async fn leaders_with_stores_of_their_own_know_each_others_ticks() {
    let scene = Scene::new("apart", servers::own_vhost().await);
    let (ticks, gaps) = kill_leaders(&scene, ["first.db", "second.db"]).await;
    println!("no tick for {gaps:?}, sent twice {}", ticks.twice());
    assert!(
        gaps.iter().all(|gap| *gap < Duration::from_secs(5)),
        "{gaps:?}"
    );
    ticks.assert_whole();
    assert!(
        ticks.terms.is_sorted(),
        "terms only grow: {:?}",
        ticks.terms
    );
    assert!(ticks.twice() <= 3, "{:?}", ticks.counts);
}

/// S42: while the broker is away ticks wait, and come once it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_costs_no_tick() {
    let rabbit = PrivateRabbit::create().await;
    let scene = Scene::new("restart", rabbit.amqp_url());
    let app = scene.app();
    let mut consumer = scene.consumer(&app).await;
    let supervisor = scene.supervisor(0, &scene.store("one.db")).await;
    let mut ticks = Ticks::default();
    ticks.until(&mut consumer, 1).await;
    rabbit.stop().await;
    rabbit.start().await;
    ticks
        .until(&mut consumer, seconds(celeriac::clock::now()))
        .await;
    ticks.assert_whole();
    drop(supervisor);
    app.close().await;
    rabbit.destroy().await;
}

/// An entry that is made in the API is sent, edited by revision, disabled, run by hand and
/// deleted; one of the configuration can only be switched.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_the_api_is_sent_and_edited() {
    let scene = Scene::new("edit", servers::own_vhost().await);
    let supervisor = scene.supervisor(0, "memory:").await;
    leading(std::slice::from_ref(&supervisor)).await;
    let name = format!("{}-api", scene.queue);
    let ask = async |method: &str, path: &str, body: Value| {
        let path = format!("/api/v1/schedules{path}");
        http::request(supervisor.http(), method, &path, Some(&body.to_string()))
            .await
            .unwrap()
    };
    let body = json!({ "name": name, "task": "celeriac.add", "every": "1s", "queue": scene.queue });
    let made = ask("POST", "", body.clone()).await;
    assert_eq!(made.status, 201, "{:?}", made.json());
    assert_eq!(ask("POST", "", body).await.status, 409);
    let revision = made.json()["revision"].as_i64().unwrap();
    let path = format!("/{name}");
    eventually("it was sent", || async {
        let shown = ask("GET", &path, json!({})).await.json();
        (shown["sent"].as_u64()? > 1 && shown["last_task_id"].is_string()).then_some(())
    })
    .await;
    let stale = format!("{path}?revision={}", revision + 7);
    assert_eq!(
        ask("PATCH", &stale, json!({"every": "1h"})).await.status,
        409
    );
    let fresh = format!("{path}?revision={revision}");
    let edited = ask("PATCH", &fresh, json!({"every": "1h", "args": [1, 2]})).await;
    assert_eq!(edited.status, 200, "{:?}", edited.json());
    assert_eq!(edited.json()["schedule"], json!("every 1h"));
    let wrong = ask("PATCH", &path, json!({"crontab": "61 * * * *"})).await;
    assert_eq!(wrong.status, 400);
    assert_eq!(
        wrong.json()["errors"][0]["field"],
        json!("crontab"),
        "{:?}",
        wrong.json()
    );
    assert_eq!(
        ask("PATCH", &path, json!({"enabled": false})).await.json()["enabled"],
        json!(false)
    );
    assert_eq!(
        ask("POST", &format!("{path}/run"), json!({})).await.status,
        202
    );
    assert_eq!(ask("DELETE", &path, json!({})).await.status, 204);
    assert_eq!(ask("GET", &path, json!({})).await.status, 404);
    let configured = format!("/{}", scene.queue);
    assert_eq!(ask("DELETE", &configured, json!({})).await.status, 409);
    assert_eq!(
        ask("PATCH", &configured, json!({"args": []})).await.status,
        400
    );
    assert_eq!(
        ask("PATCH", &configured, json!({"enabled": false}))
            .await
            .status,
        200
    );
    let next = ask("GET", &format!("{configured}/next?count=3"), json!({}))
        .await
        .json();
    assert_eq!(next["next"].as_array().unwrap().len(), 3);
    let preview = ask("POST", "/preview", json!({"crontab": "0 3 * * *"}))
        .await
        .json();
    assert_eq!(preview["next"].as_array().unwrap().len(), 10, "{preview}");
}

/// S43: a tick that two leaders sent runs once, as far as its result is stored or the node
/// remembers it.
#[tokio::test(flavor = "multi_thread")]
async fn a_tick_that_is_sent_twice_runs_once() {
    let (amqp, redis) = (servers::amqp_url(), servers::redis_url());
    let queue = format!("twice-{}", uuid::Uuid::new_v4());
    let node = Program::node(&format!("n@{queue}"), &amqp, &redis, &["-Q", &queue]).await;
    let app = App::builder("test")
        .broker(&amqp)
        .backend(&redis)
        .build()
        .unwrap();
    let entry = Entry::crontab("0 3 * * *", "celeriac.add").unwrap();
    let entry = entry.named(&queue).args([1, 2]).queue(&queue);
    let tick = SystemTime::UNIX_EPOCH + Duration::from_secs(3 * 3600);
    for _ in 0..3 {
        let result = entry.call_at(tick).send(&app).await.unwrap();
        let sum = result.get(Duration::from_secs(20)).await.unwrap();
        assert_eq!(sum, celeriac::Value::Int(3));
    }
    eventually("two duplicates are counted", || async {
        let text = http::get(node.http(), "/metrics").await.ok()?.body;
        text.contains("duplicates_total 2").then_some(())
    })
    .await;
    app.close().await;
}
