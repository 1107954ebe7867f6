//! Consumers: credit, batches, cancellation.

use std::collections::HashSet;

use celeriac::Error;
use celeriac::broker::Subscription;

use super::{Bench, Scene, one, take, text, texts, to};
use crate::eventually::{eventually, stays_silent, within};

/// No more than the prefetch is handed out until something is settled.
pub async fn prefetch_bounds_what_is_handed_out(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    scene.publish(&["a", "b", "c", "d"]).await;
    let mut consumer = scene.consume(2).await;
    let mut held = take(&mut consumer, 2).await;
    assert_eq!(texts(&held), ["a", "b"]);
    assert!(stays_silent(consumer.next(9)).await);
    held.remove(0).receipt.acknowledge();
    held.push(one(&mut consumer).await);
    assert_eq!(texts(&held), ["b", "c"]);
    assert!(stays_silent(consumer.next(9)).await);
    held.remove(0).receipt.reject();
    held.push(one(&mut consumer).await);
    assert_eq!(texts(&held), ["c", "d"]);
}

/// One call brings more than one delivery when more are there, and never too many.
pub async fn a_batch_brings_what_is_there(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let numbers: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    scene
        .publish(&numbers.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    let mut consumer = scene.consume(100).await;
    let (mut got, mut largest) = (Vec::new(), 0);
    while got.len() < numbers.len() {
        let batch = within("a batch", consumer.next(20)).await.unwrap();
        assert!(batch.len() <= 20);
        largest = largest.max(batch.len());
        for delivery in batch {
            got.push(text(&delivery).to_owned());
            delivery.receipt.acknowledge();
        }
    }
    assert_eq!(got, numbers);
    assert!(largest > 1, "the largest batch had {largest}");
}

/// Cancelling gives back what was not handed out; what was handed out can be settled.
pub async fn cancelling_gives_back_what_waits(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    scene.publish(&["a", "b", "c"]).await;
    let mut consumer = scene.consume(10).await;
    let held = one(&mut consumer).await;
    within("cancelling", consumer.cancel()).await.unwrap();
    assert!(within("the end", consumer.next(1)).await.is_none());
    scene.ready(2).await;
    held.receipt.acknowledge();
    let rest = take(&mut scene.consume(10).await, 2).await;
    assert_eq!(texts(&rest), ["b", "c"]);
    for delivery in rest {
        delivery.receipt.acknowledge();
    }
    scene.ready(0).await;
}

/// Dropping a consumer cancels it.
pub async fn dropping_a_consumer_gives_back_what_waits(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    scene.publish(&["a", "b"]).await;
    let mut consumer = scene.consume(10).await;
    let held = one(&mut consumer).await;
    drop(consumer);
    scene.ready(1).await;
    held.receipt.acknowledge();
    eventually("no consumer any more", || async {
        let status = scene.broker.queue(&scene.queue).await.unwrap()?;
        (status.consumers == 0).then_some(())
    })
    .await;
}

/// A larger prefetch brings more at once. A changed one holds exactly when what was
/// handed out before is settled.
pub async fn prefetch_can_be_changed(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    scene.publish(&["a", "b", "c"]).await;
    let mut consumer = scene.consume(1).await;
    let mut held = take(&mut consumer, 1).await;
    assert!(stays_silent(consumer.next(9)).await);
    within("changing", consumer.set_prefetch(3)).await.unwrap();
    held.extend(take(&mut consumer, 2).await);
    assert_eq!(texts(&held), ["a", "b", "c"]);
    for delivery in held {
        delivery.receipt.acknowledge();
    }
    within("changing", consumer.set_prefetch(1)).await.unwrap();
    scene.publish(&["d", "e"]).await;
    for expected in ["d", "e"] {
        let next = one(&mut consumer).await;
        assert_eq!(text(&next), expected);
        assert!(stays_silent(consumer.next(9)).await);
        next.receipt.acknowledge();
    }
}

/// Each message of a queue goes to one of its consumers.
pub async fn consumers_share_a_queue(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let other = bench.open().await;
    let mut first = scene.consume(10).await;
    let subscription = Subscription::new(&*scene.queue, 10);
    let mut second = within("consuming", other.consume(subscription))
        .await
        .unwrap();
    for n in 0..100 {
        scene
            .broker
            .publish(to(&scene.queue, &n.to_string()))
            .await
            .unwrap();
    }
    let (mut seen, mut shares) = (HashSet::new(), [0, 0]);
    while seen.len() < 100 {
        let (who, batch) = within("a delivery", async {
            tokio::select! {
                batch = first.next(5) => (0, batch),
                batch = second.next(5) => (1, batch),
            }
        })
        .await;
        for delivery in batch.unwrap() {
            assert!(
                seen.insert(text(&delivery).to_owned()),
                "{} came twice",
                text(&delivery)
            );
            shares[who] += 1;
            delivery.receipt.acknowledge();
        }
    }
    assert!(shares[0] > 0 && shares[1] > 0, "{shares:?}");
}

/// An exclusive consumer keeps others away, and is kept away by others.
pub async fn an_exclusive_consumer_is_alone(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let subscription = Subscription {
        exclusive: true,
        ..Subscription::new(&*scene.queue, 1)
    };
    let exclusive = scene.subscribe(subscription.clone()).await;
    let other = bench.open().await;
    let shared = Subscription::new(&*scene.queue, 1);
    let refused = within("consuming", other.consume(shared)).await;
    assert!(
        matches!(refused, Err(Error::Refused { .. })),
        "{:?}",
        refused.err()
    );
    drop(exclusive);
    let _shared = scene.consume(1).await;
    let refused = within("consuming", other.consume(subscription)).await;
    assert!(
        matches!(refused, Err(Error::Refused { .. })),
        "{:?}",
        refused.err()
    );
}

/// S8: 10,000 messages of one producer come in their order.
pub async fn order_is_kept(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let mut consumer = scene.consume(500).await;
    let publishing = async {
        for thousand in 0..10 {
            let batch = (0..1000).map(|n| to(&scene.queue, &(thousand * 1000 + n).to_string()));
            let answers = scene.broker.publish_all(batch.collect()).await;
            answers.into_iter().for_each(|answer| answer.unwrap());
        }
    };
    let consuming = async {
        let mut expected = 0;
        while expected < 10_000 {
            for delivery in within("a batch", consumer.next(100)).await.unwrap() {
                assert_eq!(text(&delivery), expected.to_string());
                expected += 1;
                delivery.receipt.acknowledge();
            }
        }
    };
    tokio::join!(publishing, consuming);
}
