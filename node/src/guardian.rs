//! Restarts children that die.
//!
//! `actix::Supervisor` keeps the old value and does not survive a panic. Here the
//! parent keeps a factory, a drop guard in the child tells it of the end however that
//! came, and the child is made anew; a child that ends too often is given up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Message, Recipient};
use celeriac::retry::Backoff;

/// Asks a child to end in order; it has ended when this is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop;

impl Message for Stop {
    type Result = ();
}

/// Says that a child has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) child: Arc<str>,
    /// Which life of the child ended.
    pub(crate) life: u64,
    pub(crate) panicked: bool,
}

impl Message for Ended {
    type Result = ();
}

/// Tells the parent that a child has ended, when it is dropped. The child owns it.
#[derive(Debug)]
pub(crate) struct Guard {
    parent: Recipient<Ended>,
    child: Arc<str>,
    life: u64,
    panicked: bool,
}

impl Guard {
    /// Notes that a panic is why the child ends, when the guard cannot see it itself.
    pub(crate) fn note_panic(&mut self) {
        self.panicked = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let panicked = self.panicked || std::thread::panicking();
        let ended = Ended {
            child: Arc::clone(&self.child),
            life: self.life,
            panicked,
        };
        #[allow(
            clippy::disallowed_methods,
            reason = "a drop cannot wait, and an end must be heard"
        )]
        self.parent.do_send(ended);
    }
}

/// Makes a child and returns the way to stop it.
pub(crate) type Factory = Box<dyn Fn(Guard) -> Recipient<Stop>>;

/// How often a child may be restarted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// So many restarts ...
    pub(crate) restarts: usize,
    /// ... in this time; one more and the child is given up.
    pub(crate) within: Duration,
    /// How long to wait before a restart, by the number of restarts in that time.
    pub(crate) backoff: Backoff,
}

/// Ten in a minute: enough to outlast a broker that is being set up, and few enough that
/// the waits between them, which grow to 5 s, fit into it.
pub(crate) const BUDGET: Budget = Budget {
    restarts: 10,
    within: Duration::from_secs(60),
    backoff: Backoff::new(Duration::from_millis(50))
        .max(Duration::from_secs(5))
        .exact(),
};

/// What to do about an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing: it was asked for, or an earlier life's.
    Expected,
    /// Make the child anew after this.
    Restart(Duration),
    /// It ends too often.
    GiveUp,
}

/// The children of one parent.
pub(crate) struct Guardian {
    parent: Recipient<Ended>,
    budget: Budget,
    children: BTreeMap<Arc<str>, Child>,
    /// Counts the lives of all children: the end of a released child must not be taken
    /// for that of a later one with its name.
    lives: u64,
}

struct Child {
    factory: Factory,
    life: u64,
    /// `None` while it is dead.
    stop: Option<Recipient<Stop>>,
    /// The restarts that count against the budget.
    recent: VecDeque<Instant>,
    restarts: u64,
}

impl Guardian {
    pub(crate) const fn new(parent: Recipient<Ended>, budget: Budget) -> Self {
        Self {
            parent,
            budget,
            children: BTreeMap::new(),
            lives: 0,
        }
    }

    /// Starts a child that is not there yet.
    pub(crate) fn start(&mut self, name: &str, factory: Factory) {
        if self.children.contains_key(name) {
            return;
        }
        let name: Arc<str> = name.into();
        let child = Child {
            factory,
            life: 0,
            stop: None,
            recent: VecDeque::new(),
            restarts: 0,
        };
        self.children.insert(Arc::clone(&name), child);
        self.revive(&name);
    }

    /// Makes a dead child anew.
    pub(crate) fn revive(&mut self, name: &str) {
        let parent = self.parent.clone();
        if let Some((name, child)) = self.children.iter_mut().find(|(key, _)| &***key == name)
            && child.stop.is_none()
        {
            self.lives += 1;
            child.life = self.lives;
            let guard = Guard {
                parent,
                child: Arc::clone(name),
                life: child.life,
                panicked: false,
            };
            child.stop = Some((child.factory)(guard));
        }
    }

    /// Decides about an end.
    pub(crate) fn ended(&mut self, ended: &Ended, now: Instant) -> Verdict {
        let Some(child) = self.children.get_mut(&ended.child) else {
            return Verdict::Expected;
        };
        if child.life != ended.life {
            return Verdict::Expected;
        }
        child.stop = None;
        child
            .recent
            .retain(|at| now.duration_since(*at) <= self.budget.within);
        if child.recent.len() >= self.budget.restarts {
            return Verdict::GiveUp;
        }
        let tries = u32::try_from(child.recent.len()).unwrap_or(u32::MAX);
        child.recent.push_back(now);
        child.restarts += 1;
        Verdict::Restart(self.budget.backoff.delay(tries, 0.0))
    }

    /// Forgets a child and returns the way to stop it. Its end is expected from now on.
    pub(crate) fn release(&mut self, name: &str) -> Option<Recipient<Stop>> {
        self.children.remove(name)?.stop
    }

    /// Returns the children's names.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        self.children.keys().cloned().collect()
    }

    /// Returns how often a child was restarted.
    pub(crate) fn restarts(&self, name: &str) -> u64 {
        self.children.get(name).map_or(0, |child| child.restarts)
    }
}

#[cfg(test)]
mod tests;
