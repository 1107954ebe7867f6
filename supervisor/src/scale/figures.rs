//! The figures themselves: sums of what queues hold and what nodes say.

use std::time::Duration;

/// What the broker holds of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Backlog {
    /// Messages that wait.
    pub(crate) ready: u64,
    /// Messages that were handed out and are not settled, where somebody tells.
    pub(crate) unacked: Option<u64>,
    /// How long the oldest message waits, where somebody tells.
    pub(crate) oldest: Option<Duration>,
    /// Somebody paused the queue: no node would take from it.
    pub(crate) paused: bool,
    /// It had messages a moment ago, of which nodes may not have told yet.
    pub(crate) recent: bool,
}

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Member {
    /// How many tasks it runs at once.
    pub(crate) slots: u64,
    pub(crate) running: u64,
    /// Messages that it took and has not started, as far as anybody knows.
    pub(crate) reserved: u64,
    /// It says itself how many it has reserved; else there may be more.
    pub(crate) tells: bool,
    /// It takes no more.
    pub(crate) draining: bool,
    /// What it consumes is not known yet: it may be these queues.
    pub(crate) unplaced: bool,
}

/// How much work a set of queues has for how many places.
///
/// A node that consumes any of the queues counts whole, with whatever it runs: its places
/// are taken by all that it runs. So a pool is to be asked about by all of its queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Figures {
    /// Messages that wait, those of paused queues left out.
    pub(crate) ready: u64,
    /// Messages that nodes took and have not started.
    pub(crate) reserved: u64,
    pub(crate) running: u64,
    /// Tasks on nodes that drain: they need no place on another one unless they come back.
    pub(crate) draining: u64,
    /// Messages that wait in paused queues.
    pub(crate) paused: u64,
    pub(crate) slots: u64,
    /// Nodes that consume and do not drain.
    pub(crate) nodes: u64,
    /// How long the oldest message waits, zero when none does; `None` when nobody tells.
    pub(crate) oldest: Option<Duration>,
    /// A queue had messages a moment ago, of which nodes may not have told yet.
    pub(crate) recent: bool,
}

impl Figures {
    /// Adds up queues and the nodes that consume any of them.
    pub(crate) fn of(
        backlogs: impl IntoIterator<Item = Backlog>,
        members: impl IntoIterator<Item = Member>,
    ) -> Self {
        let mut figures = Self {
            oldest: Some(Duration::ZERO),
            ..Self::default()
        };
        let mut unacked = 0_u64;
        for backlog in backlogs {
            unacked = unacked.saturating_add(backlog.unacked.unwrap_or(0));
            if backlog.paused {
                figures.paused = figures.paused.saturating_add(backlog.ready);
                continue;
            }
            figures.ready = figures.ready.saturating_add(backlog.ready);
            figures.recent |= backlog.recent;
            if backlog.ready > 0 {
                let older = |known: Duration| backlog.oldest.map(|age| known.max(age));
                figures.oldest = figures.oldest.and_then(older);
            }
        }
        let mut all_tell = true;
        for member in members {
            all_tell &= member.tells;
            if member.draining {
                let held = member.running.saturating_add(member.reserved);
                figures.draining = figures.draining.saturating_add(held);
                continue;
            }
            figures.running = figures.running.saturating_add(member.running);
            figures.reserved = figures.reserved.saturating_add(member.reserved);
            if !member.unplaced {
                figures.slots = figures.slots.saturating_add(member.slots);
                figures.nodes += 1;
            }
        }
        // What the broker says is some seconds old, so nodes that tell are believed.
        if !all_tell {
            let told = figures.running.saturating_add(figures.draining);
            figures.reserved = figures.reserved.max(unacked.saturating_sub(told));
        }
        figures
    }

    /// Returns how many tasks want a place or have one.
    pub(crate) const fn tasks(&self) -> u64 {
        let held = self.reserved.saturating_add(self.running);
        self.ready.saturating_add(held)
    }

    /// Returns tasks / slots: 1 is fully busy with nothing waiting. `None` without slots.
    pub(crate) fn load(&self) -> Option<f64> {
        (self.slots > 0).then(|| self.tasks() as f64 / self.slots as f64)
    }

    /// Returns how many slots a node has, rounded; `None` without nodes.
    pub(crate) fn slots_per_node(&self) -> Option<u64> {
        let rounded = self.slots.saturating_add(self.nodes / 2);
        let rounded = rounded.checked_div(self.nodes)?;
        (self.slots > 0).then(|| rounded.max(1))
    }

    /// Tells whether there is work for a node, or may be: more tasks than `threshold`, any
    /// that a draining node may give back, or messages that just went somewhere.
    pub(crate) fn is_active(&self, threshold: f64) -> bool {
        let tasks = self.tasks().saturating_add(self.draining);
        tasks as f64 > threshold || (self.recent && threshold < 1.0)
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
