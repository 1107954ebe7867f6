//! The paused queues, as every reader sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::PauseRow;

/// The paused queues. The store has them for good; this is what is known of it.
#[derive(Debug, Default)]
pub(crate) struct Pauses(Mutex<BTreeMap<String, Pause>>);

/// A paused queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pause {
    /// Microseconds since the epoch.
    pub(crate) since: i64,
    /// Nodes that consumed the queue and stopped.
    pub(crate) nodes: BTreeSet<String>,
}

impl Pauses {
    /// Takes over what the store says.
    pub(crate) fn restore(&self, rows: Vec<PauseRow>) {
        let mut pauses = BTreeMap::<String, Pause>::new();
        for row in rows {
            let pause = pauses.entry(row.queue).or_default();
            match row.node {
                None => pause.since = row.since,
                Some(node) => drop(pause.nodes.insert(node)),
            }
        }
        *self.lock() = pauses;
    }

    pub(crate) fn get(&self, queue: &str) -> Option<Pause> {
        self.lock().get(queue).cloned()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Returns the paused queues that a node consumed and stopped consuming.
    pub(crate) fn of(&self, node: &str) -> Vec<String> {
        let pauses = self.lock();
        let of = pauses
            .iter()
            .filter(|(_, pause)| pause.nodes.contains(node));
        of.map(|(queue, _)| queue.clone()).collect()
    }

    /// Returns those of the queues that are paused.
    pub(crate) fn among(&self, queues: &[String]) -> Vec<String> {
        let pauses = self.lock();
        let paused = queues.iter().filter(|queue| pauses.contains_key(*queue));
        paused.cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Pause>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::store::{Place, Store};

    #[tokio::test]
    async fn what_is_paused_is_kept_with_the_nodes_that_were_told() {
        let store = Store::open(&Place::Memory).await.unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
        let nodes = ["a@h".to_owned(), "b@h".to_owned()];
        store.pause_queue("mail", &nodes[..1], at).await.unwrap();
        store.pause_queue("mail", &nodes, at).await.unwrap();
        store.pause_queue("other", &[], at).await.unwrap();
        let pauses = Pauses::default();
        pauses.restore(store.paused_queues().await.unwrap());
        let pause = pauses.get("mail").unwrap();
        assert_eq!((pause.since, pause.nodes.len()), (7_000_000, 2));
        assert!(pauses.get("other").unwrap().nodes.is_empty());
        let asked = ["celery".to_owned(), "mail".to_owned()];
        assert_eq!(pauses.among(&asked), ["mail"]);
        store.resume_queue("mail").await.unwrap();
        pauses.restore(store.paused_queues().await.unwrap());
        assert_eq!((pauses.get("mail"), pauses.count()), (None, 1));
    }
}
