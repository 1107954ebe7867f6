//! The tasks that changed and are not written yet.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::cluster::Task;

/// The tasks that changed and are not written yet, bounded in number and in bytes.
///
/// A task costs an id while the cache still has it, and all of itself once the cache let
/// it go.
#[derive(Debug)]
pub(super) struct Dirty {
    most: usize,
    most_bytes: usize,
    bytes: usize,
    next: u64,
    last: i64,
    marks: HashMap<Arc<str>, Mark>,
    /// By age: tasks that are ready, and the others.
    finals: BTreeMap<u64, Arc<str>>,
    others: BTreeMap<u64, Arc<str>>,
    /// What was taken out and is looked for in the cache, which may let it go right then.
    sought: HashSet<Arc<str>>,
    /// States that were left out, and final ones among them apart.
    pub(super) dropped: u64,
    pub(super) lost: u64,
}

/// A task that changed.
#[derive(Debug)]
pub(super) struct Mark {
    age: u64,
    /// When it became known, in microseconds since the epoch.
    pub(super) known: i64,
    is_final: bool,
    /// What the cache let go since; more than one when the task came back to it.
    pub(super) kept: Vec<Task>,
}

/// Of tasks that are not ready one in so many is kept when half the room is taken.
const SAMPLE: u64 = 10;

impl Dirty {
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            most: most.max(1),
            most_bytes,
            bytes: 0,
            next: 0,
            last: 0,
            marks: HashMap::new(),
            finals: BTreeMap::new(),
            others: BTreeMap::new(),
            sought: HashSet::new(),
            dropped: 0,
            lost: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// Returns how many tasks wait that are ready.
    pub(super) fn finals(&self) -> usize {
        self.finals.len()
    }

    /// Takes in that a task changed.
    pub(super) fn mark(&mut self, id: &Arc<str>, is_final: bool, now: i64) {
        if let Some(mark) = self.marks.get_mut(id) {
            if is_final && !mark.is_final {
                mark.is_final = true;
                self.others.remove(&mark.age);
                self.finals.insert(mark.age, Arc::clone(id));
            }
            return;
        }
        if !is_final && self.marks.len() >= self.most / 2 {
            // A whole task is in or out, so that those in are whole.
            let full = self.marks.len() >= self.most;
            if full || !fingerprint(id).is_multiple_of(SAMPLE) {
                self.dropped += 1;
                return;
            }
        }
        if self.marks.len() >= self.most {
            self.drop_one();
        }
        self.next += 1;
        // Two tasks never become known at the same moment, so lists keep their order.
        self.last = now.max(self.last + 1);
        let order = if is_final {
            &mut self.finals
        } else {
            &mut self.others
        };
        order.insert(self.next, Arc::clone(id));
        let mark = Mark {
            age: self.next,
            known: self.last,
            is_final,
            kept: Vec::new(),
        };
        self.marks.insert(Arc::clone(id), mark);
    }

    /// Keeps a task that the cache lets go, when it is still to be written.
    pub(super) fn keep(&mut self, task: Task) {
        if self.sought.remove(&task.id) {
            self.mark(&task.id, task.state().is_ready(), self.last);
        }
        let Some(mark) = self.marks.get_mut(&task.id) else {
            return;
        };
        self.bytes += size(&task);
        mark.kept.push(task);
        while self.bytes > self.most_bytes && self.drop_one() {}
    }

    /// Takes out up to `most` tasks: those that are ready, then others that changed
    /// before `ripe`, in microseconds since the epoch. Each is to be [`Dirty::found`].
    pub(super) fn take(&mut self, most: usize, ripe: i64) -> Vec<(Arc<str>, Mark)> {
        let mut taken = Vec::with_capacity(most.min(self.marks.len()));
        while taken.len() < most {
            let next = self.finals.pop_first().or_else(|| self.pop_ripe(ripe));
            let Some((_, id)) = next else { break };
            if let Some(mark) = self.remove(&id) {
                self.sought.insert(Arc::clone(&id));
                taken.push((id, mark));
            }
        }
        taken
    }

    /// Notes that a task which was taken out is known. One that is not found was let go by
    /// the cache, and is [`Dirty::keep`]'s in a moment.
    pub(super) fn found(&mut self, id: &Arc<str>) {
        self.sought.remove(id);
    }

    fn pop_ripe(&mut self, ripe: i64) -> Option<(u64, Arc<str>)> {
        let first = self.others.first_entry()?;
        let known = self
            .marks
            .get(first.get())
            .map_or(i64::MIN, |mark| mark.known);
        (known < ripe).then(|| first.remove_entry())
    }

    /// Leaves out the oldest task that is not ready, or else the oldest.
    fn drop_one(&mut self) -> bool {
        let other = self.others.pop_first();
        let is_final = other.is_none();
        let Some((_, id)) = other.or_else(|| self.finals.pop_first()) else {
            return false;
        };
        self.remove(&id);
        if is_final {
            self.lost += 1;
        } else {
            self.dropped += 1;
        }
        true
    }

    fn remove(&mut self, id: &Arc<str>) -> Option<Mark> {
        let mark = self.marks.remove(id)?;
        self.bytes -= mark.kept.iter().map(size).sum::<usize>();
        Some(mark)
    }
}

/// Roughly what a task takes in memory.
fn size(task: &Task) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let call = task
        .call()
        .map_or(0, |call| text(&call.args) + text(&call.kwargs));
    let standing = task.standing().map_or(0, |standing| {
        text(&standing.result) + text(&standing.exception) + text(&standing.traceback)
    });
    let steps = task
        .steps()
        .iter()
        .map(|step| 64 + step.error.as_ref().map_or(0, |e| e.len()));
    512 + call + standing + steps.sum::<usize>()
}

/// The same for the same id in every process (FNV-1a): replicas sample the same tasks.
fn fingerprint(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Fact, Said};

    fn ids(taken: &[(Arc<str>, Mark)]) -> Vec<&str> {
        taken.iter().map(|(id, _)| &**id).collect()
    }

    fn task(id: &str, text: usize) -> Task {
        let mut task = Task::new(id.into(), 1);
        let said = Said { at: 1.0, clock: 1 };
        let result = Some("x".repeat(text));
        task.merge(
            said,
            &"w".into(),
            Fact::Succeeded {
                result,
                runtime: None,
            },
        );
        task
    }

    #[test]
    fn many_changes_of_a_task_are_one_write_and_ready_ones_go_first() {
        let mut dirty = Dirty::new(100, 1_000);
        for (id, is_final) in [
            ("a", false),
            ("b", false),
            ("a", false),
            ("b", true),
            ("c", true),
        ] {
            dirty.mark(&id.into(), is_final, 7);
        }
        assert_eq!((dirty.len(), dirty.finals()), (3, 2));
        dirty.mark(&"d".into(), false, 20);
        let mut taken = dirty.take(9, 20);
        assert_eq!(ids(&taken), ["b", "c", "a"]);
        taken.extend(dirty.take(9, 21));
        let known: Vec<_> = taken.iter().map(|(_, mark)| mark.known).collect();
        assert_eq!(known, [8, 9, 7, 20]);
        assert_eq!((dirty.len(), dirty.dropped, dirty.lost), (0, 0, 0));
    }

    // S35: the buffer is bounded; states that others follow are left out first, final ones
    // last, and each is counted.
    #[test]
    fn states_that_others_follow_are_left_out_first() {
        let mut dirty = Dirty::new(100, 1_000_000);
        for n in 0..400 {
            dirty.mark(&format!("early{n}").into(), false, n);
        }
        let kept = dirty.len();
        assert!((50..100).contains(&kept), "{kept}");
        assert_eq!(dirty.dropped, 400 - kept as u64);
        for n in 0..100 {
            dirty.mark(&format!("final{n}").into(), true, n);
        }
        assert_eq!((dirty.len(), dirty.dropped, dirty.lost), (100, 400, 0));
        dirty.mark(&"late".into(), false, 1);
        dirty.mark(&"one more".into(), true, 1);
        assert_eq!((dirty.len(), dirty.dropped, dirty.lost), (100, 401, 1));
        assert_eq!(ids(&dirty.take(1, 0)), ["final1"]);
    }

    #[test]
    fn what_the_cache_lets_go_is_kept_within_the_bytes() {
        let mut dirty = Dirty::new(100, 10_000);
        dirty.keep(task("unmarked", 1));
        dirty.mark(&"a".into(), true, 1);
        dirty.keep(task("a", 4_000));
        dirty.mark(&"b".into(), true, 1);
        dirty.keep(task("b", 4_000));
        assert_eq!((dirty.len(), dirty.lost), (2, 0));
        dirty.keep(task("b", 4_000));
        assert_eq!((dirty.len(), dirty.lost), (1, 1));
        assert_eq!(dirty.take(1, 0)[0].1.kept.len(), 2);
        assert_eq!(dirty.bytes, 0);
    }

    // S35: the cache may let a task go between the moments in which it is taken out here and
    // looked for there.
    #[test]
    fn what_the_cache_lets_go_while_it_is_looked_for_is_written_next() {
        let mut dirty = Dirty::new(100, 10_000);
        for id in ["a", "b"] {
            dirty.mark(&id.into(), true, 1);
        }
        assert_eq!(ids(&dirty.take(9, 0)), ["a", "b"]);
        dirty.found(&"b".into());
        dirty.keep(task("a", 1));
        dirty.keep(task("b", 1));
        let taken = dirty.take(9, 0);
        assert_eq!((ids(&taken), taken[0].1.kept.len()), (vec!["a"], 1));
        assert_eq!((dirty.sought.len(), dirty.lost), (1, 0));
    }
}
