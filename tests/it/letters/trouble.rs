//! Dead letters while something is broken.

use std::fs;
use std::path::{Path, PathBuf};

use celeriac_tests::relay::Relay;

use super::*;

/// The file of a store; it goes with the value.
struct StoreFile(PathBuf);

impl StoreFile {
    fn new() -> Self {
        let folder = format!("celeriac-letters-{}", uuid::Uuid::new_v4());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir(&folder).unwrap();
        Self(folder.join("celeriac.db"))
    }

    fn writable(&self, yes: bool) {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = if yes { 0o600 } else { 0o400 };
        fs::set_permissions(&self.0, fs::Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for StoreFile {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().unwrap_or(Path::new("/nonexistent")));
    }
}

async fn fails(rig: &Rig, message: &str) {
    let call = rig.app.call::<Value>("demo.fail").arg(message);
    let result = call.send(&rig.app).await.unwrap();
    assert!(result.get(PATIENCE).await.is_err());
}

async fn stays_with_the_broker(rig: &Rig) {
    eventually_within(PATIENCE, "the letter stays with the broker", || async {
        let log = rig.supervisor.log();
        log.contains("dead letters stay with the broker")
            .then_some(())
    })
    .await;
}

/// S46: while the store takes nothing, letters are the broker's; they are kept when it does
/// again, by this supervisor or the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_read_only_loses_no_letter() {
    let file = StoreFile::new();
    let place = file.0.to_str().unwrap();
    let mut rig = Rig::start(&["--store", place]).await;
    let mut node = rig.node().await;
    fails(&rig, "first").await;
    rig.letter("error=first").await;

    file.writable(false);
    fails(&rig, "second").await;
    stays_with_the_broker(&rig).await;
    // What is there is still shown, and what cannot be noted is not done.
    let letter = rig.letter("reason=failed").await;
    assert!(text(&letter, "error").contains("first"), "{letter}");
    let path = format!("/api/v1/letters/{}", text(&letter, "id"));
    let discard = http::request(rig.supervisor.http(), "DELETE", &path, None).await;
    let discard = discard.unwrap();
    assert_eq!(discard.status, 503, "{}", discard.body);
    assert!(discard.body.contains("read-only"), "{}", discard.body);
    let path = format!("{path}/replay");
    let (status, problem) = rig.post(&path, &json!({"kwargs": {}})).await;
    assert_eq!(status, 503, "{problem}");
    let order = json!({"filter": {}, "confirm": 1});
    let (status, problem) = rig.post("/api/v1/letters/replay", &order).await;
    assert_eq!(status, 503, "{problem}");
    file.writable(true);
    rig.letter("error=second").await;
    // Nothing was sent: each has run and died once.
    assert_eq!(rig.get("/api/v1/letters?state=all").await["matching"], 2);

    file.writable(false);
    fails(&rig, "third").await;
    eventually("the broker is asked for it", || async {
        (rig.ready("work.dead").await == 0).then_some(())
    })
    .await;
    rig.supervisor.kill().await;
    eventually_within(PATIENCE, "the broker has it back", || async {
        (rig.ready("work.dead").await == 1).then_some(())
    })
    .await;
    file.writable(true);
    let options = ["--store", place, "-Q", QUEUE];
    rig.supervisor = Program::supervisor(&rig.name, &rig.amqp, &rig.redis, &options).await;
    rig.letter("error=third").await;
    assert_eq!(rig.get("/api/v1/letters").await["matching"], 3);
    eventually("all are acknowledged", || async {
        (rig.ready("work.dead").await == 0).then_some(())
    })
    .await;
    assert_eq!(node.terminate().await, 0);
    rig.app.close().await;
}

/// S44, S46: a node that dies when its letter is with the broker, and its task not yet
/// acknowledged, leaves the task to the next node, and one letter.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_behind_its_letter_leaves_one() {
    let rig = Rig::start(&[]).await;
    let relay = Relay::start(&rig.amqp).await;
    let name = format!("node@{}", rig.name);
    // A server that says nothing for two heartbeats is given up, and the letter with it.
    let amqp = format!("{}?heartbeat=60", relay.url());
    let mut node = Program::node(&name, &amqp, &rig.redis, &["-Q", QUEUE, "-E"]).await;
    rig.knows_the_node().await;
    let call = rig.app.call::<f64>("demo.sleep").arg(60.0);
    // Long enough to see it run on a busy machine.
    let call = call.time_limit(Duration::from_secs(8));
    let result = call.send(&rig.app).await.unwrap();
    let path = format!("/api/v1/tasks/{}", result.id());
    eventually("the task runs", || async {
        let answer = http::get(rig.supervisor.http(), &path).await.ok()?;
        (answer.status == 200 && answer.json()["state"] == "STARTED").then_some(())
    })
    .await;
    // The node speaks, and hears of no confirm.
    relay.hold();
    let first = rig.letter("reason=failed").await;
    assert_eq!(text(&first, "task_id"), result.id());
    assert_eq!(rig.ready(QUEUE).await, 0);
    node.kill().await;
    eventually_within(PATIENCE, "the task is with the broker again", || async {
        (rig.ready(QUEUE).await == 1).then_some(())
    })
    .await;

    let mut next = rig.node().await;
    let second = eventually_within(PATIENCE, "it died again", || async {
        let letter = rig.letter("reason=failed").await;
        (letter["died_at"] != first["died_at"]).then_some(letter)
    })
    .await;
    assert_eq!(second["id"], first["id"]);
    assert_eq!(next.terminate().await, 0);
    assert_eq!(rig.get("/api/v1/letters?state=all").await["matching"], 1);
    assert_eq!(
        (rig.ready(QUEUE).await, rig.ready("work.dead").await),
        (0, 0)
    );
    rig.app.close().await;
}

/// S45: a quorum queue counts deliveries, and no supervisor need see the deaths.
#[tokio::test(flavor = "multi_thread")]
async fn a_quorum_queue_delivers_what_kills_no_more_than_so_often() {
    let quorum = ["--queue-type", "quorum", "--max-deliveries", "2"];
    let rig = Rig::with_queues(QueueType::Quorum, &["--crash-limit", "0"]).await;
    let name = format!("node@{}", rig.name);
    let options = [&["-Q", QUEUE], &quorum[..]].concat();
    let node = Program::node(&name, &rig.amqp, &rig.redis, &options).await;
    let call = rig.app.call::<Value>("demo.abort");
    let result = call.send(&rig.app).await.unwrap();
    let (mut node, deaths, letter) = rig.until_it_is_put_away(node, &quorum).await;
    assert_eq!(deaths, 2);
    assert_eq!(text(&letter, "task_id"), result.id());
    assert!(
        text(&letter, "error").contains("delivered 2 times before"),
        "{letter}"
    );
    let error = result.get(PATIENCE).await.unwrap_err().to_string();
    assert!(error.contains("delivered 2 times before"), "{error}");
    assert_eq!(rig.ready(QUEUE).await, 0);
    assert_eq!(node.terminate().await, 0);
    rig.app.close().await;
}
