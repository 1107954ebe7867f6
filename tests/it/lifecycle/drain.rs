//! What SIGTERM does, step by step.

use std::time::Duration;

use celeriac::control::Command;
use celeriac_tests::eventually::{eventually, stays_silent};
use celeriac_tests::program::{Program, free_address};
use celeriac_tests::relay::Relay;
use celeriac_tests::servers;
use tokio::time::Instant;

use super::{last_line, sender, unique};

/// How many tasks a node runs, and how many wait in it.
async fn has(app: &celeriac::App, node: &str) -> (usize, usize) {
    let ask = async |command| {
        let control = app.control().to([node]).within(Duration::from_secs(2));
        let replies = control.ask(command).await.unwrap_or_default();
        let tasks = replies.get(node).and_then(|reply| reply.as_array());
        tasks.map_or(0, <[_]>::len)
    };
    (
        ask(Command::active(false)).await,
        ask(Command::reserved()).await,
    )
}

/// S51: what a node has only taken goes back at once, and others run it while the node
/// still runs what it has begun.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_reserved_runs_elsewhere_at_once() {
    let (amqp, redis, queue) = (
        servers::amqp_url(),
        servers::redis_url(),
        unique("reserved"),
    );
    let (first, second) = (format!("first@{queue}"), format!("second@{queue}"));
    let options = ["-Q", &queue, "-c", "1", "--prefetch", "8x"];
    let mut leaving = Program::node(&first, &amqp, &redis, &options).await;
    let app = sender(&amqp, &queue);
    let call = |seconds: f64| app.call::<String>("demo.whoami").arg(seconds).send(&app);
    let long = call(8.0).await.unwrap();
    eventually("the long task runs", || async {
        (has(&app, &first).await.0 == 1).then_some(())
    })
    .await;
    let mut short = Vec::new();
    for _ in 0..5 {
        short.push(call(0.0).await.unwrap());
    }
    eventually("the others wait", || async {
        (has(&app, &first).await.1 == 5).then_some(())
    })
    .await;
    let mut other = Program::node(&second, &amqp, &redis, &options).await;
    // One that has just started asks its neighbours first about what was delivered before.
    for _ in 0..6 {
        assert!(stays_silent(std::future::pending::<()>()).await);
    }
    leaving.signal("TERM");
    let told = Instant::now();
    for result in &short {
        assert_eq!(result.get(Duration::from_secs(5)).await.unwrap(), second);
    }
    let took = told.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(leaving.is_running(), "it runs the long task");
    assert_eq!(long.get(Duration::from_secs(20)).await.unwrap(), first);
    assert_eq!(leaving.ended(Duration::from_secs(5)).await, 0);
    assert!(
        last_line(&leaving.log())
            .contains("stopped: drained; 1 tasks finished, 5 messages given back"),
        "{}",
        leaving.log()
    );
    assert_eq!(other.terminate().await, 0);
    app.close().await;
}

/// S51: past the deadline that follows from the grace period whatever still runs is given
/// back, and the process has ended before the grace period has: a task that waits, one that
/// keeps its thread, and one that keeps a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn past_the_deadline_everything_is_given_back_in_time() {
    let (amqp, redis, queue) = (
        servers::amqp_url(),
        servers::redis_url(),
        unique("deadline"),
    );
    let name = format!("node@{queue}");
    let options = ["-Q", &queue, "-c", "3", "--termination-grace-period", "6s"];
    let mut node = Program::node(&name, &amqp, &redis, &options).await;
    let app = sender(&amqp, &queue);
    for task in ["demo.sleep", "demo.block"] {
        let call = app.call::<f64>(task).arg(600.0);
        call.send(&app).await.unwrap();
    }
    app.call::<()>("isolated.spin").send(&app).await.unwrap();
    eventually("all three run", || async {
        (has(&app, &name).await.0 == 3).then_some(())
    })
    .await;
    node.signal("TERM");
    let told = Instant::now();
    assert_eq!(
        node.ended(Duration::from_secs(30)).await,
        0,
        "{}",
        node.log()
    );
    let took = told.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    // A fifth of the period is for what comes after the deadline.
    assert!(took > Duration::from_millis(4_700), "{took:?}");
    let log = node.log();
    assert!(
        last_line(&log).contains("stopped: drain deadline passed; "),
        "{log}"
    );
    assert!(last_line(&log).contains("3 unfinished: "), "{log}");
    eventually("all three are back", || async {
        let status = app.broker().queue(&queue).await.ok()??;
        (status.ready == 3).then_some(())
    })
    .await;
    app.broker().purge(&queue).await.unwrap();
    app.close().await;
}

/// S51: results that nobody takes hold up no end; the last line and the status say so.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_delivered_is_said() {
    let (amqp, queue) = (servers::amqp_url(), unique("undelivered"));
    let redis = Relay::start(&servers::redis_url()).await;
    let name = format!("node@{queue}");
    let options = ["-Q", &queue, "-c", "1", "--termination-grace-period", "5"];
    let mut node = Program::node(&name, &amqp, &redis.url(), &options).await;
    let app = sender(&amqp, &queue);
    let call = app.call::<f64>("demo.sleep").arg(2.0);
    let id = call.send(&app).await.unwrap().id().to_owned();
    eventually("it runs", || async {
        (has(&app, &name).await.0 == 1).then_some(())
    })
    .await;
    redis.hold();
    node.signal("TERM");
    let told = Instant::now();
    assert_eq!(
        node.ended(Duration::from_secs(30)).await,
        75,
        "{}",
        node.log()
    );
    assert!(
        told.elapsed() < Duration::from_secs(5),
        "{:?}",
        told.elapsed()
    );
    let expected = format!("1 ended without their outcome delivered: {id}");
    assert!(last_line(&node.log()).contains(&expected), "{}", node.log());
    eventually("it is back", || async {
        let status = app.broker().queue(&queue).await.ok()??;
        (status.ready == 1).then_some(())
    })
    .await;
    app.broker().purge(&queue).await.unwrap();
    app.close().await;
}

/// S51: SIGTERM during the start ends node and supervisor at once, whatever they wait for.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_during_the_start_is_heeded_at_once() {
    // A server that takes connections and says nothing.
    let silent = Relay::start(&servers::amqp_url()).await;
    silent.hold();
    let amqp = silent.url();
    for (binary, words) in [
        ("demo-node", vec!["node", "-b", &amqp, "--http"]),
        (
            "celeriac",
            vec!["supervisor", "-b", &amqp, "--store", "memory:", "--listen"],
        ),
    ] {
        let address = free_address();
        let words = [words, vec![&address]].concat();
        let mut program = Program::start(binary, &unique("starting"), &words);
        eventually("it is there", || async {
            celeriac_tests::http::get(&address, "/livez").await.ok()
        })
        .await;
        program.signal("TERM");
        let told = Instant::now();
        assert_eq!(
            program.ended(Duration::from_secs(20)).await,
            0,
            "{}",
            program.log()
        );
        assert!(
            told.elapsed() < Duration::from_secs(4),
            "{:?}",
            told.elapsed()
        );
    }
}

/// S51: a second signal hurries.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_hurries() {
    let (amqp, redis, queue) = (servers::amqp_url(), servers::redis_url(), unique("hurry"));
    let name = format!("node@{queue}");
    let mut node = Program::node(&name, &amqp, &redis, &["-Q", &queue]).await;
    let app = sender(&amqp, &queue);
    let call = app.call::<f64>("demo.block").arg(600.0);
    call.send(&app).await.unwrap();
    eventually("it runs", || async {
        (has(&app, &name).await.0 == 1).then_some(())
    })
    .await;
    node.signal("TERM");
    eventually("it drains", || async {
        node.log().contains("node is Draining").then_some(())
    })
    .await;
    node.signal("TERM");
    let told = Instant::now();
    assert_eq!(
        node.ended(Duration::from_secs(20)).await,
        0,
        "{}",
        node.log()
    );
    assert!(
        told.elapsed() < Duration::from_secs(4),
        "{:?}",
        told.elapsed()
    );
    assert!(
        last_line(&node.log()).contains("stopped without waiting"),
        "{}",
        node.log()
    );
    app.broker().purge(&queue).await.unwrap();
    app.close().await;
}
