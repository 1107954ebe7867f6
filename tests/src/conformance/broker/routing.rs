//! From publications to queues.

use std::time::Duration;

use celeriac::broker::{Binding, Exchange, ExchangeKind, Publication, Subscription, Topology};
use celeriac::routing::TaskQueue;
use celeriac::{Error, clock};

use super::{Bench, Scene, message, one, take, text, texts, to, unique};
use crate::eventually::{eventually, stays_silent, within};

/// Declares an exchange bound to the scene's queue by some keys.
async fn exchange(scene: &Scene, kind: ExchangeKind, keys: &[&str]) -> String {
    let name = unique("exchange");
    let bindings = keys
        .iter()
        .map(|key| Binding::new(&*name, &*scene.queue, *key))
        .collect();
    let exchange = Exchange {
        auto_delete: true,
        ..Exchange::new(&*name, kind)
    };
    scene
        .topology(&Topology {
            exchanges: vec![exchange],
            bindings,
            ..Topology::default()
        })
        .await;
    name
}

async fn send(scene: &Scene, exchange: &str, key: &str) {
    let publication = Publication::to_exchange(exchange, key, message(key));
    within("publishing", scene.broker.publish(publication))
        .await
        .unwrap();
}

/// A direct exchange takes exactly the bound keys.
pub async fn a_direct_exchange_goes_by_the_key(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let name = exchange(&scene, ExchangeKind::Direct, &["red", "blue"]).await;
    for key in ["red", "green", "blue", "*"] {
        send(&scene, &name, key).await;
    }
    let mut consumer = scene.consume(10).await;
    let deliveries = take(&mut consumer, 2).await;
    assert_eq!(texts(&deliveries), ["red", "blue"]);
    assert_eq!(deliveries[0].exchange, name);
    assert_eq!(deliveries[0].routing_key, "red");
    assert!(stays_silent(consumer.next(1)).await);
}

/// A fanout exchange copies to every bound queue, whatever the key.
pub async fn a_fanout_exchange_goes_everywhere(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let other = Scene::new(bench).await;
    let name = exchange(&scene, ExchangeKind::Fanout, &[""]).await;
    let bindings = vec![Binding::new(&*name, &*other.queue, "")];
    scene
        .topology(&Topology {
            bindings,
            ..Topology::default()
        })
        .await;
    send(&scene, &name, "any").await;
    assert_eq!(text(&one(&mut scene.consume(1).await).await), "any");
    assert_eq!(text(&one(&mut other.consume(1).await).await), "any");
}

/// A topic exchange takes patterns of words; a queue gets one copy however many match.
pub async fn a_topic_exchange_goes_by_pattern(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let name = exchange(
        &scene,
        ExchangeKind::Topic,
        &["task.*", "worker.#", "#.multi"],
    )
    .await;
    for key in [
        "task.sent",
        "task.a.b",
        "worker",
        "worker.a.b",
        "task.multi",
        "other",
    ] {
        send(&scene, &name, key).await;
    }
    let mut consumer = scene.consume(10).await;
    let deliveries = take(&mut consumer, 4).await;
    assert_eq!(
        texts(&deliveries),
        ["task.sent", "worker", "worker.a.b", "task.multi"]
    );
    assert!(stays_silent(consumer.next(1)).await);
}

/// An exchange can be the destination of a binding.
pub async fn exchanges_can_be_bound_to_exchanges(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let inner = exchange(&scene, ExchangeKind::Direct, &["red"]).await;
    let outer = unique("exchange");
    let exchange = Exchange {
        auto_delete: true,
        ..Exchange::new(&*outer, ExchangeKind::Fanout)
    };
    let binding = Binding {
        to_exchange: true,
        ..Binding::new(&*outer, &*inner, "")
    };
    let topology = Topology {
        exchanges: vec![exchange],
        bindings: vec![binding],
        ..Topology::default()
    };
    scene.topology(&topology).await;
    send(&scene, &outer, "blue").await;
    send(&scene, &outer, "red").await;
    let mut consumer = scene.consume(10).await;
    let delivery = one(&mut consumer).await;
    assert_eq!((text(&delivery), &delivery.exchange), ("red", &outer));
    assert!(stays_silent(consumer.next(1)).await);
}

/// A mandatory message that no queue takes is refused; another one is dropped.
pub async fn a_mandatory_message_without_a_queue_is_refused(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let answer = within(
        "publishing",
        scene.broker.publish(to(&unique("absent"), "a")),
    )
    .await;
    assert!(matches!(answer, Err(Error::Refused { .. })), "{answer:?}");
    let name = exchange(&scene, ExchangeKind::Direct, &["red"]).await;
    send(&scene, &name, "blue").await;
    let mandatory = Publication {
        mandatory: true,
        ..Publication::to_exchange(&*name, "blue", message("a"))
    };
    let answer = within("publishing", scene.broker.publish(mandatory)).await;
    assert!(matches!(answer, Err(Error::Refused { .. })), "{answer:?}");
    // The broker goes on.
    scene.publish(&["b"]).await;
}

/// An exchange that is not there refuses, and the broker goes on.
pub async fn an_unknown_exchange_refuses(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let publication = Publication::to_exchange(unique("absent"), "a", message("a"));
    let answer = within("publishing", scene.broker.publish(publication)).await;
    assert!(matches!(answer, Err(Error::Refused { .. })), "{answer:?}");
    scene.publish(&["b"]).await;
    assert_eq!(text(&one(&mut scene.consume(1).await).await), "b");
}

/// A message without a confirm arrives; one that no queue takes is no error.
pub async fn an_unconfirmed_message_arrives(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let lost = to(&unique("absent"), "lost").unconfirmed();
    within("publishing", scene.broker.publish(lost))
        .await
        .unwrap();
    let sent = to(&scene.queue, "sent").unconfirmed();
    within("publishing", scene.broker.publish(sent))
        .await
        .unwrap();
    assert_eq!(text(&one(&mut scene.consume(1).await).await), "sent");
}

/// Answers to many publications stand in the order of the publications.
pub async fn answers_stand_in_order(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    let absent = unique("absent");
    let batch = (0..30)
        .map(|n| {
            to(
                if n % 3 == 1 { &absent } else { &scene.queue },
                &n.to_string(),
            )
        })
        .collect();
    let answers = within("publishing", scene.broker.publish_all(batch)).await;
    assert_eq!(answers.len(), 30);
    for (n, answer) in answers.iter().enumerate() {
        let refused = matches!(answer, Err(Error::Refused { .. }));
        assert_eq!(refused, n % 3 == 1, "{n}: {answer:?}");
        assert_eq!(answer.is_ok(), n % 3 != 1, "{n}: {answer:?}");
    }
    scene.ready(20).await;
}

/// A queue behind an exchange of each type takes what its keys say, once.
pub async fn a_described_queue_takes_what_its_keys_match(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    for (kind, keys, taken) in [
        (ExchangeKind::Direct, ["a.b", "c"], &["a.b", "c"][..]),
        (ExchangeKind::Topic, ["a.*", "#.b"], &["a.b", "x.b"][..]),
        (ExchangeKind::Fanout, ["a", "b"], &["a.b", "c", "x.b"][..]),
    ] {
        let queue = TaskQueue {
            auto_delete: true,
            ..TaskQueue::new(unique("queue")).exchange(unique("exchange"), kind)
        };
        let queue = keys
            .iter()
            .fold(queue, |queue, key| queue.routing_key(*key));
        scene.topology(&queue.topology()).await;
        for key in ["a.b", "c", "x.b"] {
            send(&scene, &queue.exchange, key).await;
        }
        let mut consumer = scene.subscribe(Subscription::new(&*queue.name, 10)).await;
        let deliveries = take(&mut consumer, taken.len()).await;
        assert_eq!(texts(&deliveries), taken, "{kind:?}");
        assert!(stays_silent(consumer.next(1)).await, "{kind:?}");
    }
}

/// Every copy of a broadcast queue takes every message, and goes with its consumer.
pub async fn every_copy_of_a_broadcast_queue_takes_a_message(bench: &dyn Bench) {
    let (scene, other) = (Scene::new(bench).await, Scene::new(bench).await);
    let shared = TaskQueue::broadcast(unique("reload"));
    let (mine, theirs) = (shared.instance(), shared.instance());
    scene.topology(&mine.topology()).await;
    other.topology(&theirs.topology()).await;
    let mut first = scene.subscribe(Subscription::new(&*mine.name, 1)).await;
    let mut second = other.subscribe(Subscription::new(&*theirs.name, 1)).await;
    send(&scene, &shared.exchange, shared.key()).await;
    for consumer in [&mut first, &mut second] {
        let delivery = one(consumer).await;
        assert_eq!(text(&delivery), "celery");
        delivery.receipt.acknowledge();
    }
    within("cancelling", second.cancel()).await.unwrap();
    drop(second);
    eventually("the copy is gone", || async {
        let gone = scene.broker.queue(&theirs.name).await.unwrap().is_none();
        gone.then_some(())
    })
    .await;
    send(&scene, &shared.exchange, "any").await;
    assert_eq!(text(&one(&mut first).await), "any");
}

/// A message that is late goes by its routing key when it comes, whatever it had to carry
/// on the way.
pub async fn a_late_message_finds_the_queue_behind_a_pattern(bench: &dyn Bench) {
    let scene = Scene::new(bench).await;
    if !scene.broker.capabilities().delay {
        return;
    }
    let queue = TaskQueue {
        auto_delete: true,
        ..TaskQueue::new(unique("queue")).exchange(unique("files"), ExchangeKind::Topic)
    };
    let queue = queue.routing_key("media.*");
    scene.topology(&queue.topology()).await;
    let late = Publication {
        not_before: Some(clock::now() + Duration::from_millis(1_500)),
        ..Publication::to_exchange(&*queue.exchange, "media.video", message("late"))
    };
    within("publishing", scene.broker.publish(late))
        .await
        .unwrap();
    let mut consumer = scene.subscribe(Subscription::new(&*queue.name, 1)).await;
    assert_eq!(text(&one(&mut consumer).await), "late");
}
