//! How much may run.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

use tokio::sync::Notify;

/// The places to run: the only one that says how much may run.
///
/// Shrinking takes places away as they come free; a task that runs is never stopped
/// for it, so there may be a debt for a while.
#[derive(Debug)]
pub(crate) struct Slots {
    capacity: AtomicIsize,
    /// Below zero when places were taken away that are still in use.
    free: AtomicIsize,
    freed: Notify,
}

/// The right to run one task; dropping it frees the place.
#[derive(Debug)]
#[must_use = "dropping a slot frees it"]
pub(crate) struct Slot(Arc<Slots>);

impl Slots {
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        let capacity = signed(capacity);
        Arc::new(Self {
            capacity: AtomicIsize::new(capacity),
            free: AtomicIsize::new(capacity),
            freed: Notify::new(),
        })
    }

    /// Takes a place if one is free.
    pub(crate) fn try_take(self: &Arc<Self>) -> Option<Slot> {
        let take = |free: isize| (free > 0).then(|| free - 1);
        let taken = self
            .free
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take);
        taken.is_ok().then(|| Slot(Arc::clone(self)))
    }

    /// Waits until a place may have come free.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; a wake-up that nobody sees goes to the next who waits.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Adds places and returns how many there are.
    pub(crate) fn grow(&self, by: usize) -> usize {
        let by = signed(by);
        self.free.fetch_add(by, Ordering::AcqRel);
        let capacity = self.capacity.fetch_add(by, Ordering::AcqRel) + by;
        self.freed.notify_waiters();
        self.freed.notify_one();
        unsigned(capacity)
    }

    /// Takes places away, but not the last one, and returns how many are left.
    pub(crate) fn shrink(&self, by: usize) -> usize {
        let less = |capacity: isize| Some((capacity - signed(by)).max(1));
        let before = self
            .capacity
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less)
            .unwrap_or_else(|same| same);
        let after = (before - signed(by)).max(1);
        self.free.fetch_sub(before - after, Ordering::AcqRel);
        unsigned(after)
    }

    /// Returns how many tasks may run at once.
    pub(crate) fn capacity(&self) -> usize {
        unsigned(self.capacity.load(Ordering::Acquire))
    }

    /// Returns how many places are in use, those of lost threads among them.
    pub(crate) fn used(&self) -> usize {
        let free = self.free.load(Ordering::Acquire);
        unsigned(self.capacity.load(Ordering::Acquire) - free)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // While there is a debt a freed place is gone, and nobody need wake up.
        if self.0.free.fetch_add(1, Ordering::AcqRel) >= 0 {
            self.0.freed.notify_one();
        }
    }
}

fn signed(count: usize) -> isize {
    isize::try_from(count).unwrap_or(isize::MAX / 4)
}

fn unsigned(count: isize) -> usize {
    usize::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_places_than_there_are() {
        let slots = Slots::new(2);
        let (one, two) = (slots.try_take().unwrap(), slots.try_take().unwrap());
        assert!(slots.try_take().is_none());
        drop(one);
        assert!(slots.try_take().is_some());
        drop(two);
        assert_eq!(slots.used(), 0);
    }

    #[test]
    fn shrinking_waits_for_those_who_run() {
        let slots = Slots::new(3);
        let taken: Vec<_> = std::iter::from_fn(|| slots.try_take()).collect();
        assert_eq!(slots.shrink(2), 1);
        assert_eq!((slots.capacity(), slots.used()), (1, 3));
        let mut taken = taken.into_iter();
        taken.next();
        taken.next();
        assert!(slots.try_take().is_none());
        taken.next();
        assert!(slots.try_take().is_some());
    }

    #[test]
    fn the_last_place_stays() {
        let slots = Slots::new(2);
        assert_eq!(slots.shrink(5), 1);
        assert_eq!(slots.grow(2), 3);
        assert_eq!(slots.used(), 0);
    }

    #[tokio::test]
    async fn a_freed_place_wakes_one_who_waits() {
        let slots = Slots::new(1);
        let slot = slots.try_take().unwrap();
        let waiting = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move {
                loop {
                    match slots.try_take() {
                        Some(slot) => return slot,
                        None => slots.freed().await,
                    }
                }
            }
        });
        tokio::task::yield_now().await;
        drop(slot);
        drop(waiting.await.unwrap());
        assert_eq!(slots.used(), 0);
    }
}
