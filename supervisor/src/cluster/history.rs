//! The tasks known last, bounded, shared with many readers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use celeriac_protocol::State;
use dashmap::DashMap;

use super::audit::Open;
use super::latest::Said;
use super::task::{Fact, Figures, Task};

/// The tasks known last. One writer, the Backend actor; any number of readers, who look
/// up single tasks without waiting for anybody.
///
/// Cloning shares the history.
#[derive(Debug, Clone)]
pub(crate) struct History(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    capacity: usize,
    tasks: DashMap<Arc<str>, Task>,
    order: RwLock<Order>,
    counts: RwLock<Counts>,
}

/// The ids by number. Numbers have no holes, so a deque finds them by place.
#[derive(Debug, Default)]
struct Order {
    ids: VecDeque<Arc<str>>,
    forgotten: u64,
}

/// How many of the known tasks are in which state, by name.
type Counts = BTreeMap<Arc<str>, BTreeMap<String, u64>>;

/// What a merged event changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moved {
    pub(crate) name: Arc<str>,
    /// The state that the task moved to; `None` when only its figures became known, such
    /// as by an event that came after the stored result.
    pub(crate) state: Option<State>,
    /// What became known of the task's runs.
    pub(crate) figures: Figures,
}

/// Which tasks to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) state: Option<State>,
    pub(crate) name: Option<String>,
    pub(crate) worker: Option<String>,
}

/// A part of the list, newest first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page {
    pub(crate) tasks: Vec<Task>,
    /// Where the next page starts; `None` at the end.
    pub(crate) next: Option<u64>,
}

/// The name of tasks whose name has not been told yet.
pub(crate) const UNNAMED: &str = "(unknown)";

/// How many tasks a reader looks at before it lets the writer in.
const STRIDE: usize = 512;

impl History {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Arc::new(Inner {
            capacity: capacity.max(1),
            tasks: DashMap::new(),
            order: RwLock::default(),
            counts: RwLock::default(),
        }))
    }

    /// Merges one event in; says what the task moved to or what figures became known, if
    /// any, and which task had to go for it.
    pub(crate) fn merge(
        &self,
        id: &Arc<str>,
        said: Said,
        sender: &Arc<str>,
        fact: Fact,
        evicted: &mut Option<Task>,
    ) -> Option<Moved> {
        let Some(mut task) = self.0.tasks.get_mut(id) else {
            let mut task = Task::new(Arc::clone(id), self.next_number());
            task.merge(said, sender, fact);
            let (name, state) = (name_of(&task), task.state().clone());
            self.count(&name, &state, true);
            let moved = Moved {
                name,
                state: Some(state),
                figures: task.figures(),
            };
            self.0.tasks.insert(Arc::clone(id), task);
            *evicted = self.remember(Arc::clone(id));
            return Some(moved);
        };
        let before = (name_of(&task), task.state().clone());
        task.merge(said, sender, fact);
        let after = (name_of(&task), task.state().clone());
        let figures = task.figures();
        drop(task);
        if before != after {
            self.count(&before.0, &before.1, false);
            self.count(&after.0, &after.1, true);
        }
        // A task that only got its name has not moved.
        let state = (before.1 != after.1).then_some(after.1);
        let news = state.is_some() || figures != Figures::default();
        news.then_some(Moved {
            name: after.0,
            state,
            figures,
        })
    }

    pub(crate) fn get(&self, id: &str) -> Option<Task> {
        self.look(id, Task::clone)
    }

    /// Looks at one task where it is; whoever changes it waits that long.
    pub(crate) fn look<T>(&self, id: &str, look: impl FnOnce(&Task) -> T) -> Option<T> {
        self.0.tasks.get(id).map(|task| look(&task))
    }

    /// Returns the tasks that are not ready and were told of last by `node`, `most` at
    /// most.
    pub(crate) fn open_on(&self, node: &str, most: usize) -> Vec<Open> {
        let tasks = self.0.tasks.iter();
        tasks
            .filter(|task| task.is_open_on(node))
            .filter_map(|task| {
                let (id, said) = (Arc::clone(&task.id), task.said()?);
                Some(Open { id, said })
            })
            .take(most)
            .collect()
    }

    /// Returns when the tasks were sent that no node has received, newest first, by queue,
    /// in seconds since the epoch. Tasks that are to wait for their time are left out.
    pub(crate) fn waiting(&self) -> BTreeMap<Arc<str>, Vec<f64>> {
        let mut waiting = BTreeMap::<_, Vec<f64>>::new();
        for task in self.0.tasks.iter() {
            let due = task.call().is_some_and(|call| call.eta.is_none());
            let queue = task.route().and_then(|route| route.queue.as_ref());
            if let (State::Pending, true, Some(queue), Some(at)) =
                (task.state(), due, queue, task.sent_at())
            {
                waiting.entry(Arc::clone(queue)).or_default().push(at);
            }
        }
        for sent in waiting.values_mut() {
            sent.sort_by(|a, b| b.total_cmp(a));
        }
        waiting
    }

    /// Counts the tasks that nodes received and have not started, by node. Tasks that are to
    /// wait for their time are left out.
    pub(crate) fn received(&self) -> BTreeMap<Arc<str>, u64> {
        let mut received = BTreeMap::new();
        for task in self.0.tasks.iter() {
            let due = task.call().is_none_or(|call| call.eta.is_none());
            if let (State::Received, true, Some(node)) = (task.state(), due, task.worker()) {
                *received.entry(Arc::clone(node)).or_default() += 1;
            }
        }
        received
    }

    /// Notes that a node does not have a task any more of which no result is known,
    /// unless there was news of it since.
    pub(crate) fn lose(&self, open: &Open) {
        if let Some(mut task) = self.0.tasks.get_mut(&open.id)
            && task.said() == Some(open.said)
        {
            task.lost_with_node = true;
        }
    }

    /// Notes that a node has a task after all.
    pub(crate) fn find(&self, id: &str) {
        if let Some(mut task) = self.0.tasks.get_mut(id) {
            task.lost_with_node = false;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.tasks.len()
    }

    /// Returns how many of the known tasks are in which state, by name.
    pub(crate) fn counts(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        let counts = read(&self.0.counts);
        let entries = counts.iter();
        entries
            .map(|(name, states)| (name.to_string(), states.clone()))
            .collect()
    }

    /// Returns how many of the known tasks are in which state.
    pub(crate) fn totals(&self) -> BTreeMap<String, u64> {
        let mut totals = BTreeMap::new();
        for states in read(&self.0.counts).values() {
            for (state, count) in states {
                match totals.get_mut(state) {
                    Some(total) => *total += count,
                    None => drop(totals.insert(state.clone(), *count)),
                }
            }
        }
        totals
    }

    /// Lists tasks that became known before number `before` (from the newest when
    /// `None`), newest first, `limit` at most.
    pub(crate) fn list(
        &self,
        takes: impl Fn(&Task) -> bool,
        before: Option<u64>,
        limit: usize,
    ) -> Page {
        let mut tasks = Vec::with_capacity(limit.min(STRIDE));
        let mut before = before.unwrap_or(u64::MAX);
        loop {
            let ids = read(&self.0.order).before(before, STRIDE);
            if ids.is_empty() {
                return Page { tasks, next: None };
            }
            for (number, id) in ids {
                before = number;
                let Some(task) = self.0.tasks.get(&id) else {
                    continue;
                };
                if !takes(&task) {
                    continue;
                }
                if tasks.len() == limit {
                    // The last one listed, so that the next page starts below it.
                    let next = tasks.last().map_or(number + 1, |last: &Task| last.number);
                    return Page {
                        tasks,
                        next: Some(next),
                    };
                }
                tasks.push(task.clone());
            }
        }
    }

    fn next_number(&self) -> u64 {
        let order = read(&self.0.order);
        order.forgotten + order.ids.len() as u64 + 1
    }

    fn remember(&self, id: Arc<str>) -> Option<Task> {
        let dropped = {
            let mut order = self.0.order.write().unwrap_or_else(PoisonError::into_inner);
            order.ids.push_back(id);
            if order.ids.len() > self.0.capacity {
                order.forgotten += 1;
                order.ids.pop_front()
            } else {
                None
            }
        };
        let (_, task) = dropped.and_then(|id| self.0.tasks.remove(&id))?;
        self.count(&name_of(&task), task.state(), false);
        Some(task)
    }

    fn count(&self, name: &Arc<str>, state: &State, more: bool) {
        let mut counts = self
            .0
            .counts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if more {
            let states = counts.entry(Arc::clone(name)).or_default();
            match states.get_mut(state.as_str()) {
                Some(count) => *count += 1,
                None => drop(states.insert(state.as_str().to_owned(), 1)),
            }
            return;
        }
        let Some(states) = counts.get_mut(name) else {
            return;
        };
        if let Some(count) = states.get_mut(state.as_str()) {
            *count -= 1;
            if *count == 0 {
                states.remove(state.as_str());
            }
        }
        if states.is_empty() {
            counts.remove(name);
        }
    }
}

fn name_of(task: &Task) -> Arc<str> {
    task.name().cloned().unwrap_or_else(|| UNNAMED.into())
}

/// A reader or writer that panicked left nothing half done: each change is one step.
fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

impl Order {
    /// Returns the numbers and ids below `before`, highest first.
    fn before(&self, before: u64, most: usize) -> Vec<(u64, Arc<str>)> {
        let known = before.saturating_sub(self.forgotten + 1);
        let end = usize::try_from(known)
            .unwrap_or(usize::MAX)
            .min(self.ids.len());
        let numbered = |at: usize| (self.forgotten + 1 + at as u64, Arc::clone(&self.ids[at]));
        (end.saturating_sub(most)..end)
            .rev()
            .map(numbered)
            .collect()
    }
}

impl Filter {
    /// Whether a task is one of these.
    pub(crate) fn takes(&self, task: &Task) -> bool {
        self.state
            .as_ref()
            .is_none_or(|state| task.state() == state)
            && self
                .name
                .as_ref()
                .is_none_or(|name| task.name().is_some_and(|n| **n == **name))
            && self
                .worker
                .as_ref()
                .is_none_or(|worker| task.worker().is_some_and(|w| **w == **worker))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::cluster::task::{Call, Route};

    fn told(history: &History, id: &str, at: u64, fact: Fact) -> Option<Moved> {
        history.merge(
            &id.into(),
            Said {
                at: at as f64,
                clock: at,
            },
            &"w1@host".into(),
            fact,
            &mut None,
        )
    }

    fn received(name: &str) -> Fact {
        Fact::Received(Call {
            name: Some(name.into()),
            ..Call::default()
        })
    }

    fn ids(page: &Page) -> Vec<&str> {
        page.tasks.iter().map(|task| &*task.id).collect()
    }

    #[test]
    fn the_oldest_go_first_and_counts_follow() {
        let history = History::new(2);
        for (at, id) in ["a", "b", "c"].into_iter().enumerate() {
            told(&history, id, at as u64, received("add"));
        }
        assert_eq!(history.len(), 2);
        assert!(history.get("a").is_none());
        assert_eq!(history.counts()["add"]["RECEIVED"], 2);
    }

    #[test]
    fn a_name_told_late_moves_the_count_but_not_the_task() {
        let history = History::new(9);
        told(&history, "a", 5, Fact::Started).unwrap();
        assert_eq!(history.counts()[UNNAMED]["STARTED"], 1);
        let moved = told(&history, "a", 4, received("add")).unwrap();
        assert_eq!(moved.state, None);
        assert_eq!(history.counts().len(), 1);
        assert_eq!(history.counts()["add"]["STARTED"], 1);
    }

    #[test]
    fn pages_join_without_holes_while_tasks_come() {
        let history = History::new(2_000);
        for at in 0..1_500 {
            told(
                &history,
                &format!("t{at}"),
                at,
                received(if at % 2 == 0 { "even" } else { "odd" }),
            );
        }
        let filter = Filter {
            name: Some("even".into()),
            ..Filter::default()
        };
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = history.list(|task| filter.takes(task), cursor, 70);
            seen.extend(page.tasks.iter().map(|task| task.id.to_string()));
            told(
                &history,
                &format!("late{}", seen.len()),
                9_999,
                received("even"),
            );
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let expected: Vec<_> = (0..1_500)
            .rev()
            .filter(|n| n % 2 == 0)
            .map(|n| format!("t{n}"))
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn filters_join_and_the_last_page_has_no_next() {
        let history = History::new(10);
        told(&history, "a", 1, received("add"));
        told(&history, "b", 2, received("add"));
        told(&history, "b", 3, Fact::Started);
        told(&history, "c", 4, received("mul"));
        let list = |filter: Filter| history.list(|task| filter.takes(task), None, 10);
        let page = list(Filter {
            state: Some(State::Received),
            ..Filter::default()
        });
        assert_eq!((ids(&page), page.next), (vec!["c", "a"], None));
        let both = Filter {
            state: Some(State::Started),
            name: Some("add".into()),
            ..Filter::default()
        };
        assert_eq!(ids(&list(both)), ["b"]);
        let other = Filter {
            worker: Some("w2@host".into()),
            ..Filter::default()
        };
        assert!(list(other).tasks.is_empty());
        let full = history.list(|_| true, None, 3);
        assert_eq!((full.tasks.len(), full.next), (3, None));
    }

    /// The stored result of a task that was sent from here may be read before its batch
    /// of events.
    #[test]
    fn figures_are_told_once_for_each_run_whatever_moved_the_state() {
        let history = History::new(9);
        let told = |at, sender: &str, fact| {
            let said = Said { at, clock: 1 };
            history.merge(&"a".into(), said, &sender.into(), fact, &mut None)
        };
        let node = "w1@host";
        let call = |retries| Call {
            name: Some("add".into()),
            retries,
            ..Call::default()
        };
        let ended = |runtime| Fact::Succeeded {
            result: None,
            runtime,
        };
        let waited = |moved: Option<Moved>| moved.and_then(|moved| moved.figures.queue_time);
        let ran = |moved: Option<Moved>| moved.and_then(|moved| moved.figures.runtime);

        told(1.0, "client", Fact::Sent(call(0), Route::default())).unwrap();
        let moved = told(9.0, "", ended(None)).unwrap();
        assert_eq!(moved.state, Some(State::Success));
        assert_eq!(moved.figures, Figures::default());
        assert_eq!(told(2.0, node, Fact::Received(call(0))), None);
        let moved = told(3.5, node, Fact::Started).unwrap();
        assert_eq!((moved.state, moved.figures.queue_time), (None, Some(2.5)));
        assert_eq!(told(3.5, node, Fact::Started), None, "a duplicate");
        assert_eq!(ran(told(4.5, node, ended(Some(1.0)))), Some(1.0));
        assert_eq!(told(4.5, node, ended(Some(1.0))), None, "a duplicate");

        // Delivered again, or repeated, it is another run.
        assert_eq!(told(20.0, node, Fact::Received(call(1))), None);
        assert_eq!(waited(told(20.5, node, Fact::Started)), Some(0.5));
        assert_eq!(
            waited(told(3.5, node, Fact::Started)),
            None,
            "an earlier one"
        );
        assert_eq!(ran(told(22.5, node, ended(Some(2.0)))), Some(2.0));
    }

    proptest! {
        /// Whatever comes: the bound holds, the counts are those of the tasks, and the
        /// list holds each task once.
        #[test]
        fn bounds_and_counts_hold(
            events in prop::collection::vec((0..40u8, 0..4u8), 0..300),
            capacity in 1..20usize,
        ) {
            let history = History::new(capacity);
            for (at, (id, kind)) in events.iter().enumerate() {
                let fact = match kind {
                    0 => received("add"),
                    1 => Fact::Started,
                    2 => Fact::Succeeded { result: None, runtime: None },
                    _ => Fact::Retried { exception: None, traceback: None },
                };
                told(&history, &id.to_string(), at as u64, fact);
            }
            prop_assert!(history.len() <= capacity);
            let page = history.list(|_| true, None, 100);
            prop_assert_eq!(page.tasks.len(), history.len());
            let total: u64 = history.counts().values().flat_map(BTreeMap::values).sum();
            prop_assert_eq!(total, history.len() as u64);
            prop_assert!(page.tasks.windows(2).all(|pair| pair[0].number > pair[1].number));
        }
    }
}
