//! Settling deliveries.

use celeriac::broker::Subscription;

use super::{Bench, Scene, one, queue, text, unique};
use crate::eventually::stays_silent;

/// A message is delivered once when it is acknowledged, and not marked as redelivered.
pub async fn an_acknowledged_message_is_gone(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    scene.publish(&["a"]).await;
    let mut consumer = scene.consume(10).await;
    let delivery = one(&mut consumer).await;
    assert_eq!(text(&delivery), "a");
    assert_eq!(&*delivery.queue, scene.queue);
    assert_eq!(
        (delivery.exchange.as_str(), delivery.routing_key.as_str()),
        ("", &*scene.queue)
    );
    assert!(!delivery.redelivered);
    assert!(delivery.receipt.is_current());
    delivery.receipt.acknowledge();
    assert!(stays_silent(consumer.next(1)).await);
    drop(consumer);
    scene.ready(0).await;
}

/// Dropping a receipt gives the message back, marked.
pub async fn a_dropped_receipt_gives_the_message_back(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    scene.publish(&["a"]).await;
    let mut consumer = scene.consume(10).await;
    let delivery = one(&mut consumer).await;
    drop(delivery);
    drop(consumer);
    let again = one(&mut scene.consume(10).await).await;
    assert_eq!(text(&again), "a");
    assert!(again.redelivered);
    again.receipt.acknowledge();
}

/// Requeueing delivers again to the same consumer, marked.
pub async fn a_requeued_message_comes_again(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    scene.publish(&["a"]).await;
    let mut consumer = scene.consume(10).await;
    one(&mut consumer).await.receipt.requeue();
    let again = one(&mut consumer).await;
    assert!(again.redelivered);
    again.receipt.acknowledge();
    assert!(stays_silent(consumer.next(1)).await);
}

/// Rejecting sends to the dead-letter queue, with the reason in the headers.
pub async fn a_rejected_message_goes_to_the_dead_letter_queue(bench: &dyn Bench) {
    let dead = unique("dead");
    let scene = Scene::with(bench, |queue| {
        queue
            .argument("x-dead-letter-exchange", "")
            .argument("x-dead-letter-routing-key", dead.as_str())
    })
    .await;
    scene.declare(queue(&dead)).await;
    scene.publish(&["a"]).await;
    let mut consumer = scene.consume(10).await;
    one(&mut consumer).await.receipt.reject();
    let buried = one(&mut scene.subscribe(Subscription::new(&*dead, 1)).await).await;
    assert_eq!(text(&buried), "a");
    assert!(!buried.redelivered);
    let headers = &buried.message.headers;
    let deaths = headers
        .get("x-death")
        .and_then(|deaths| deaths.as_array())
        .unwrap();
    let death = deaths[0].as_map().unwrap();
    assert_eq!(death.get("reason").unwrap().as_str(), Some("rejected"));
    assert_eq!(death.get("queue").unwrap().as_str(), Some(&*scene.queue));
    assert_eq!(death.get("count").unwrap().as_i64(), Some(1));
    buried.receipt.acknowledge();
    assert!(stays_silent(consumer.next(1)).await);
}

/// Without acknowledgements a message is gone when sent, whatever becomes of it.
pub async fn messages_without_acknowledgement_are_gone_when_sent(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    scene.publish(&["a"]).await;
    let mut consumer = scene
        .subscribe(Subscription::unacknowledged(&*scene.queue))
        .await;
    let delivery = one(&mut consumer).await;
    assert!(delivery.receipt.is_current());
    drop(delivery);
    drop(consumer);
    scene.ready(0).await;
    let mut consumer = scene.consume(1).await;
    assert!(stays_silent(consumer.next(1)).await);
}
