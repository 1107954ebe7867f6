//! Queues: counts, life and death, priorities, time.

use std::time::Duration;

use celeriac::Error;
use celeriac::broker::{Link, Publication, Queue, QueueStatus, Subscription};
use celeriac::clock;
use celeriac::protocol::Message;
use tokio::time::Instant;

use super::{Bench, Scene, message, one, queue, take, text, texts, to, unique};
use crate::eventually::{eventually, stays_silent, within};

async fn gone(scene: &Scene, name: &str) {
    eventually("the queue is gone", || async {
        scene
            .broker
            .queue(name)
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
}

/// On a queue with priorities the higher ones go first; within one, order is kept.
pub async fn priorities_go_first(bench: &dyn Bench) {
    let scene = Scene::with(bench, |queue| queue.argument("x-max-priority", 5)).await;
    if !scene.broker.capabilities().priority {
        return;
    }
    for (text, priority) in [
        ("none", None),
        ("low", Some(1)),
        ("high", Some(5)),
        ("beyond", Some(9)),
        ("low too", Some(1)),
    ] {
        let mut message = message(text);
        message.properties.priority = priority;
        scene
            .broker
            .publish(Publication::to_queue(&*scene.queue, message))
            .await
            .unwrap();
    }
    scene.ready(5).await;
    let deliveries = take(&mut scene.consume(10).await, 5).await;
    assert_eq!(
        texts(&deliveries),
        ["high", "beyond", "low", "low too", "none"]
    );
}

/// A private queue is closed to other connections and goes with its own.
pub async fn a_private_queue_goes_with_its_connection(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let other = Scene::new(bench).await;
    let name = unique("private");
    scene.declare(Queue::private(&*name)).await;
    scene.broker.publish(to(&name, "a")).await.unwrap();
    let refused = within(
        "consuming",
        other.broker.consume(Subscription::new(&*name, 1)),
    )
    .await;
    assert!(
        matches!(refused, Err(Error::Refused { .. })),
        "{:?}",
        refused.err()
    );
    let mut consumer = scene.subscribe(Subscription::unacknowledged(&*name)).await;
    assert_eq!(text(&one(&mut consumer).await), "a");
    within("closing", scene.broker.close()).await;
    gone(&other, &name).await;
}

/// An auto-deleted queue goes with its last consumer, not with the first of two.
pub async fn an_auto_deleted_queue_goes_with_its_last_consumer(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let name = unique("auto");
    scene
        .declare(Queue {
            auto_delete: true,
            ..queue(&name)
        })
        .await;
    let mut first = scene.subscribe(Subscription::new(&*name, 1)).await;
    let second = scene.subscribe(Subscription::new(&*name, 1)).await;
    within("cancelling", first.cancel()).await.unwrap();
    assert!(scene.broker.queue(&name).await.unwrap().is_some());
    drop(second);
    gone(&scene, &name).await;
}

/// A queue's counts are told; there is nothing to tell of one that is not there.
pub async fn counts_are_told(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let status = scene.broker.queue(&scene.queue).await.unwrap();
    assert_eq!(status.map(counts), Some((0, 0)));
    scene.publish(&["a", "b", "c"]).await;
    scene.ready(3).await;
    let mut consumer = scene.consume(1).await;
    let held = one(&mut consumer).await;
    eventually("one consumer and two ready", || async {
        let status = scene.broker.queue(&scene.queue).await.unwrap();
        status.filter(|status| counts(*status) == (2, 1))
    })
    .await;
    let status = scene.broker.queue(&scene.queue).await.unwrap().unwrap();
    assert!(status.unacked.is_none_or(|count| count == 1), "{status:?}");
    let age = status
        .oldest
        .map(|since| clock::now().duration_since(since));
    assert!(age.is_none_or(|age| age.is_ok()), "{status:?}");
    drop(held);
    let absent = scene.broker.queue(&unique("absent")).await;
    assert!(matches!(absent, Ok(None)), "{absent:?}");
    // Asking for what is not there costs nothing else.
    assert_eq!(text(&one(&mut consumer).await), "a");
}

/// Purging drops what is ready, not what is handed out.
pub async fn purging_counts_what_it_drops(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    scene.publish(&["a", "b", "c"]).await;
    let mut consumer = scene.consume(1).await;
    let held = one(&mut consumer).await;
    assert_eq!(
        within("purging", scene.broker.purge(&scene.queue))
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        within("purging", scene.broker.purge(&scene.queue))
            .await
            .unwrap(),
        0
    );
    held.receipt.requeue();
    assert_eq!(text(&one(&mut consumer).await), "a");
}

/// Deleting tells whether there was a queue.
pub async fn deleting_tells_whether_there_was_one(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    scene.publish(&["a"]).await;
    assert!(
        within("deleting", scene.broker.delete_queue(&scene.queue))
            .await
            .unwrap()
    );
    assert!(
        !within("deleting", scene.broker.delete_queue(&scene.queue))
            .await
            .unwrap()
    );
    assert_eq!(scene.broker.queue(&scene.queue).await.unwrap(), None);
    // Declared again it is empty.
    scene.declare(queue(&scene.queue)).await;
    scene.ready(0).await;
}

/// A queue that is there with other arguments is used as it is.
pub async fn a_queue_with_other_arguments_is_adopted(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    scene.publish(&["a"]).await;
    scene
        .declare(queue(&scene.queue).argument("x-max-length", 10))
        .await;
    let other = bench.open().await;
    let wish = Queue {
        durable: false,
        auto_delete: true,
        ..Queue::new(&*scene.queue)
    };
    let topology = celeriac::broker::Topology {
        queues: vec![wish],
        ..celeriac::broker::Topology::default()
    };
    within("declaring", other.declare(&topology)).await.unwrap();
    other.publish(to(&scene.queue, "b")).await.unwrap();
    let deliveries = take(&mut scene.consume(10).await, 2).await;
    assert_eq!(texts(&deliveries), ["a", "b"]);
}

/// A message with a time comes then, not before, and does not hold up others.
pub async fn a_late_message_waits_for_its_time(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    if !scene.broker.capabilities().delay {
        return;
    }
    // Some brokers count in whole seconds, cut off.
    let delay = Duration::from_millis(2500);
    let start = Instant::now();
    let late = Publication {
        not_before: Some(clock::now() + delay),
        ..to(&scene.queue, "late")
    };
    within("publishing", scene.broker.publish(late))
        .await
        .unwrap();
    let past = Publication {
        not_before: Some(clock::now() - delay),
        ..to(&scene.queue, "past")
    };
    within("publishing", scene.broker.publish(past))
        .await
        .unwrap();
    let mut consumer = scene.consume(10).await;
    let past = one(&mut consumer).await;
    assert_eq!(text(&past), "past");
    let late = one(&mut consumer).await;
    assert_eq!(text(&late), "late");
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(1400), "after {waited:?}");
}

/// A message whose time to live is over is not delivered.
pub async fn an_expired_message_is_gone(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let mut short = Message { ..message("short") };
    short.properties.expiration = Some("50".to_owned());
    scene
        .broker
        .publish(Publication::to_queue(&*scene.queue, short))
        .await
        .unwrap();
    scene.ready(0).await;
    let mut long = message("long");
    long.properties.expiration = Some("600000".to_owned());
    scene
        .broker
        .publish(Publication::to_queue(&*scene.queue, long))
        .await
        .unwrap();
    let mut consumer = scene.consume(10).await;
    let held = one(&mut consumer).await;
    assert_eq!(text(&held), "long");
    assert!(stays_silent(consumer.next(1)).await);
}

/// After closing every call says so, consumers end, and unsettled messages are back.
pub async fn closing_ends_everything(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let other = Scene {
        queue: scene.queue.clone(),
        broker: bench.open().await,
    };
    scene.publish(&["a", "b"]).await;
    let mut consumer = scene.consume(10).await;
    let mut held = take(&mut consumer, 2).await;
    held.remove(0).receipt.acknowledge();
    let mut link = scene.broker.link();
    assert!(link.borrow().is_up());
    within("closing", scene.broker.close()).await;
    within(
        "the link's end",
        link.wait_for(|link| *link == Link::Closed),
    )
    .await
    .unwrap();
    assert!(
        within("the consumer's end", consumer.next(1))
            .await
            .is_none()
    );
    assert!(!held[0].receipt.is_current());
    let name = &scene.queue;
    let closed = [
        within("publishing", scene.broker.publish(to(name, "c")))
            .await
            .err(),
        within(
            "consuming",
            scene.broker.consume(Subscription::new(name, 1)),
        )
        .await
        .err(),
        within("declaring", scene.broker.declare(&Default::default()))
            .await
            .err(),
        within("asking", scene.broker.queue(name)).await.err(),
        within("purging", scene.broker.purge(name)).await.err(),
        within("deleting", scene.broker.delete_queue(name))
            .await
            .err(),
    ];
    for error in closed {
        assert!(matches!(error, Some(Error::Closed(_))), "{error:?}");
    }
    // The acknowledgement was flushed; the other one comes again.
    let again = one(&mut other.consume(10).await).await;
    assert_eq!(text(&again), "b");
    assert!(again.redelivered);
}

fn counts(status: QueueStatus) -> (u64, u64) {
    (status.ready, status.consumers)
}
