//! Who waits for which result, in this process.

use std::sync::Arc;

use celeriac_protocol::ResultDocument;
use dashmap::DashMap;
use tokio::sync::watch;

/// What is known of a task that somebody waits for.
type Slot = watch::Sender<Option<Arc<ResultDocument>>>;

/// A table of who waits for which result, shared by the backends.
///
/// An entry lives as long as somebody waits, so the table cannot outgrow its waiters.
#[derive(Debug, Clone, Default)]
pub struct Waiters(Arc<DashMap<String, Slot>>);

/// One who waits for a task's result.
#[derive(Debug)]
pub struct Waiter {
    // Dropped in this order: the place is left when this one does not count any more.
    receiver: watch::Receiver<Option<Arc<ResultDocument>>>,
    place: Place,
}

/// A waiter's place in the table; the last one to leave takes the entry along.
#[derive(Debug)]
struct Place {
    id: String,
    table: Waiters,
}

impl Waiters {
    /// Registers a waiter. Any number may wait for one id.
    pub fn wait(&self, id: &str) -> Waiter {
        let receiver = self
            .0
            .entry(id.to_owned())
            .or_insert_with(|| watch::Sender::new(None))
            .subscribe();
        let place = Place {
            id: id.to_owned(),
            table: self.clone(),
        };
        Waiter { receiver, place }
    }

    /// Hands a document to those who wait for it; says whether there were any.
    pub fn notify(&self, document: ResultDocument) -> bool {
        let Some(slot) = self.0.get(&document.task_id) else {
            return false;
        };
        slot.send_if_modified(|known| {
            // A ready state is final: a late STARTED must not hide the result.
            let fresh = !known.as_ref().is_some_and(|known| known.status.is_ready());
            if fresh {
                *known = Some(Arc::new(document));
            }
            fresh
        });
        true
    }

    /// Returns the ids that somebody waits for.
    pub fn ids(&self) -> Vec<String> {
        self.0.iter().map(|entry| entry.key().clone()).collect()
    }

    /// Tells whether somebody waits for an id.
    pub fn contains(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }
}

impl Waiter {
    /// Returns the task's id.
    pub fn id(&self) -> &str {
        &self.place.id
    }

    /// Returns the last document seen, if any.
    pub fn last(&self) -> Option<Arc<ResultDocument>> {
        self.receiver.borrow().clone()
    }

    /// Waits for the next document: a state on the way, or the end.
    ///
    /// # Cancel safety
    ///
    /// Only the last document is kept; none is lost by dropping the future.
    pub async fn changed(&mut self) -> Arc<ResultDocument> {
        loop {
            // The sender lives in the table for as long as this waiter is registered.
            if self.receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Some(document) = self.receiver.borrow_and_update().clone() {
                return document;
            }
        }
    }

    /// Waits until the task is ready.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn ready(&mut self) -> Arc<ResultDocument> {
        loop {
            match self.last() {
                Some(document) if document.status.is_ready() => return document,
                _ => self.changed().await,
            };
        }
    }
}

/// A clone is one more waiter.
impl Clone for Waiter {
    fn clone(&self) -> Self {
        self.place.table.wait(&self.place.id)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table
            .0
            .remove_if(&self.id, |_, slot| slot.receiver_count() == 0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Barrier;
    use std::thread;

    use celeriac_protocol::State;

    use super::*;

    /// Enough for two threads to meet in the middle of each other's step.
    const ROUNDS: usize = 20_000;

    #[test]
    fn a_state_that_comes_with_the_result_does_not_hide_it() {
        let table = Waiters::default();
        let barrier = Barrier::new(2);
        let ids: Vec<String> = (0..ROUNDS).map(|round| round.to_string()).collect();
        let waiters: Vec<Waiter> = ids.iter().map(|id| table.wait(id)).collect();
        let notify = |state: State| {
            for id in &ids {
                barrier.wait();
                assert!(table.notify(ResultDocument::new(id, state.clone(), 1)));
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| notify(State::Started));
            scope.spawn(|| notify(State::Success));
        });
        for waiter in &waiters {
            assert_eq!(waiter.last().unwrap().status, State::Success);
        }
    }

    #[test]
    fn the_last_waiter_takes_the_entry_along() {
        let table = Waiters::default();
        let (first, second) = (table.wait("a"), table.wait("a"));
        drop(first);
        assert!(table.contains("a"));
        drop(second);
        assert!(!table.contains("a"));
    }

    #[test]
    fn waiters_that_leave_at_once_leave_nothing() {
        let table = Waiters::default();
        let (first, second) = (table.wait("a"), table.wait("a"));
        // As on two threads, each step of the one beside that of the other.
        drop((first.receiver, second.receiver));
        drop((first.place, second.place));
        assert!(!table.contains("a"));

        // Nor do they take along one who came meanwhile.
        let leaves = table.wait("a");
        drop(leaves.receiver);
        let stays = table.wait("a");
        drop(leaves.place);
        assert!(table.notify(ResultDocument::new("a", State::Success, 1)));
        assert!(stays.last().is_some());
    }
}
