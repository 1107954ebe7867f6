//! Dead letters, from a node's failure to their replay. Guarantees S11 and S44 to S46.

mod command;
mod trouble;

use std::time::Duration;

use celeriac::broker::{Publication, Queue, Topology};
use celeriac::protocol::Message;
use celeriac::protocol::naming::argument;
use celeriac::routing::QueueType;
use celeriac::{App, Value};
use celeriac_tests::eventually::{eventually, eventually_within};
use celeriac_tests::program::Program;
use celeriac_tests::{http, servers};
use serde_json::{Value as Json, json};

const PATIENCE: Duration = Duration::from_secs(60);
const QUEUE: &str = "work";

/// A virtual host of its own, with a supervisor.
struct Rig {
    amqp: String,
    redis: String,
    name: String,
    supervisor: Program,
    app: App,
}

impl Rig {
    async fn start(more: &[&str]) -> Self {
        Self::with_queues(QueueType::Classic, more).await
    }

    async fn with_queues(kind: QueueType, more: &[&str]) -> Self {
        let (amqp, redis) = (servers::own_vhost().await, servers::redis_url());
        let name = format!("letters-{}", uuid::Uuid::new_v4());
        let mut options = vec!["-Q", QUEUE];
        if !more.contains(&"--store") {
            options.extend(["--store", "memory:"]);
        }
        options.extend(more);
        let supervisor = Program::supervisor(&name, &amqp, &redis, &options).await;
        let app = App::builder("test")
            .broker(&amqp)
            .backend(&redis)
            .default_queue(QUEUE)
            .queue_type(kind)
            .build()
            .unwrap();
        Self {
            amqp,
            redis,
            name,
            supervisor,
            app,
        }
    }

    async fn node(&self) -> Program {
        let name = format!("node@{}", self.name);
        Program::node(&name, &self.amqp, &self.redis, &["-Q", QUEUE]).await
    }

    async fn get(&self, path: &str) -> Json {
        let answer = http::get(self.supervisor.http(), path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    async fn post(&self, path: &str, body: &Json) -> (u16, Json) {
        let answer = http::post(self.supervisor.http(), path, body)
            .await
            .unwrap();
        (answer.status, answer.json())
    }

    /// Waits for the one letter that a query finds.
    async fn letter(&self, query: &str) -> Json {
        let path = format!("/api/v1/letters?{query}");
        eventually_within(PATIENCE, &path, || async {
            let letters = self.get(&path).await["letters"].clone();
            let letters = letters.as_array()?;
            assert!(letters.len() < 2, "{letters:?}");
            letters.first().cloned()
        })
        .await
    }

    async fn knows_the_node(&self) {
        eventually("the supervisor knows the node", || async {
            let nodes = self.get("/api/v1/nodes").await;
            let first = &nodes["nodes"][0];
            (first["state"] == "online").then_some(())
        })
        .await;
    }

    /// Starts the node again whenever it dies, until there is a letter of a crash; returns
    /// the node that lives, how many died, and the letter.
    async fn until_it_is_put_away(&self, node: Program, more: &[&str]) -> (Program, u32, Json) {
        let (mut node, mut deaths) = (node, 0);
        loop {
            let ended =
                eventually_within(PATIENCE, "the node dies, or the letter comes", || async {
                    let letters = self.get("/api/v1/letters?reason=crashed").await;
                    Some(letters["letters"][0].clone()).filter(|letter| letter.is_object())
                });
            tokio::select! {
                letter = ended => return (node, deaths, letter),
                () = async { while node.is_running() { tokio::task::yield_now().await; } } => {
                    deaths += 1;
                    assert!(deaths <= 5, "it goes round for ever: {}", node.log());
                    let name = format!("node@{}", self.name);
                    let mut options =
                        vec!["node", "-b", &self.amqp, "-r", &self.redis, "-n", &name, "-Q", QUEUE];
                    options.extend(more);
                    node = Program::start("demo-node", &name, &options);
                }
            }
        }
    }

    async fn ready(&self, queue: &str) -> u64 {
        let status = self.app.broker().queue(queue).await.unwrap();
        status.map_or(0, |status| status.ready)
    }
}

fn text<'a>(letter: &'a Json, field: &str) -> &'a str {
    letter[field].as_str().unwrap_or_default()
}

/// S44, S46: what failed is kept, edited and sent again; who waits for it gets its result.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_kept_edited_and_sent_again() {
    let rig = Rig::start(&[]).await;
    let mut node = rig.node().await;
    let call = rig.app.call::<i64>("demo.add").arg("two").arg(3);
    let result = call.send(&rig.app).await.unwrap();
    let letter = rig.letter("name=demo.add").await;
    assert_eq!(text(&letter, "reason"), "failed");
    assert_eq!(text(&letter, "error_type"), "TypeError");
    assert_eq!(text(&letter, "task_id"), result.id());
    assert_eq!(text(&letter, "queue"), QUEUE);
    assert_eq!(text(&letter, "args"), r#"["two", 3]"#);
    assert!(text(&letter, "traceback").contains("demo.add"));
    assert!(result.get(PATIENCE).await.is_err());
    // Who has heard of a failure keeps it; who asks from now on hears of the replay.
    let id = result.id().to_owned();
    drop(result);

    // What is wrong is named, and changes nothing.
    let path = format!("/api/v1/letters/{}/replay", text(&letter, "id"));
    for (body, field) in [
        (json!({"args": {"x": 1}}), "args"),
        (json!({"kwargs": [1]}), "kwargs"),
        (json!({"queue": ""}), "queue"),
        (json!({"arguments": []}), "arguments"),
    ] {
        let (status, problem) = rig.post(&path, &body).await;
        assert_eq!(status, 400, "{problem}");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let (status, _) = rig.post(&path, &json!({"queue": "nobody.has.it"})).await;
    assert_eq!(status, 409);
    rig.letter("name=demo.add").await;

    let (status, replayed) = rig.post(&path, &json!({"args": [2, 3]})).await;
    assert_eq!(status, 200, "{replayed}");
    assert_eq!(text(&replayed, "state"), "replayed");
    eventually("the replay succeeds", || async {
        let task = rig.app.result::<i64>(id.clone());
        task.get(PATIENCE).await.ok().filter(|sum| *sum == 5)
    })
    .await;
    let (status, _) = rig.post(&path, &json!({})).await;
    assert_eq!(status, 409);
    assert_eq!(rig.get("/api/v1/letters").await["matching"], 0);
    assert_eq!(
        rig.get("/api/v1/letters?state=replayed").await["matching"],
        1
    );
    assert_eq!(node.terminate().await, 0);
    rig.app.close().await;
}

/// S11: each way to die has its word, and the message stays as it came.
#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_die_has_its_word() {
    let rig = Rig::start(&[]).await;
    let mut node = rig.node().await;
    let app = &rig.app;
    for task in ["demo.reject", "demo.nowhere"] {
        app.call::<Value>(task).send(app).await.unwrap();
    }
    let failing = app.call::<Value>("demo.fail").arg("oh no");
    failing.send(app).await.unwrap();
    let garbage = Message {
        body: b"\xff\xfe".as_slice().into(),
        ..Message::default()
    };
    let publication = Publication::to_queue(QUEUE, garbage);
    app.broker().publish(publication).await.unwrap();
    for (reason, name, error) in [
        ("rejected", "demo.reject", "asked to refuse it"),
        ("unknown-task", "demo.nowhere", "unknown task demo.nowhere"),
        ("failed", "demo.fail", "oh no"),
        ("undecodable", "", "expected"),
    ] {
        let letter = rig.letter(&format!("reason={reason}")).await;
        assert_eq!(text(&letter, "name"), name);
        assert!(text(&letter, "error").contains(error), "{letter}");
        assert!(text(&letter, "node").starts_with("node@"), "{letter}");
    }
    let letter = rig.letter("reason=undecodable").await;
    let path = format!("/api/v1/letters/{}", text(&letter, "id"));
    assert_eq!(rig.get(&path).await["body"], "//4=");
    // Nothing is left with the broker.
    eventually("all letters are acknowledged", || async {
        (rig.ready("work.dead").await == 0).then_some(())
    })
    .await;
    let discard = http::request(rig.supervisor.http(), "DELETE", &path, None).await;
    assert_eq!(discard.unwrap().status, 200);
    assert_eq!(rig.get("/api/v1/letters").await["matching"], 3);
    let order = json!({"filter": {"name": "demo.*"}, "confirm": 2});
    let (status, problem) = rig.post("/api/v1/letters/discard", &order).await;
    assert_eq!(status, 409, "{problem}");
    let order = json!({"filter": {"name": "demo.*"}, "confirm": 3});
    let (status, answer) = rig.post("/api/v1/letters/discard", &order).await;
    assert_eq!((status, &answer["done"]), (200, &json!(3)), "{answer}");
    assert_eq!(node.terminate().await, 0);
    rig.app.close().await;
}

/// S45: a task that takes its node along goes round no more than four times.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_kills_its_node_is_put_away() {
    let rig = Rig::start(&[]).await;
    let call = rig.app.call::<Value>("demo.abort");
    let node = rig.node().await;
    rig.knows_the_node().await;
    let result = call.send(&rig.app).await.unwrap();
    let (mut node, deaths, letter) = rig.until_it_is_put_away(node, &[]).await;
    assert!((3..=4).contains(&deaths), "{deaths} deaths");
    assert_eq!(text(&letter, "task_id"), result.id());
    assert!(text(&letter, "error").contains("3 times"), "{letter}");
    let error = result.get(PATIENCE).await.unwrap_err().to_string();
    assert!(error.contains("3 times"), "{error}");
    // The node lives, and works.
    let sum = rig.app.call::<i64>("demo.add").arg(2).arg(3);
    let sum = sum.send(&rig.app).await.unwrap();
    assert_eq!(sum.get(PATIENCE).await.unwrap(), 5);
    assert_eq!(node.terminate().await, 0);
    rig.app.close().await;
}

/// S46: what the broker dead-letters by itself is kept too.
#[tokio::test(flavor = "multi_thread")]
async fn the_broker_s_own_dead_letters_are_kept() {
    let rig = Rig::start(&["--dead-letter-queues", "ops.dlq"]).await;
    let broker = rig.app.broker();
    let short = Queue::new("short")
        .argument(argument::MESSAGE_TTL, 1)
        .argument(argument::DEAD_LETTER_EXCHANGE, "")
        .argument(argument::DEAD_LETTER_ROUTING_KEY, "ops.dlq");
    let topology = Topology {
        queues: vec![short, Queue::new("ops.dlq"), Queue::new("elsewhere")],
        ..Topology::default()
    };
    broker.declare(&topology).await.unwrap();
    let call = rig.app.call::<i64>("demo.add").arg(2).arg(3).queue("short");
    let sent = call.send(&rig.app).await.unwrap();
    let letter = rig.letter("reason=expired").await;
    assert_eq!(text(&letter, "task_id"), sent.id());
    assert_eq!(text(&letter, "queue"), "short");
    assert_eq!(letter["node"], Json::Null);
    let path = format!("/api/v1/tasks/{}/replay", sent.id());
    let (status, answer) = rig.post(&path, &json!({"queue": "elsewhere"})).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(rig.ready("elsewhere").await, 1);
    rig.app.close().await;
}

/// S46: five thousand letters go back by one filter, and each once.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_go_back_by_one_filter() {
    const LETTERS: u64 = 5_000;
    let rig = Rig::start(&[]).await;
    let broker = rig.app.broker();
    let topology = Topology {
        queues: vec![Queue::new("elsewhere")],
        ..Topology::default()
    };
    broker.declare(&topology).await.unwrap();
    let mut node = rig.node().await;
    let calls = (0..LETTERS).map(|n| rig.app.call::<i64>("demo.add").arg("two").arg(n as i64));
    for call in calls {
        call.ignore_result().send(&rig.app).await.unwrap();
    }
    eventually_within(PATIENCE, "all are kept", || async {
        (rig.get("/api/v1/letters?limit=1").await["matching"] == LETTERS).then_some(())
    })
    .await;
    let mut order = json!({
        "filter": {"name": "demo.*", "error": "EXPECTED i64"}, "confirm": LETTERS,
        "queue": "elsewhere",
    });
    let mut done = 0;
    loop {
        let (status, answer) = rig.post("/api/v1/letters/replay", &order).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["failed"], 0, "{answer}");
        done += answer["done"].as_u64().unwrap();
        if answer["next_cursor"].is_null() {
            break;
        }
        order["cursor"] = answer["next_cursor"].clone();
    }
    assert_eq!(done, LETTERS);
    assert_eq!(rig.ready("elsewhere").await, LETTERS);
    assert_eq!(rig.get("/api/v1/letters?limit=1").await["matching"], 0);
    assert_eq!(node.terminate().await, 0);
    rig.app.close().await;
}
