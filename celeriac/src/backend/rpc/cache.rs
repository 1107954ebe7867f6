//! The newest results, by task.

use std::collections::{HashMap, VecDeque};

use celeriac_protocol::ResultDocument;

/// The newest results, by task; the oldest make room.
#[derive(Debug)]
pub(super) struct Cache {
    most: usize,
    known: HashMap<String, ResultDocument>,
    /// In the order in which they came. May name tasks that were forgotten.
    order: VecDeque<String>,
}

impl Cache {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Keeps a document, unless the task's end is known already.
    pub(super) fn keep(&mut self, document: ResultDocument) {
        if let Some(known) = self.known.get_mut(&document.task_id) {
            if !known.status.is_ready() {
                *known = document;
            }
            return;
        }
        while self.order.len() >= self.most {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
        self.order.push_back(document.task_id.clone());
        self.known.insert(document.task_id.clone(), document);
    }

    pub(super) fn get(&self, id: &str) -> Option<&ResultDocument> {
        self.known.get(id)
    }

    pub(super) fn forget(&mut self, id: &str) {
        if self.known.remove(id).is_some() {
            self.order.retain(|known| known != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use celeriac_protocol::{State, Value};

    use super::*;

    #[test]
    fn the_oldest_make_room() {
        let mut cache = Cache::new(2);
        for id in ["a", "b", "a", "c"] {
            cache.keep(ResultDocument::new(id, State::Started, Value::Null));
        }
        assert!(cache.get("a").is_none());
        assert!(cache.get("b").is_some() && cache.get("c").is_some());
        cache.forget("b");
        cache.keep(ResultDocument::new("d", State::Started, Value::Null));
        assert!(cache.get("c").is_some() && cache.get("d").is_some());
    }
}
