//! A task that is longer than its node may take to end. Guarantees S21 and S51.

use std::time::{Duration, Instant, SystemTime};

use celeriac_tests::eventually::{eventually, eventually_within};
use celeriac_tests::ledger::{Ledger, Run};
use celeriac_tests::program::{MINUTE, Program};
use celeriac_tests::servers;
use futures_util::future::try_join_all;

use crate::{client, unique};

const TASK: f64 = 60.0;
const DEADLINE: Duration = Duration::from_secs(20);

/// What a node may take beyond its deadline: tasks have a grace of two seconds to heed
/// their cancellation, and outcomes on the way some more.
const MARGIN: Duration = Duration::from_secs(8);

/// S21: a node that is asked to end in the middle of tasks of a minute, with a deadline of
/// twenty seconds, stops them at its deadline and ends with status 0. Another node runs them
/// from the beginning to the end, and that is their first try still.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_a_minute_is_given_back_and_finishes_elsewhere() {
    let (amqp, redis) = (servers::amqp_url(), servers::redis_url());
    let queue = unique("minute");
    let (first, second) = (format!("first@{queue}"), format!("second@{queue}"));
    let options = [
        "-Q",
        &queue,
        "-c",
        "4",
        "--child-processes",
        "1",
        "--drain-deadline",
        "20s",
    ];
    let mut leaving = Program::node(&first, &amqp, &redis, &options).await;
    let app = client(&amqp, &redis, &queue);
    let ledger = Ledger::create(&queue);
    let tasks = ["fleet.wait", "fleet.block", "fleet.isolated"];
    let calls = tasks.map(|task| {
        let call = app.call::<String>(task).arg(ledger.file()).arg(TASK);
        call.send(&app)
    });
    let results = try_join_all(calls).await.unwrap();
    eventually("all three run", || async {
        (ledger.runs().len() == results.len()).then_some(())
    })
    .await;

    let (asked, asked_at) = (Instant::now(), celeriac::clock::now());
    leaving.signal("TERM");
    let mut taking_over = Program::new_node(&second, &amqp, &redis, &options);
    let status = leaving.ended(MINUTE).await;
    let took = asked.elapsed();
    println!("the node ended with {status} after {took:?}");
    assert_eq!(status, 0, "{}", leaving.log());
    assert!(took >= DEADLINE && took < DEADLINE + MARGIN, "{took:?}");
    assert!(leaving.log().contains("3 unfinished"), "{}", leaving.log());

    for (task, result) in tasks.iter().zip(&results) {
        let runs = eventually_within(DEADLINE, "it runs elsewhere", || async {
            let runs = ledger.of(result.id());
            (runs.len() == 2).then_some(runs)
        })
        .await;
        let stopped = runs[0].last.duration_since(asked_at).unwrap_or_default();
        println!("{task}: stopped after {stopped:?}, {}", overlap(&runs));
        assert!(stopped < DEADLINE + MARGIN, "its body stopped: {stopped:?}");
        // A thread cannot be stopped: it goes on until its process has ended.
        let twice = runs[0].last.duration_since(runs[1].began);
        assert!(
            twice.unwrap_or_default() < Duration::from_secs(1),
            "{runs:?}"
        );
    }
    for (task, result) in tasks.iter().zip(&results) {
        let ran_by = result.get(Duration::from_secs(120)).await.unwrap();
        assert_eq!(ran_by, second, "{task}");
        let runs = ledger.of(result.id());
        assert_eq!(
            runs.iter()
                .map(|run| (&*run.node, run.ended))
                .collect::<Vec<_>>(),
            [(&*first, false), (&*second, true)],
            "{task}"
        );
        assert!(
            runs[1].redelivered && runs.iter().all(|run| run.retries == 0),
            "{runs:?}"
        );
        let whole = runs[1].last.duration_since(runs[1].began).unwrap();
        assert!(whole.as_secs_f64() >= TASK - 0.1, "{task}: {whole:?}");
    }
    assert_eq!(taking_over.terminate().await, 0);
    let dead = app.broker().queue(&format!("{queue}.dead")).await.unwrap();
    assert_eq!(dead.map_or(0, |dead| dead.ready), 0, "dead letters");
    app.close().await;
}

/// Says how much later than the end of the first run the second one began.
fn overlap(runs: &[Run]) -> String {
    let (last, began): (SystemTime, SystemTime) = (runs[0].last, runs[1].began);
    match began.duration_since(last) {
        Ok(gap) => format!("began elsewhere {gap:?} later"),
        Err(overlap) => format!("began elsewhere {:?} before that", overlap.duration()),
    }
}
