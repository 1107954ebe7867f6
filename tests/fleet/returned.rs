//! What nodes give back often. Guarantees S45 and S53.

use std::time::Duration;

use celeriac::broker::{Queue, Subscription, Topology};
use celeriac::control::Command;
use celeriac_tests::eventually::{eventually, within};
use celeriac_tests::ledger::Ledger;
use celeriac_tests::program::Program;
use celeriac_tests::servers;

use crate::{client, unique};

/// Half of what a quorum queue may deliver a message before it is put away in place of one
/// more try.
const HALF: usize = 8;

/// S53, S45: a message that was given back often is reserved by a node that stops, and comes
/// to the next one as if it had just been sent.
#[tokio::test(flavor = "multi_thread")]
async fn who_stops_brings_no_message_to_its_limit() {
    let (amqp, redis) = (servers::amqp_url(), servers::redis_url());
    let (queue, busy) = (unique("worn"), unique("busy"));
    let name = format!("stops@{busy}");
    let (app, ledger) = (client(&amqp, &redis, &queue), Ledger::create(&queue));
    let quorum = Queue::new(&queue).argument("x-queue-type", "quorum");
    let topology = Topology {
        queues: vec![quorum],
        ..Topology::default()
    };
    app.broker().declare(&topology).await.unwrap();
    let call = app.call::<String>("fleet.quick").arg(ledger.file());
    let worn = call.send(&app).await.unwrap();
    let subscription = Subscription::new(&queue, 1);
    let mut consumer = app.broker().consume(subscription).await.unwrap();
    // And once more by the consumer's end, which has it again by then.
    for _ in 0..HALF + 2 {
        let batch = within("it is delivered", consumer.next(1)).await.unwrap();
        batch
            .into_iter()
            .for_each(|delivery| delivery.receipt.requeue());
    }
    consumer.cancel().await.unwrap();
    drop(consumer);

    // Its one place is taken when the message comes.
    let mut stops = Program::node(&name, &amqp, &redis, &["-Q", &busy, "-c", "1"]).await;
    let call = app.call::<String>("fleet.wait").arg(ledger.file()).arg(4.0);
    let running = call.queue(&busy).send(&app).await.unwrap();
    eventually("its place is taken", || async {
        (!ledger.of(running.id()).is_empty()).then_some(())
    })
    .await;
    let control = app.control().to([&name]);
    control.ask(Command::add_consumer(&*queue)).await.unwrap();
    eventually("it has reserved the message", || async {
        let control = app.control().to([&name]);
        let replies = control.ask(Command::reserved()).await.ok()?;
        let reserved = replies.get(&name)?.as_array()?;
        let mut ids = reserved.iter().filter_map(|task| task.as_map()?.get("id"));
        ids.any(|id| id.as_str() == Some(worn.id())).then_some(())
    })
    .await;
    assert_eq!(stops.terminate().await, 0);
    let log = stops.log();
    let dead = app.broker().queue(&format!("{queue}.dead")).await.unwrap();
    assert!(log.contains("1 messages given back"), "{dead:?} {log}");

    let next = format!("next@{busy}");
    let mut takes_over = Program::node(&next, &amqp, &redis, &["-Q", &queue]).await;
    let ran_by = worn.get(Duration::from_secs(20)).await.unwrap();
    assert_eq!(ran_by, next);
    let runs = ledger.of(worn.id());
    assert_eq!(runs.len(), 1);
    assert!((runs[0].deliveries as usize) < HALF, "{runs:?}");
    assert_eq!(runs[0].retries, 0);
    assert_eq!(takes_over.terminate().await, 0);
    let dead = app.broker().queue(&format!("{queue}.dead")).await.unwrap();
    assert_eq!(dead.map_or(0, |dead| dead.ready), 0, "dead letters");
    app.close().await;
}
