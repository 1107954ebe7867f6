//! What a server that answers late does not break.

use celeriac_tests::relay::Relay;

use super::*;

/// To change the prefetch takes as long as the server takes, and costs no receipt.
#[tokio::test]
async fn a_late_cancellation_is_waited_for_when_the_prefetch_changes() {
    let relay = Relay::start(&amqp_url()).await;
    let broker = AmqpBroker::open(&relay.url()).unwrap();
    let queue = declare(&broker, Queue::new(unique("slow"))).await;
    broker.publish(to(&queue, "a")).await.unwrap();
    let alone = Subscription {
        exclusive: true,
        ..Subscription::new(&queue, 1)
    };
    let mut consumer = broker.consume(alone).await.unwrap();
    let held = take(&mut consumer, 1).await;
    relay.hold();
    let mut changing = consumer.set_prefetch(4);
    for _ in 0..3 {
        assert!(stays_silent(&mut changing).await);
    }
    relay.release();
    within("the answer", changing).await.unwrap();
    assert!(held[0].receipt.is_current());
    texts(held);
    drop(consumer);
    broker.delete_queue(&queue).await.unwrap();
    broker.close().await;
}

/// What a server still sends after it was told to stop goes back to the queue, while
/// receipts from before are good.
#[tokio::test]
async fn what_comes_after_a_cancellation_goes_back() {
    let relay = Relay::start(&amqp_url()).await;
    let broker = AmqpBroker::open(&relay.url()).unwrap();
    let other = open();
    let queue = declare(&broker, Queue::new(unique("slow"))).await;
    broker.publish(to(&queue, "held")).await.unwrap();
    let mut consumer = broker.consume(Subscription::new(&queue, 10)).await.unwrap();
    let held = take(&mut consumer, 1).await;
    relay.hold();
    let batch = (0..5).map(|at| to(&queue, &at.to_string())).collect();
    assert!(other.publish_all(batch).await.iter().all(Result::is_ok));
    eventually("the server has sent them", || async {
        (ready(&other, &queue).await == Some(0)).then_some(())
    })
    .await;
    within("the end", consumer.cancel()).await.unwrap();
    relay.release();
    eventually("they are back", || async {
        (ready(&other, &queue).await == Some(5)).then_some(())
    })
    .await;
    assert!(held[0].receipt.is_current());
    texts(held);
    other.delete_queue(&queue).await.unwrap();
    other.close().await;
    broker.close().await;
}

/// A channel that could not be opened is opened later, without another publication
/// to wake who opens it.
#[tokio::test]
async fn a_publication_waits_for_a_channel_that_opens_late() {
    let relay = Relay::start(&amqp_url()).await;
    let mut config = Config::default();
    config.call_timeout = Duration::from_millis(200);
    let broker = AmqpBroker::with_config(&relay.url(), config).unwrap();
    let other = open();
    let queue = declare(&other, Queue::new(unique("slow"))).await;
    broker.publish(to(&queue, "a")).await.unwrap();
    relay.hold();
    let mut published = broker.publish(to(&queue, "b").unconfirmed());
    for _ in 0..3 {
        assert!(stays_silent(&mut published).await);
    }
    relay.release();
    within("the publication", published).await.unwrap();
    eventually("both are there", || async {
        (ready(&other, &queue).await == Some(2)).then_some(())
    })
    .await;
    other.delete_queue(&queue).await.unwrap();
    other.close().await;
    broker.close().await;
}

/// A holder that the server's words do not reach any more has stopped before the server
/// gives its lock to another: the server takes two heartbeats at least.
#[tokio::test]
async fn a_holder_that_is_cut_off_stops_before_the_next_one_starts() {
    let mut url = url::Url::parse(&amqp_url()).unwrap();
    url.set_query(Some("heartbeat=2"));
    let relay = Relay::start(url.as_str()).await;
    let (cut_off, other) = (AmqpBroker::open(&relay.url()).unwrap(), open());
    let name = unique("lock");
    let held = cut_off.lock(&name).await.unwrap().unwrap();
    assert!(stays_silent(held.lost()).await && held.is_held());
    relay.hold();
    // A proof that was on its way may still have arrived: from here on none does.
    let taken = eventually("the lock is free", || async {
        let taken = other.lock(&name).await.unwrap();
        assert!(taken.is_none() || !held.is_held());
        taken
    })
    .await;
    within("the loss", held.lost()).await;
    // Once it hears the server again, it does not take the lock for its own.
    relay.release();
    assert!(stays_silent(std::future::pending::<()>()).await);
    assert!(!held.is_held() && taken.is_held());
    cut_off.close().await;
    other.close().await;
}
