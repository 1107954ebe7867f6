//! The groups that the memory backend keeps, as data.

use std::collections::HashMap;
use std::time::Duration;

use celeriac_protocol::ResultTuple;
use tokio::time::Instant;

/// Groups by id, bounded in number and age.
#[derive(Debug)]
pub(super) struct Groups {
    most: usize,
    ttl: Duration,
    saved: HashMap<String, (ResultTuple, Instant)>,
}

impl Groups {
    pub(super) fn new(most: usize, ttl: Duration) -> Self {
        Self {
            most: most.max(1),
            ttl,
            saved: HashMap::new(),
        }
    }

    pub(super) fn save(&mut self, group: ResultTuple, now: Instant) {
        if self.saved.len() >= self.most && !self.saved.contains_key(&group.id) {
            self.make_room(now);
        }
        let expires = now + self.ttl;
        self.saved.insert(group.id.clone(), (group, expires));
    }

    pub(super) fn restore(&self, id: &str, now: Instant) -> Option<&ResultTuple> {
        let (group, expires) = self.saved.get(id)?;
        (*expires > now).then_some(group)
    }

    pub(super) fn delete(&mut self, id: &str) {
        self.saved.remove(id);
    }

    /// Removes what expired, or else what expires first.
    fn make_room(&mut self, now: Instant) {
        self.saved.retain(|_, (_, expires)| *expires > now);
        if self.saved.len() < self.most {
            return;
        }
        let first = self.saved.iter().min_by_key(|(_, (_, expires))| *expires);
        if let Some(id) = first.map(|(id, _)| id.clone()) {
            self.saved.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_bounded_in_number_and_age() {
        let now = Instant::now();
        let mut groups = Groups::new(2, Duration::from_secs(10));
        for (age, id) in (0..).zip(["a", "b", "c"]) {
            groups.save(ResultTuple::new(id), now + Duration::from_secs(age));
        }
        assert!(groups.restore("a", now).is_none());
        assert!(groups.restore("c", now).is_some());
        assert!(groups.restore("b", now + Duration::from_secs(11)).is_none());
        groups.delete("c");
        assert!(groups.restore("c", now).is_none());
    }
}
