//! What probes say while servers are away.

use std::time::Duration;

use celeriac_tests::eventually::{eventually, stays_silent};
use celeriac_tests::http;
use celeriac_tests::program::{Program, free_address};
use celeriac_tests::rabbit::PrivateRabbit;
use celeriac_tests::relay::Relay;
use celeriac_tests::servers;
use tokio::time::Instant;

use crate::cli::celeriac;

use super::unique;

/// Longer than a loop may stand still.
const OUTAGE: Duration = Duration::from_secs(12);

async fn status(address: &str, path: &str) -> u16 {
    let answer = http::get(address, path).await;
    answer.map_or(0, |answer| answer.status)
}

async fn says(address: &str, path: &str, expected: u16) {
    eventually(&format!("{path} of {address} says {expected}"), || async {
        (status(address, path).await == expected).then_some(())
    })
    .await;
}

/// S51: a broker that is away, at the start or later, is no reason to restart a process:
/// it has not started, or is not ready, and is live all the while.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_broker_is_none_of_the_process() {
    let rabbit = PrivateRabbit::create().await;
    rabbit.stop().await;
    let (amqp, redis, queue) = (rabbit.amqp_url(), servers::redis_url(), unique("outage"));
    let addresses = [free_address(), free_address()];
    let [http, listen] = &addresses;
    let name = format!("outage@{queue}");
    let node = [
        "node", "-b", &amqp, "-r", &redis, "-Q", &queue, "-n", &name, "--http", http,
    ];
    let supervisor = [
        "supervisor",
        "-b",
        &amqp,
        "--store",
        "memory:",
        "--listen",
        listen,
    ];
    let mut programs = [
        Program::start("demo-node", &name, &node),
        Program::start("celeriac", &unique("outage-supervisor"), &supervisor),
    ];
    for address in &addresses {
        says(address, "/startupz", 503).await;
        says(address, "/readyz", 503).await;
        let told = http::get(address, "/startupz").await.unwrap().body;
        assert!(told.contains("the broker is out of reach"), "{told}");
    }
    stays_live(&addresses).await;
    for program in &mut programs {
        assert!(program.is_running(), "{}", program.log());
    }

    rabbit.start().await;
    for address in &addresses {
        says(address, "/startupz", 200).await;
        says(address, "/readyz", 200).await;
    }
    for (address, flag) in [(http, "--http"), (listen, "--listen")] {
        for word in ["live", "ready", "started"] {
            let output = celeriac(&["probe", word, flag, address]).await;
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), word);
        }
    }

    rabbit.stop().await;
    for address in &addresses {
        says(address, "/readyz", 503).await;
        // It has, and that stays so.
        assert_eq!(status(address, "/startupz").await, 200);
    }
    stays_live(&addresses).await;
    let output = celeriac(&["probe", "ready", "--http", http]).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("not ready: the broker is out of reach"),
        "{told}"
    );
    assert_eq!(told.trim().lines().count(), 1, "{told}");

    // What ends while the broker is away ends in time.
    for program in &mut programs {
        let start = Instant::now();
        assert_eq!(program.terminate().await, 0, "{}", program.log());
        assert!(
            start.elapsed() < Duration::from_secs(8),
            "{:?}",
            start.elapsed()
        );
    }
    let output = celeriac(&["probe", "live", "--http", http]).await;
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    rabbit.destroy().await;
}

async fn stays_live(addresses: &[String]) {
    let end = Instant::now() + OUTAGE;
    while Instant::now() < end {
        for address in addresses {
            let live = http::get(address, "/livez").await.unwrap();
            assert_eq!(live.status, 200, "{}", live.body);
        }
        let _ = stays_silent(std::future::pending::<()>()).await;
    }
}

/// S51: a node whose queues are all paused does what it is told to, so it is ready.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_queues_is_ready() {
    let (amqp, redis, queue) = (
        servers::own_vhost().await,
        servers::redis_url(),
        unique("none"),
    );
    let name = format!("none@{queue}");
    let mut node = Program::node(&name, &amqp, &redis, &["-Q", &queue]).await;
    let cancel = [
        "control",
        "cancel_consumer",
        &queue,
        "-b",
        &amqp,
        "-d",
        &name,
    ];
    let output = celeriac(&cancel).await;
    assert!(output.status.success(), "{output:?}");
    let app = super::sender(&amqp, &queue);
    eventually("nobody consumes the queue", || async {
        let status = app.broker().queue(&queue).await.ok()??;
        (status.consumers == 0).then_some(())
    })
    .await;
    assert_eq!(status(node.http(), "/readyz").await, 200);
    assert_eq!(node.terminate().await, 0, "{}", node.log());
    app.close().await;
}

/// S51: results that the backend does not take are none of the process either.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_result_backend_is_none_of_the_process() {
    let (amqp, queue) = (servers::amqp_url(), unique("results"));
    let redis = Relay::start(&servers::redis_url()).await;
    let name = format!("results@{queue}");
    let mut node = Program::node(&name, &amqp, &redis.url(), &["-Q", &queue]).await;
    let app = super::sender(&amqp, &queue);
    redis.hold();
    let call = app.call::<i64>("demo.add").arg(2).arg(3);
    let result = call.send(&app).await.unwrap();
    let address = [node.http().to_owned()];
    stays_live(&address).await;
    assert_eq!(status(node.http(), "/readyz").await, 200);
    redis.release();
    assert_eq!(result.get(Duration::from_secs(30)).await.unwrap(), 5);
    assert_eq!(node.terminate().await, 0, "{}", node.log());
    app.close().await;
}
