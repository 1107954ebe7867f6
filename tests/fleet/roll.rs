//! Every node of a fleet is replaced while it works. Guarantee S53.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use celeriac::broker::{Queue, Topology};
use celeriac::protocol::State;
use celeriac::{App, Call};
use celeriac_tests::eventually::{eventually, eventually_within};
use celeriac_tests::ledger::{Ledger, Run};
use celeriac_tests::program::{MINUTE, Program};
use celeriac_tests::servers;
use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};

use crate::{client, unique};

const NODES: usize = 5;
const TASKS: usize = 50_000;

/// So many are sent before the fleet starts; the rest while nodes are replaced, the same part
/// for each.
const BEFORE: usize = TASKS / 2;

/// How long all that is left may take once the last node was replaced.
const REST_WITHIN: Duration = Duration::from_secs(180);

/// A load of all kinds on two queues.
struct Load {
    app: App,
    ledger: Ledger,
    queues: [String; 2],
    sent: Vec<String>,
}

impl Load {
    /// Task number `at`: mostly one that does nothing, else one of a fifth of a second to
    /// two seconds, asynchronous, blocking, isolated, or one whose time is still to come.
    fn call(&self, at: usize) -> Call<String> {
        let file = self.ledger.file();
        let seconds = 0.2 + (at / 400 % 10) as f64 * 0.2;
        let call = match at % 400 {
            7 | 107 | 207 | 307 => self.app.call("fleet.wait").arg(file).arg(seconds),
            111 | 311 => self.app.call("fleet.block").arg(file).arg(seconds),
            222 | 333 => self.app.call("fleet.isolated").arg(file).arg(seconds / 4.0),
            44 | 144 | 244 => {
                let delay = Duration::from_millis(500 + (at % 13_000) as u64);
                self.app.call("fleet.quick").arg(file).countdown(delay)
            }
            _ => self.app.call("fleet.quick").arg(file),
        };
        // Both kinds of queue get some of each.
        call.queue(&self.queues[(at / 400 + at) % 2])
    }

    async fn send(&mut self, count: usize) {
        let first = self.sent.len();
        let calls = (first..first + count).map(|at| self.call(at));
        let sends = stream::iter(calls.collect::<Vec<_>>())
            .map(|call| call.send(&self.app))
            .buffered(500);
        let results: Vec<_> = sends.collect().await;
        self.sent.extend(
            results
                .into_iter()
                .map(|sent| sent.unwrap().id().to_owned()),
        );
    }

    /// Tells whether nothing is left to run.
    async fn is_done(&self) -> bool {
        for queue in &self.queues {
            let status = self.app.broker().queue(queue).await;
            if !matches!(status, Ok(Some(status)) if status.ready == 0) {
                return false;
            }
        }
        self.ledger.ended() >= TASKS
    }
}

/// S53, S21: five nodes are replaced one after the other while they work off 50,000 tasks.
/// None is lost, none runs twice, none has an attempt more for it, and every node that
/// left did so in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_and_repeats_nothing() {
    let (amqp, redis) = (servers::own_vhost().await, servers::redis_url());
    let queues = [unique("classic"), unique("quorum")];
    let app = client(&amqp, &redis, &queues[0]);
    declare(&app, &queues).await;
    let mut load = Load {
        app,
        ledger: Ledger::create(&unique("roll")),
        queues,
        sent: Vec::new(),
    };
    let consumed = load.queues.join(",");
    let options = ["-Q", &consumed, "-c", "4", "--child-processes", "2"];
    let start = |at: usize| {
        let name = format!("pod{at}@{}", load_name(&consumed));
        Program::new_node(&name, &amqp, &redis, &options)
    };
    // So nodes have their places taken, and as much reserved as they may, when they leave.
    let began = Instant::now();
    load.send(BEFORE).await;
    println!("{BEFORE} tasks sent in {:?}", began.elapsed());
    let began = Instant::now();
    let mut fleet: Vec<Program> = (0..NODES).map(start).collect();
    join_all(fleet.iter().map(Program::ready)).await;
    println!("fleet ready in {:?}", began.elapsed());

    let rolled = Instant::now();
    let (mut ends, mut returned) = (Vec::new(), 0);
    for (at, place) in fleet.iter_mut().enumerate() {
        let mut old = std::mem::replace(place, start(NODES + at));
        let asked = Instant::now();
        old.signal("TERM");
        let (status, ()) = tokio::join!(old.ended(MINUTE), load.send((TASKS - BEFORE) / NODES));
        assert_eq!(status, 0, "{}", old.log());
        place.ready().await;
        let log = old.log();
        let said = log.lines().rev().find(|line| line.contains("stopped: "));
        println!("replaced in {:?}: {}", asked.elapsed(), said.unwrap_or("?"));
        returned += said.map_or(0, messages_given_back);
        ends.push(said.unwrap_or_default().to_owned());
    }
    let roll = rolled.elapsed();
    assert!(returned > 0, "nobody had reserved anything: {ends:#?}");
    let done = load.ledger.ended();
    assert!(
        done < TASKS,
        "the fleet had work until the last was replaced"
    );
    println!("rolled in {roll:?}, {returned} given back, {done} of {TASKS} done by then");

    eventually_within(REST_WITHIN, "every task has run", || async {
        load.is_done().await.then_some(())
    })
    .await;
    println!(
        "all done {:?} after the start of the fleet",
        began.elapsed()
    );
    check_runs(&load.sent, &load.ledger.runs());
    check_results(&load.app, &load.sent).await;
    assert!(
        ends.iter()
            .all(|end| end.contains("stopped: drained") && !end.contains("unfinished")),
        "{ends:#?}"
    );
    for node in &mut fleet {
        assert_eq!(node.terminate().await, 0);
    }
    check_queues(&load).await;
    load.app.close().await;
}

fn load_name(queues: &str) -> &str {
    queues.rsplit('-').next().unwrap_or(queues)
}

/// Reads what a node says at its end.
fn messages_given_back(end: &str) -> u64 {
    let before = end.split(" messages given back").next().unwrap_or_default();
    let number = before.rsplit(' ').next().unwrap_or_default();
    number
        .parse()
        .unwrap_or_else(|_| panic!("a number in {end:?}"))
}

async fn declare(app: &App, [classic, quorum]: &[String; 2]) {
    let quorum = Queue::new(quorum).argument("x-queue-type", "quorum");
    let topology = Topology {
        queues: vec![Queue::new(classic), quorum],
        ..Topology::default()
    };
    app.broker().declare(&topology).await.unwrap();
}

/// Each task ran once, whole, and as a first try.
fn check_runs(sent: &[String], runs: &BTreeMap<String, Vec<Run>>) {
    let lost: Vec<_> = sent.iter().filter(|id| !runs.contains_key(*id)).collect();
    assert!(lost.is_empty(), "{} lost: {lost:?}", lost.len());
    assert_eq!(runs.len(), sent.len(), "nothing else ran");
    let twice: Vec<_> = runs.iter().filter(|(_, runs)| runs.len() != 1).collect();
    assert!(twice.is_empty(), "{} ran twice: {twice:#?}", twice.len());
    let all: Vec<_> = runs.values().flatten().collect();
    let cut: Vec<_> = all.iter().filter(|run| !run.ended).collect();
    assert!(cut.is_empty(), "{} were cut short: {cut:#?}", cut.len());
    assert!(
        all.iter().all(|run| run.retries == 0),
        "no attempt was added"
    );
    let redelivered = all.iter().filter(|run| run.redelivered).count();
    let counts: Vec<_> = all.iter().map(|run| run.deliveries).collect();
    let most = counts.iter().copied().max().unwrap_or_default();
    let counted = counts.iter().filter(|count| **count > 0).count();
    println!("{redelivered} came as redelivered, {counted} with a count, {most} at most");
    // What was only reserved goes back, and at most as often as nodes were replaced.
    assert!(most as usize <= NODES);
}

async fn check_results(app: &App, sent: &[String]) {
    for ids in sent.chunks(1_000) {
        let documents = app.backend().fetch(ids).await.unwrap();
        let good = |document: &Option<celeriac::protocol::ResultDocument>| {
            document
                .as_ref()
                .is_some_and(|document| document.status == State::Success)
        };
        assert!(documents.iter().all(good), "each task has its success");
    }
}

/// Nothing is left, and nothing was put aside.
async fn check_queues(load: &Load) {
    for queue in &load.queues {
        eventually("the queue is empty", || async {
            let status = load.app.broker().queue(queue).await.ok()??;
            (status.ready == 0).then_some(())
        })
        .await;
        let dead = load
            .app
            .broker()
            .queue(&format!("{queue}.dead"))
            .await
            .unwrap();
        assert_eq!(dead.map_or(0, |dead| dead.ready), 0, "dead letters");
    }
}
