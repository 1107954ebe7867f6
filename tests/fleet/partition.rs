//! Hosts whose cables are pulled, and put back. Guarantee S54.

use std::time::Duration;

use celeriac::App;
use celeriac::broker::QueueStatus;
use celeriac::protocol::State;
use celeriac::result::AsyncResult;
use celeriac_tests::eventually::{Changes, eventually, eventually_within};
use celeriac_tests::ledger::{Ledger, Run};
use celeriac_tests::network::{Host, Net};
use celeriac_tests::program::Program;
use celeriac_tests::{http, servers};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::{client, unique};

/// How long a host is cut off.
const CUT: Duration = Duration::from_secs(60);

/// How long it may take to be back: a try to connect that was under way when the link came
/// back has its time, and so has the wait before the next one.
const BACK_WITHIN: Duration = Duration::from_secs(40);

/// How long what is left may take.
const REST_WITHIN: Duration = Duration::from_secs(90);

/// Follows whether a program is ready, and whether it lives.
fn health(program: &Program) -> (Changes, Changes) {
    let probe = |path: &'static str| {
        let address = program.http().to_owned();
        Changes::follow(move || {
            let address = address.clone();
            async move {
                let answer = http::get(&address, path).await.ok();
                answer.map_or_else(|| "silent".to_owned(), |answer| answer.status.to_string())
            }
        })
    };
    (probe("/readyz"), probe("/livez"))
}

/// Follows what a supervisor thinks of a node.
fn opinion(supervisor: &Program, node: &str) -> Changes {
    let (address, node) = (supervisor.http().to_owned(), node.to_owned());
    Changes::follow(move || {
        let (address, node) = (address.clone(), node.clone());
        async move { state(&address, &node).await }
    })
}

async fn state(supervisor: &str, node: &str) -> String {
    let answer = http::get(supervisor, "/api/v1/nodes").await;
    let Ok(answer) = answer else {
        return "silent".to_owned();
    };
    let list = answer.json();
    let nodes = list["nodes"].as_array().cloned().unwrap_or_default();
    let found = nodes.iter().find(|found| found["name"] == node);
    let state = found.and_then(|found| found["state"].as_str());
    state.unwrap_or("unknown").to_owned()
}

async fn send(app: &App, queue: &str, ledger: &Ledger, task: &str, seconds: f64) -> Sent {
    let call = app.call::<String>(task).arg(ledger.file()).queue(queue);
    let call = if task == "fleet.quick" {
        call
    } else {
        call.arg(seconds)
    };
    call.send(app).await.unwrap()
}

type Sent = AsyncResult<String>;

/// The end of a task and by whom, once it has one.
async fn outcome(result: &Sent) -> String {
    result.get(REST_WITHIN).await.unwrap()
}

async fn is_stored(app: &App, result: &Sent) -> bool {
    let documents = app
        .backend()
        .fetch(&[result.id().to_owned()])
        .await
        .unwrap();
    let document = documents.into_iter().flatten().next();
    document.is_some_and(|document| document.status == State::Success)
}

async fn status(app: &App, queue: &str) -> Option<QueueStatus> {
    app.broker().queue(queue).await.ok()?
}

/// Nothing is left in a queue that nobody consumes any more, and nothing was put aside.
async fn check_queue(app: &App, queue: &str) {
    eventually("the queue is empty and alone", || async {
        let status = status(app, queue).await?;
        (status.ready == 0 && status.consumers == 0).then_some(())
    })
    .await;
    let dead = status(app, &format!("{queue}.dead")).await;
    assert_eq!(dead.map_or(0, |dead| dead.ready), 0, "dead letters");
}

fn nodes_of(runs: &[Run]) -> Vec<&str> {
    runs.iter().map(|run| &*run.node).collect()
}

/// S54, S2, S3, S5, S7, S23, S38: a node that is cut off from everything for a minute goes
/// on with what runs, comes back by itself and delivers what it has. The supervisor sees it
/// suspect, lost, online. What the broker gave to another node meanwhile ran twice, nothing
/// else did, and each task has one outcome.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_comes_back_and_delivers() {
    let (amqp, redis) = (servers::own_vhost().await, servers::redis_url());
    let (both, own) = (unique("both"), unique("own"));
    let (far, near) = (format!("far@{both}"), format!("near@{both}"));
    let host = Host::add("far").await;
    let mut supervisor = Program::supervisor(&unique("supervisor"), &amqp, &redis, &[]).await;
    let queues = format!("{both},{own}");
    let options = ["-Q", &queues, "-c", "5", "--prefetch", "40", "-E"];
    let mut cut_off = Program::node_on(&host, &far, &amqp, &redis, &options).await;
    let (app, ledger) = (client(&amqp, &redis, &both), Ledger::create(&both));

    // Five tasks run on it: two that another node could run, one of them in a process of its
    // own; two that end while it is cut off, one that ends after.
    let taken = [
        send(&app, &both, &ledger, "fleet.wait", 80.0).await,
        send(&app, &both, &ledger, "fleet.isolated", 30.0).await,
    ];
    let kept = [
        send(&app, &own, &ledger, "fleet.wait", 30.0).await,
        send(&app, &own, &ledger, "fleet.block", 35.0).await,
        send(&app, &own, &ledger, "fleet.wait", 75.0).await,
    ];
    eventually("they run", || async {
        (ledger.runs().len() == 5).then_some(())
    })
    .await;
    // What it has only reserved.
    let mut reserved = Vec::new();
    for queue in [&both, &both, &both, &both, &own, &own] {
        reserved.push(send(&app, queue, &ledger, "fleet.quick", 0.0).await);
    }
    eventually("it has reserved the rest", || async {
        let (both, own) = (status(&app, &both).await?, status(&app, &own).await?);
        (both.ready + own.ready == 0).then_some(())
    })
    .await;
    let options = ["-Q", &both, "-c", "10", "-E"];
    let mut other = Program::node(&near, &amqp, &redis, &options).await;
    let (ready, live) = health(&cut_off);
    let seen = opinion(&supervisor, &far);
    seen.until("online", Duration::from_secs(20)).await;

    let cut = Instant::now();
    host.cut_for(&[Net::Broker, Net::Store], CUT, async {
        ready.until("503", CUT).await;
        // While it is away: its tasks went on, and the other node has what it had.
        eventually_within(CUT, "both tasks that end meanwhile have ended", || async {
            let ended = |sent: &Sent| ledger.of(sent.id()).iter().any(|run| run.ended);
            kept[..2].iter().all(ended).then_some(())
        })
        .await;
        for sent in &kept[..2] {
            assert!(
                !is_stored(&app, sent).await,
                "its result cannot be stored yet"
            );
        }
    })
    .await;
    let joined = Instant::now();
    let is_ready = ready.until("200", BACK_WITHIN).await;
    let is_online = seen.until("online", BACK_WITHIN).await;
    let said: Vec<_> = seen
        .all()
        .into_iter()
        .filter(|(at, _)| *at >= cut)
        .collect();
    println!(
        "cut off for {:?}; ready {:?} and online {:?} after the link was back",
        joined - cut,
        is_ready - joined,
        is_online - joined,
    );
    for (at, word) in &said {
        println!("supervisor: {word} {:?} after the cut", *at - cut);
    }
    for (at, word) in ready.all() {
        println!(
            "readiness: {word} {:?} after the cut",
            at.saturating_duration_since(cut)
        );
    }

    // Nothing is lost.
    let by: Vec<String> = join_all(taken.iter().chain(&kept).chain(&reserved).map(outcome)).await;
    println!("outcomes by {by:?}");
    assert!(by[2..5].iter().all(|node| *node == far), "{by:?}");
    // What only it could have run, ran once: the broker's second delivery finds the run.
    for sent in &kept {
        let runs = ledger.of(sent.id());
        assert_eq!((nodes_of(&runs), runs[0].ended), (vec![&*far], true));
    }
    // What the other node took over, ran on both, whole.
    for sent in &taken {
        let runs = eventually_within(REST_WITHIN, "both runs are over", || async {
            let runs = ledger.of(sent.id());
            runs.iter().all(|run| run.ended).then_some(runs)
        })
        .await;
        assert_eq!(nodes_of(&runs), [&*far, &*near]);
    }
    // What was only reserved, ran once, wherever.
    for sent in &reserved {
        assert_eq!(ledger.of(sent.id()).len(), 1);
    }
    let runs = ledger.runs();
    assert!(runs.values().flatten().all(|run| run.retries == 0));
    let said: Vec<_> = said.iter().map(|(_, word)| &**word).collect();
    assert_eq!(said, ["suspect", "lost", "online"]);
    assert_eq!(ready.words(), ["200", "503", "200"]);
    assert_eq!(live.words(), ["200"], "to restart it would mend no network");

    for node in [&mut cut_off, &mut other, &mut supervisor] {
        assert_eq!(node.terminate().await, 0, "{}", node.log());
    }
    for queue in [&both, &own] {
        check_queue(&app, queue).await;
    }
    app.close().await;
}

/// S54, S7, S37, S38: a supervisor that is cut off from the broker gives nobody up for it,
/// and its picture is right again once it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_is_cut_off_corrects_its_picture() {
    let (amqp, redis) = (servers::own_vhost().await, servers::redis_url());
    let queue = unique("seen");
    let names = ["stays", "leaves", "comes"].map(|word| format!("{word}@{queue}"));
    let host = Host::add("supervisor").await;
    let mut supervisor =
        Program::supervisor_on(&host, &unique("supervisor"), &amqp, &redis, &[]).await;
    let options = ["-Q", &queue, "-c", "4", "-E"];
    let mut stays = Program::node(&names[0], &amqp, &redis, &options).await;
    let mut leaves = Program::node(&names[1], &amqp, &redis, &options).await;
    let (app, ledger) = (client(&amqp, &redis, &queue), Ledger::create(&queue));
    let (ready, live) = health(&supervisor);
    let seen = names.each_ref().map(|name| opinion(&supervisor, name));
    for node in &seen[..2] {
        node.until("online", Duration::from_secs(20)).await;
    }
    let sent = send(&app, &queue, &ledger, "fleet.wait", 20.0).await;
    eventually("the supervisor knows that it runs", || async {
        (task_state(&supervisor, &sent).await == "STARTED").then_some(())
    })
    .await;

    let cut = Instant::now();
    let mut comes = None;
    host.cut_for(&[Net::Broker], CUT, async {
        ready.until("503", CUT).await;
        assert_eq!(leaves.terminate().await, 0);
        comes = Some(Program::node(&names[2], &amqp, &redis, &options).await);
        outcome(&sent).await;
    })
    .await;
    let joined = Instant::now();
    let is_ready = ready.until("200", BACK_WITHIN).await;
    seen[2].until("online", BACK_WITHIN).await;
    let corrected = eventually_within(REST_WITHIN, "the picture is right", || async {
        let gone = matches!(
            seen[1].words().last().map(String::as_str),
            Some("offline" | "lost")
        );
        (gone && task_state(&supervisor, &sent).await == "SUCCESS").then(Instant::now)
    })
    .await;
    println!(
        "supervisor: not ready {:?} after the cut, ready {:?} and right {:?} after it was joined",
        ready.all()[1].0 - cut,
        is_ready - joined,
        corrected - joined,
    );
    let given_up = |word: &String| word == "lost" || word == "offline";
    assert!(
        !seen[0].words().iter().any(given_up),
        "{:?}",
        seen[0].words()
    );
    assert_eq!(live.words(), ["200"]);
    assert_eq!(ready.words(), ["200", "503", "200"]);
    let mut comes = comes.unwrap();
    for node in [&mut stays, &mut comes, &mut supervisor] {
        assert_eq!(node.terminate().await, 0, "{}", node.log());
    }
    app.close().await;
}

async fn task_state(supervisor: &Program, sent: &Sent) -> String {
    let path = format!("/api/v1/tasks/{}", sent.id());
    let answer = http::get(supervisor.http(), &path).await;
    let state = answer.map(|answer| answer.json()["state"].as_str().map(str::to_owned));
    state.ok().flatten().unwrap_or_default()
}

/// S54, S4: a node that is cut off from the result backend alone goes on; outcomes wait,
/// are stored once it is back, and only then are their messages acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn results_wait_while_their_store_is_out_of_reach() {
    let (amqp, redis) = (servers::own_vhost().await, servers::redis_url());
    let queue = unique("stored");
    let name = format!("node@{queue}");
    let host = Host::add("store").await;
    let options = ["-Q", &queue, "-c", "4", "--prefetch", "100", "-E"];
    let mut node = Program::node_on(&host, &name, &amqp, &redis, &options).await;
    let (app, ledger) = (client(&amqp, &redis, &queue), Ledger::create(&queue));
    let (ready, live) = health(&node);
    let mut sent = vec![
        send(&app, &queue, &ledger, "fleet.wait", 5.0).await,
        send(&app, &queue, &ledger, "fleet.isolated", 5.0).await,
    ];
    eventually("they run", || async {
        (ledger.runs().len() == 2).then_some(())
    })
    .await;

    host.cut_for(&[Net::Store], CUT / 2, async {
        for _ in 0..50 {
            sent.push(send(&app, &queue, &ledger, "fleet.quick", 0.0).await);
        }
        eventually_within(CUT, "all have run", || async {
            (ledger.ended() == sent.len()).then_some(())
        })
        .await;
        for sent in &sent {
            assert!(!is_stored(&app, sent).await, "nothing can be stored");
        }
    })
    .await;
    let joined = Instant::now();
    let by = join_all(sent.iter().map(outcome)).await;
    println!(
        "all results were there {:?} after the link was back",
        joined.elapsed()
    );
    assert!(by.iter().all(|node| *node == name));
    assert!(
        ledger.runs().values().all(|runs| runs.len() == 1),
        "nothing ran twice"
    );
    assert_eq!(
        (ready.words(), live.words()),
        (vec!["200".to_owned()], vec!["200".to_owned()])
    );
    assert_eq!(node.terminate().await, 0, "{}", node.log());
    check_queue(&app, &queue).await;
    app.close().await;
}
