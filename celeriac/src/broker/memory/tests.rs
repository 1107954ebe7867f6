//! What the conformance suite cannot see: limits, the interrupted link, the paused clock.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;
use crate::broker::{Delivery, Queue};
use crate::clock;
use celeriac_protocol::Message;

async fn broker_with(queue: Queue) -> MemoryBroker {
    let broker = MemoryBroker::new();
    let topology = Topology {
        queues: vec![queue],
        ..Topology::default()
    };
    broker.declare(&topology).await.unwrap();
    broker
}

fn text(body: &str) -> Publication {
    let message = Message {
        body: body.to_owned().into(),
        ..Message::default()
    };
    Publication::to_queue("q", message)
}

fn bodies(deliveries: &[Delivery]) -> Vec<&[u8]> {
    deliveries
        .iter()
        .map(|delivery| &delivery.message.body[..])
        .collect()
}

#[tokio::test]
async fn a_full_broker_refuses_until_there_is_room() {
    let broker = MemoryBroker::from_url("memory://?max_messages=2").unwrap();
    let topology = Topology {
        queues: vec![Queue::new("q")],
        ..Topology::default()
    };
    broker.declare(&topology).await.unwrap();
    let answers = broker
        .publish_all(vec![text("a"), text("b"), text("c")])
        .await;
    assert!(answers[0].is_ok() && answers[1].is_ok());
    let error = answers[2].as_ref().unwrap_err().to_string();
    assert!(error.contains("memory broker is full"), "{error}");

    let mut consumer = broker.consume(Subscription::new("q", 1)).await.unwrap();
    let delivery = consumer.next(1).await.unwrap().remove(0);
    // An unacknowledged message still takes its room.
    assert!(broker.publish(text("c")).await.is_err());
    delivery.receipt.acknowledge();
    broker.publish(text("c")).await.unwrap();
}

#[tokio::test]
async fn an_interrupted_link_voids_receipts_and_delivers_again() {
    let broker = broker_with(Queue::new("q")).await;
    broker.publish_all(vec![text("a"), text("b")]).await;
    let mut consumer = broker.consume(Subscription::new("q", 2)).await.unwrap();
    let before = consumer.next(9).await.unwrap();
    assert_eq!(bodies(&before), [b"a", b"b"]);
    assert!(before[0].receipt.is_current());

    broker.interrupt();
    assert_eq!(
        *broker.link().borrow(),
        Link::Up {
            epoch: 2,
            server: "memory".to_owned()
        }
    );
    assert!(!before[0].receipt.is_current());
    for delivery in before {
        delivery.receipt.acknowledge();
    }
    let after = consumer.next(9).await.unwrap();
    assert_eq!(bodies(&after), [b"a", b"b"]);
    assert!(after.iter().all(|delivery| delivery.redelivered));
}

#[tokio::test]
async fn connections_close_one_by_one() {
    let broker = broker_with(Queue::new("q")).await;
    let other = broker.connect();
    let private = Topology {
        queues: vec![Queue::private("p")],
        ..Topology::default()
    };
    other.declare(&private).await.unwrap();
    assert!(matches!(
        broker.queue("p").await,
        Err(Error::Refused { .. })
    ));
    broker.publish(text("a")).await.unwrap();
    let mut consumer = other.consume(Subscription::new("q", 1)).await.unwrap();
    let held = consumer.next(1).await.unwrap();

    other.close().await;
    assert!(consumer.next(1).await.is_none());
    assert!(matches!(
        other.publish(text("b")).await,
        Err(Error::Closed(_))
    ));
    assert!(!held[0].receipt.is_current());
    assert_eq!(broker.queue("p").await.unwrap(), None);
    assert_eq!(
        broker
            .queue("q")
            .await
            .unwrap()
            .map(|queue| (queue.ready, queue.consumers)),
        Some((1, 0))
    );
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_moves_delays() {
    let broker = broker_with(Queue::new("q")).await;
    let hour = Duration::from_secs(3600);
    let late = Publication {
        not_before: Some(clock::now() + hour),
        ..text("late")
    };
    let soon = Publication {
        not_before: Some(clock::now() + hour / 2),
        ..text("soon")
    };
    broker.publish_all(vec![late, soon]).await;
    let mut consumer = broker.consume(Subscription::new("q", 9)).await.unwrap();
    let first = consumer.next(9).await.unwrap();
    assert_eq!(bodies(&first), [b"soon"]);
    let second = consumer.next(9).await.unwrap();
    assert_eq!(bodies(&second), [b"late"]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_message_goes_to_the_dead_letter_exchange() {
    let queue = Queue::new("q")
        .argument("x-message-ttl", 1000)
        .argument("x-dead-letter-exchange", "")
        .argument("x-dead-letter-routing-key", "dead");
    let broker = broker_with(queue).await;
    let dead = Topology {
        queues: vec![Queue::new("dead")],
        ..Topology::default()
    };
    broker.declare(&dead).await.unwrap();
    broker.publish(text("a")).await.unwrap();
    let mut consumer = broker.consume(Subscription::new("dead", 9)).await.unwrap();
    let delivery = consumer.next(9).await.unwrap().remove(0);
    assert_eq!(
        delivery
            .message
            .headers
            .get("x-first-death-reason")
            .unwrap()
            .as_str(),
        Some("expired")
    );
    assert_eq!(broker.queue("q").await.unwrap().unwrap().ready, 0);
}

#[tokio::test(start_paused = true)]
async fn an_unused_queue_expires() {
    let broker = broker_with(Queue::new("q").argument("x-expires", 1000)).await;
    let consumer = broker.consume(Subscription::new("q", 9)).await.unwrap();
    tokio::time::advance(Duration::from_secs(5)).await;
    tokio::task::yield_now().await;
    assert!(broker.queue("q").await.unwrap().is_some());
    drop(consumer);
    for _ in 0..10 {
        tokio::time::advance(Duration::from_millis(200)).await;
        tokio::task::yield_now().await;
    }
    assert!(broker.queue("q").await.unwrap().is_none());
}

#[tokio::test]
async fn a_cancelled_wait_does_not_swallow_the_alarm() {
    let broker = broker_with(Queue::new("q")).await;
    let mut first = broker.consume(Subscription::new("q", 1)).await.unwrap();
    let mut second = broker.consume(Subscription::new("q", 1)).await.unwrap();
    {
        let mut given_up = first.next(1);
        let mut waiting = second.next(1);
        assert!(futures_util::poll!(&mut given_up).is_pending());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        // This wakes the first, which has been waiting longer.
        broker.publish(text("a")).await.unwrap();
        drop(given_up);
        assert_eq!(bodies(&waiting.await.unwrap()), [b"a"]);
    }
}

#[tokio::test]
async fn a_burst_is_shared_among_those_who_wait() {
    let broker = broker_with(Queue::new("q")).await;
    let mut consumers = Vec::new();
    for _ in 0..2 {
        consumers.push(broker.consume(Subscription::new("q", 100)).await.unwrap());
    }
    let [first, second] = &mut consumers[..] else {
        unreachable!()
    };
    let (mut first, mut second) = (first.next(100), second.next(100));
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(futures_util::poll!(&mut second).is_pending());
    broker
        .publish_all((0..10).map(|n| text(&n.to_string())).collect())
        .await;
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!((first.len(), second.len()), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn the_age_of_the_oldest_message_is_told_of_what_is_ready() {
    let broker = broker_with(Queue::new("q")).await;
    let oldest = async || broker.queue("q").await.unwrap().unwrap().oldest;
    let age = |since| {
        let age = clock::now().duration_since(since);
        age.unwrap_or_default().as_secs()
    };
    assert_eq!(oldest().await, None);
    broker.publish(text("a")).await.unwrap();
    tokio::time::advance(Duration::from_secs(60)).await;
    broker.publish(text("b")).await.unwrap();
    assert_eq!(oldest().await.map(age), Some(60));
    let subscription = Subscription::new("q", 1);
    let mut consumer = broker.consume(subscription).await.unwrap();
    let held = consumer.next(1).await.unwrap();
    assert_eq!(oldest().await.map(age), Some(0));
    let status = broker.queue("q").await.unwrap().unwrap();
    assert_eq!(status.unacked, Some(1));
    // What comes back waits as long as it has waited.
    drop((held, consumer));
    assert_eq!(oldest().await.map(age), Some(60));
}
