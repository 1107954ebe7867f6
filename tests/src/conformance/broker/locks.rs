//! Locks: one holder among all clients.

use std::sync::Arc;

use celeriac::broker::{Broker, Lock};

use super::{Bench, unique};
use crate::eventually::{eventually, stays_silent, within};

async fn take(broker: &Arc<dyn Broker>, name: &str) -> Option<Box<dyn Lock>> {
    within("an answer about a lock", broker.lock(name))
        .await
        .unwrap()
}

/// Takes a lock that somebody gave up, as soon as the broker knows.
async fn take_over(broker: &Arc<dyn Broker>, name: &str) -> Box<dyn Lock> {
    eventually("the lock is free", || take(broker, name)).await
}

/// Nobody gets a lock that is held: no other connection, and not the holder's either.
pub async fn a_lock_has_one_holder(bench: &dyn Bench) {
    let (first, second) = (bench.open().await, bench.open().await);
    let (name, other) = (unique("lock"), unique("lock"));
    assert!(first.capabilities().lock);
    let held = take(&first, &name).await.unwrap();
    assert!(held.is_held());
    assert!(take(&second, &name).await.is_none());
    assert!(take(&first, &name).await.is_none());
    // Locks of other names are free, and a refusal costs the holder nothing.
    assert!(take(&second, &other).await.is_some());
    assert!(stays_silent(held.lost()).await);
    assert!(held.is_held());
}

/// A lock that is dropped is free for others.
pub async fn a_dropped_lock_is_free(bench: &dyn Bench) {
    let (first, second) = (bench.open().await, bench.open().await);
    let name = unique("lock");
    for _ in 0..3 {
        drop(take_over(&first, &name).await);
        drop(take_over(&second, &name).await);
    }
}

/// A lock is lost with its connection, and its holder hears of that.
pub async fn a_lock_goes_with_its_connection(bench: &dyn Bench) {
    let (first, second) = (bench.open().await, bench.open().await);
    let name = unique("lock");
    let held = take(&first, &name).await.unwrap();
    first.close().await;
    within("the loss", held.lost()).await;
    assert!(!held.is_held());
    let taken = take_over(&second, &name).await;
    assert!(taken.is_held() && !held.is_held());
}
