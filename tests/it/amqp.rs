//! What the AMQP broker does beyond what every broker must do.

mod slow;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use celeriac::Error;
use celeriac::broker::amqp::{AmqpBroker, Config};
use celeriac::broker::{
    Binding, Broker, Consumer, Delivery, Exchange, ExchangeKind, Link, Publication, Queue,
    Subscription, Topology,
};
use celeriac::protocol::Message;
use celeriac_tests::eventually::{eventually, stays_silent, within};
use celeriac_tests::rabbit::PrivateRabbit;
use celeriac_tests::servers::amqp_url;
use tokio::net::TcpListener;

fn open() -> Arc<AmqpBroker> {
    Arc::new(AmqpBroker::open(&amqp_url()).unwrap())
}

fn unique(word: &str) -> String {
    format!("{word}-{}", uuid::Uuid::new_v4())
}

fn message(text: &str) -> Message {
    let mut message = Message {
        body: Bytes::copy_from_slice(text.as_bytes()),
        ..Message::default()
    };
    message.properties.correlation_id = Some(text.to_owned());
    message.properties.delivery_mode = Some(2);
    message
}

fn to(queue: &str, text: &str) -> Publication {
    Publication::to_queue(queue, message(text))
}

async fn declare(broker: &AmqpBroker, queue: Queue) -> String {
    let name = queue.name.clone();
    broker
        .declare(&Topology {
            queues: vec![queue],
            ..Topology::default()
        })
        .await
        .unwrap();
    name
}

async fn ready(broker: &AmqpBroker, queue: &str) -> Option<u64> {
    broker
        .queue(queue)
        .await
        .unwrap()
        .map(|status| status.ready)
}

async fn take(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let more = within("a delivery", consumer.next(count - taken.len())).await;
        taken.extend(more.expect("the consumer goes on"));
    }
    taken
}

fn texts(deliveries: Vec<Delivery>) -> Vec<String> {
    let text = |delivery: Delivery| {
        let text = String::from_utf8(delivery.message.body.to_vec()).unwrap();
        delivery.receipt.acknowledge();
        text
    };
    deliveries.into_iter().map(text).collect()
}

/// Publications that no queue takes are refused, those around them are not; whatever
/// the order is in which the server tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_returned_message_is_matched_to_its_publication() {
    let broker = open();
    let queue = declare(&broker, Queue::new(unique("returned"))).await;
    let missing = unique("missing");
    let target = |at: usize| if at % 7 == 3 { &missing } else { &queue };
    for _ in 0..10 {
        let batch = (0..300).map(|at| to(target(at), &at.to_string())).collect();
        for (at, outcome) in broker.publish_all(batch).await.into_iter().enumerate() {
            assert_eq!(
                matches!(outcome, Err(Error::Refused { .. })),
                at % 7 == 3,
                "{at}: {outcome:?}"
            );
            assert_eq!(outcome.is_ok(), at % 7 != 3, "{at}: {outcome:?}");
        }
    }
    assert!(broker.delete_queue(&queue).await.unwrap());
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_knows_whether_the_server_has_it() {
    let broker = open();
    let queue = declare(&broker, Queue::new(unique("known"))).await;
    let subscription = Subscription::new(&queue, 1);
    let consumer = broker.consume(subscription).await.unwrap();
    assert!(consumer.is_consuming());
    broker.delete_queue(&queue).await.unwrap();
    eventually("the consumer is gone with its queue", || async {
        (!consumer.is_consuming()).then_some(())
    })
    .await;
    declare(&broker, Queue::new(&queue)).await;
    eventually("it is there with its queue", || async {
        consumer.is_consuming().then_some(())
    })
    .await;
    broker.delete_queue(&queue).await.unwrap();
    broker.close().await;
}

/// A publication that makes the server close the channel is refused; those that were
/// on their way with it arrive.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_publication_takes_no_other_with_it() {
    let broker = open();
    let queue = declare(&broker, Queue::new(unique("refused"))).await;
    let no_exchange = Publication::to_exchange(unique("exchange"), "key", message("bad"));
    let mut forged = to(&queue, "bad");
    forged.message.properties.user_id = Some("nobody".to_owned());
    for bad in [no_exchange, forged] {
        let mut batch: Vec<_> = (0..100).map(|at| to(&queue, &at.to_string())).collect();
        batch.insert(50, bad);
        let outcomes = broker.publish_all(batch).await;
        for (at, outcome) in outcomes.iter().enumerate() {
            assert_eq!(outcome.is_ok(), at != 50, "{at}: {outcome:?}");
        }
        assert!(
            matches!(outcomes[50], Err(Error::Refused { .. })),
            "{:?}",
            outcomes[50]
        );
    }
    assert_eq!(broker.stats().connections, 1);
    assert!(ready(&broker, &queue).await >= Some(200));
    broker.delete_queue(&queue).await.unwrap();
    broker.close().await;
}

/// An answer to an exchange that does not exist costs no other message that nobody
/// confirms.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_exchange_loses_no_unconfirmed_message() {
    let broker = open();
    let queue = declare(&broker, Queue::new(unique("unconfirmed"))).await;
    for round in 1..=3 {
        let mut batch: Vec<_> = (0..400)
            .map(|at| to(&queue, &at.to_string()).unconfirmed())
            .collect();
        let no_exchange = Publication::to_exchange(unique("exchange"), "key", message("bad"));
        batch.insert(10, no_exchange.unconfirmed());
        broker.publish_all(batch).await;
        eventually("all are there", || async {
            (ready(&broker, &queue).await == Some(400 * round)).then_some(())
        })
        .await;
    }
    broker.delete_queue(&queue).await.unwrap();
    broker.close().await;
}

/// What exists with other arguments is used as it is; what cannot exist is an error.
#[tokio::test]
async fn an_existing_queue_is_adopted() {
    let broker = open();
    let queue = declare(
        &broker,
        Queue::new(unique("adopted")).argument("x-max-priority", 5i64),
    )
    .await;
    declare(&broker, Queue::new(&queue)).await;
    broker.publish(to(&queue, "a")).await.unwrap();
    assert_eq!(ready(&broker, &queue).await, Some(1));
    let impossible = Topology {
        queues: vec![Queue::new(unique("impossible")).argument("x-max-priority", "high")],
        ..Topology::default()
    };
    assert!(matches!(
        broker.declare(&impossible).await,
        Err(Error::Refused { .. })
    ));
    broker.delete_queue(&queue).await.unwrap();
    broker.close().await;
}

/// The server holds a message for whole seconds, in a queue whose name has dots.
#[tokio::test]
async fn a_delayed_message_comes_when_it_is_time() {
    let broker = open();
    let queue = declare(&broker, Queue::new(unique("delayed.queue"))).await;
    let mut consumer = broker.consume(Subscription::new(&queue, 10)).await.unwrap();
    let due = celeriac::clock::now() + Duration::from_millis(2_500);
    let later = Publication {
        not_before: Some(due),
        ..to(&queue, "later")
    };
    broker.publish(later).await.unwrap();
    broker.publish(to(&queue, "now")).await.unwrap();
    assert_eq!(texts(take(&mut consumer, 1).await), ["now"]);
    assert_eq!(texts(take(&mut consumer, 1).await), ["later"]);
    let late = celeriac::clock::now().duration_since(due - Duration::from_millis(700));
    assert!(
        late.is_ok(),
        "came more than the fraction of a second too early"
    );
    let nowhere = Publication {
        not_before: Some(due + Duration::from_secs(60)),
        ..to(&unique("nowhere"), "x")
    };
    assert!(matches!(
        broker.publish(nowhere).await,
        Err(Error::Refused { .. })
    ));
    drop(consumer);
    broker.delete_queue(&queue).await.unwrap();
    broker.close().await;
}

/// After a cancellation receipts are still good, and what nobody took goes back.
#[tokio::test]
async fn receipts_outlive_a_cancelled_consumer() {
    let broker = open();
    let queue = declare(&broker, Queue::new(unique("cancelled"))).await;
    let batch = (0..50).map(|at| to(&queue, &at.to_string())).collect();
    assert!(broker.publish_all(batch).await.iter().all(Result::is_ok));
    let mut consumer = broker.consume(Subscription::new(&queue, 20)).await.unwrap();
    let held = take(&mut consumer, 5).await;
    consumer.cancel().await.unwrap();
    assert!(consumer.next(1).await.is_none());
    eventually("the others are back", || async {
        (ready(&broker, &queue).await == Some(45)).then_some(())
    })
    .await;
    assert!(held.iter().all(|delivery| delivery.receipt.is_current()));
    texts(held);
    broker.close().await;
    let broker = open();
    assert_eq!(ready(&broker, &queue).await, Some(45));
    broker.delete_queue(&queue).await.unwrap();
    broker.close().await;
}

/// A prefetch is what a consumer holds at most, also after it was changed.
#[tokio::test]
async fn a_changed_prefetch_holds() {
    let broker = open();
    let queue = declare(&broker, Queue::new(unique("prefetch"))).await;
    let batch = (0..50).map(|at| to(&queue, &at.to_string())).collect();
    assert!(broker.publish_all(batch).await.iter().all(Result::is_ok));
    let mut consumer = broker.consume(Subscription::new(&queue, 4)).await.unwrap();
    let held = take(&mut consumer, 4).await;
    assert!(stays_silent(consumer.next(1)).await);
    texts(held);
    consumer.set_prefetch(8).await.unwrap();
    let held = take(&mut consumer, 8).await;
    assert!(held.iter().all(|delivery| delivery.receipt.is_current()));
    drop((held, consumer));
    broker.delete_queue(&queue).await.unwrap();
    broker.close().await;
}

/// A deleted queue is declared and consumed again.
#[tokio::test]
async fn a_consumer_outlives_its_queue() {
    let broker = open();
    let queue = declare(&broker, Queue::new(unique("deleted"))).await;
    let mut consumer = broker.consume(Subscription::new(&queue, 4)).await.unwrap();
    let other = open();
    other.delete_queue(&queue).await.unwrap();
    eventually("the queue is back", || async {
        other.queue(&queue).await.unwrap()
    })
    .await;
    other.publish(to(&queue, "again")).await.unwrap();
    assert_eq!(texts(take(&mut consumer, 1).await), ["again"]);
    drop(consumer);
    broker.delete_queue(&queue).await.unwrap();
    other.close().await;
    broker.close().await;
}

/// Connections that are closed, a server that stops, a server that dies: what was
/// published arrives, and exclusive queues are there again.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_server_goes_and_comes() {
    let rabbit = PrivateRabbit::create().await;
    let mut config = Config::default();
    config.publish_timeout = Duration::from_secs(120);
    config.backoff.longest = Duration::from_secs(1);
    let broker = Arc::new(AmqpBroker::with_config(&rabbit.amqp_url(), config).unwrap());
    let queue = declare(&broker, Queue::new("work")).await;
    let private = Topology {
        exchanges: vec![Exchange::new("fan", ExchangeKind::Fanout).transient()],
        queues: vec![Queue::private("mine")],
        bindings: vec![Binding::new("fan", "mine", "")],
    };
    broker.declare(&private).await.unwrap();
    let mut mine = broker
        .consume(Subscription::unacknowledged("mine"))
        .await
        .unwrap();
    let mut work = broker.consume(Subscription::new(&queue, 16)).await.unwrap();

    let total = 600;
    let publisher = tokio::spawn({
        let (broker, queue) = (Arc::clone(&broker), queue.clone());
        async move {
            for at in 0..total {
                broker.publish(to(&queue, &at.to_string())).await.unwrap();
            }
        }
    });
    let consumed = tokio::spawn(async move {
        let mut seen = HashSet::new();
        while seen.len() < total {
            seen.extend(texts(work.next(8).await.unwrap()));
        }
    });
    rabbit.close_connections().await;
    rabbit.stop().await;
    eventually("the link is seen to be down", || async {
        (!broker.link().borrow().is_up()).then_some(())
    })
    .await;
    rabbit.start().await;
    rabbit.kill().await;
    rabbit.start().await;
    tokio::time::timeout(Duration::from_secs(120), async {
        publisher.await.unwrap();
        consumed.await.unwrap();
    })
    .await
    .expect("every message arrived");

    eventually("the exclusive queue is back", || async {
        broker
            .publish(Publication {
                mandatory: true,
                ..Publication::to_exchange("fan", "", message("hello"))
            })
            .await
            .ok()
    })
    .await;
    assert_eq!(texts(take(&mut mine, 1).await), ["hello"]);
    broker.close().await;
    rabbit.destroy().await;
}

/// A receipt of a lost connection does nothing to the next one.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_receipt_is_void() {
    let rabbit = PrivateRabbit::create().await;
    let broker = AmqpBroker::open(&rabbit.amqp_url()).unwrap();
    let queue = declare(&broker, Queue::new("work")).await;
    broker.publish(to(&queue, "a")).await.unwrap();
    let mut consumer = broker.consume(Subscription::new(&queue, 1)).await.unwrap();
    let old = take(&mut consumer, 1).await.remove(0);
    rabbit.close_connections().await;
    let new = take(&mut consumer, 1).await.remove(0);
    assert!(!old.receipt.is_current() && new.receipt.is_current() && new.redelivered);
    old.receipt.acknowledge();
    new.receipt.requeue();
    assert_eq!(texts(take(&mut consumer, 1).await), ["a"]);
    broker.close().await;
    rabbit.destroy().await;
}

/// A server that cannot be reached, or that says nothing, is an error in time.
#[tokio::test]
async fn a_server_out_of_reach_is_an_error_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("amqp://{}", silent.local_addr().unwrap());
    for url in ["amqp://127.0.0.1:1", silent.as_str()] {
        let mut config = Config::default();
        config.publish_timeout = Duration::from_millis(500);
        config.call_timeout = Duration::from_millis(500);
        config.connection_timeout = Duration::from_millis(100);
        let broker = AmqpBroker::with_config(url, config).unwrap();
        let published = within("an answer", broker.publish(to("q", "a"))).await;
        assert!(
            matches!(published, Err(Error::Unavailable { .. })),
            "{published:?}"
        );
        let asked = within("an answer", broker.queue("q")).await;
        assert!(matches!(asked, Err(Error::Unavailable { .. })), "{asked:?}");
        assert!(matches!(
            *broker.link().borrow(),
            Link::Connecting { failures: 1.., .. }
        ));
        within("closing", broker.close()).await;
        assert!(matches!(
            broker.publish(to("q", "a")).await,
            Err(Error::Closed(_))
        ));
        assert_eq!(*broker.link().borrow(), Link::Closed);
    }
}

/// The client keeps a refusal under the number of its channel, and numbers come round: an
/// answer about one queue must not be that about another one, long ago.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_told_again_when_the_numbers_of_channels_come_round() {
    let broker = open();
    let queue = declare(&broker, Queue::new(unique("round"))).await;
    let missing = unique("missing");
    for _ in 0..3 {
        assert!(broker.queue(&missing).await.unwrap().is_none());
    }
    // RabbitMQ gives a connection 2047.
    for at in 0..2_200 {
        let found = broker.queue(&queue).await;
        assert!(matches!(found, Ok(Some(_))), "{at}: {found:?}");
    }
    broker.delete_queue(&queue).await.unwrap();
    broker.close().await;
}
