//! The documents of the memory backend, as data.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use celeriac_protocol::{ResultDocument, State};
use tokio::time::Instant;

/// Documents by task id, bounded in number and age.
///
/// The oldest ready one makes room for a new one; when none is ready, the oldest.
#[derive(Debug)]
pub(super) struct Documents {
    most: usize,
    ttl: Duration,
    entries: HashMap<String, Entry>,
    ready: Line,
    running: Line,
    counter: u64,
}

#[derive(Debug)]
struct Entry {
    document: ResultDocument,
    order: u64,
    expires: Instant,
}

/// Ids in the order of their last change; one that changed since is passed over.
type Line = VecDeque<(u64, String)>;

impl Documents {
    pub(super) fn new(most: usize, ttl: Duration) -> Self {
        Self {
            most: most.max(1),
            ttl,
            entries: HashMap::new(),
            ready: Line::new(),
            running: Line::new(),
            counter: 0,
        }
    }

    /// Stores a document unless a success is there; tells whether it did.
    pub(super) fn store(&mut self, document: ResultDocument, now: Instant) -> bool {
        self.expire(now);
        let id = document.task_id.clone();
        if self
            .entries
            .get(&id)
            .is_some_and(|known| known.document.status == State::Success)
        {
            return false;
        }
        self.counter += 1;
        let order = self.counter;
        let ready = document.status.is_ready();
        let line = if ready {
            &mut self.ready
        } else {
            &mut self.running
        };
        line.push_back((order, id.clone()));
        self.entries.insert(
            id,
            Entry {
                document,
                order,
                expires: now + self.ttl,
            },
        );
        while self.entries.len() > self.most {
            if !self.evict() {
                break;
            }
        }
        self.compact();
        true
    }

    pub(super) fn fetch(&self, id: &str, now: Instant) -> Option<&ResultDocument> {
        let entry = self.entries.get(id).filter(|entry| entry.expires > now)?;
        Some(&entry.document)
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.entries.remove(id);
    }

    /// Removes the oldest ready document, or the oldest one.
    fn evict(&mut self) -> bool {
        for line in [&mut self.ready, &mut self.running] {
            while let Some((order, id)) = line.pop_front() {
                if self
                    .entries
                    .get(&id)
                    .is_some_and(|entry| entry.order == order)
                {
                    self.entries.remove(&id);
                    return true;
                }
            }
        }
        false
    }

    fn expire(&mut self, now: Instant) {
        for line in [&mut self.ready, &mut self.running] {
            while let Some((order, id)) = line.front() {
                match self.entries.get(id).filter(|entry| entry.order == *order) {
                    Some(entry) if entry.expires > now => break,
                    Some(_) => drop(self.entries.remove(id)),
                    None => {}
                }
                line.pop_front();
            }
        }
    }

    /// Drops what is passed over once it is the greater part.
    fn compact(&mut self) {
        let entries = &self.entries;
        for line in [&mut self.ready, &mut self.running] {
            if line.len() > 2 * entries.len() + 64 {
                line.retain(|(order, id)| entries.get(id).is_some_and(|e| e.order == *order));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn document(id: &str, status: State) -> ResultDocument {
        ResultDocument::new(id, status, 1_i64)
    }

    #[test]
    fn the_oldest_ready_one_makes_room() {
        let now = Instant::now();
        let mut documents = Documents::new(2, HOUR);
        documents.store(document("running", State::Started), now);
        documents.store(document("old", State::Success), now);
        documents.store(document("new", State::Success), now);
        assert!(documents.fetch("running", now).is_some());
        assert!(documents.fetch("old", now).is_none());
        assert!(documents.fetch("new", now).is_some());
        documents.store(document("a", State::Started), now);
        documents.store(document("b", State::Started), now);
        assert!(documents.fetch("running", now).is_none());
        assert_eq!(documents.entries.len(), 2);
    }

    #[test]
    fn age_ends_a_document() {
        let now = Instant::now();
        let mut documents = Documents::new(10, HOUR);
        documents.store(document("a", State::Success), now);
        let later = now + HOUR;
        assert!(documents.fetch("a", later).is_none());
        // What expired does not stand in the way of a new document.
        assert!(documents.store(document("a", State::Failure), later));
        assert_eq!(documents.entries.len(), 1);
    }

    #[test]
    fn many_changes_of_one_document_stay_small() {
        let now = Instant::now();
        let mut documents = Documents::new(10, HOUR);
        for _ in 0..1000 {
            documents.store(document("a", State::Custom("PROGRESS".to_owned())), now);
        }
        assert!(documents.running.len() < 100);
        assert!(documents.fetch("a", now).is_some());
    }
}
