//! Locks of the memory broker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::watch;

use super::lock;
use crate::broker::{BoxFuture, Link, Lock};

/// Who holds which lock. A lock that was dropped, or whose connection ended or was made
/// anew, is free.
#[derive(Debug, Default)]
pub(super) struct Locks(Mutex<HashMap<String, Weak<Holding>>>);

/// A connection, as it was when the lock was taken.
#[derive(Debug)]
struct Holding {
    link: watch::Receiver<Link>,
    taken: Link,
}

impl Holding {
    fn is_current(&self) -> bool {
        *self.link.borrow() == self.taken
    }
}

/// A lock that is held for as long as the connection lasts.
#[derive(Debug)]
pub(super) struct MemoryLock(Arc<Holding>);

impl Locks {
    /// Takes a lock for a connection, unless somebody has it.
    pub(super) fn take(&self, name: &str, link: watch::Receiver<Link>) -> Option<MemoryLock> {
        let taken = link.borrow().clone();
        let mut held = lock(&self.0);
        let current = |holding: &Weak<Holding>| holding.upgrade().is_some_and(|h| h.is_current());
        held.retain(|_, holding| current(holding));
        if held.contains_key(name) || !taken.is_up() {
            return None;
        }
        let holding = Arc::new(Holding { link, taken });
        held.insert(name.to_owned(), Arc::downgrade(&holding));
        Some(MemoryLock(holding))
    }
}

impl Lock for MemoryLock {
    fn is_held(&self) -> bool {
        self.0.is_current()
    }

    fn lost(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut link = self.0.link.clone();
            // An error means that the connection is gone, and the lock with it.
            let _ = link.wait_for(|now| *now != self.0.taken).await;
        })
    }
}
