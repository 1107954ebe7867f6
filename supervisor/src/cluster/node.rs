//! What is known of one remote node.

mod gaps;
mod silence;

use std::time::{Duration, Instant};

use self::gaps::Gaps;
use self::silence::Pings;

/// What is known of one remote node, a celeriac node or a Python worker.
///
/// ```text
///                any sign of life: an event, an answered ping
///           +------------------------------+
///           v                              |     silent for 3 heartbeats, and
///  join -> Online --silent for 2-------> Suspect --no ping answered--> Lost
///           |  ^    heartbeats             ^                            |
///    says it drains                        |                            |
///           v  | says it does not          |                            |
///         Draining ------------------------+   sign of life: Online or Draining
///
///  worker-offline: any --> Offline --worker-online, or a later heartbeat--> Online
///  Lost or Offline for forget_after: the node is forgotten
/// ```
///
/// The state is no stored fact: it is what [`Node::judge`] makes of what the node said
/// last and of how long it has been silent by this process's own steady clock. Clocks
/// of other machines take no part in it. A heartbeat's time is the interval that the
/// node itself promised. Messages get lost, so silence alone proves nothing: a node is
/// pinged as soon as a heartbeat is overdue, again and again, and lost only when that
/// stays unanswered as well.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// As judged last; changes are told by [`super::Action::Changed`].
    pub(crate) state: NodeState,
    pub(crate) software: Option<Software>,
    pub(crate) pid: Option<i64>,
    pub(crate) clock: u64,
    /// The heartbeat interval that the node promises, in seconds.
    pub(crate) freq: f64,
    pub(crate) active: Option<u64>,
    pub(crate) processed: Option<u64>,
    /// How many tasks it runs at once, where its heartbeats say so.
    pub(crate) slots: Option<u64>,
    /// How many messages it took and has not started, where its heartbeats say so.
    pub(crate) reserved: Option<u64>,
    /// For how many seconds the running tasks have run, in sum, where its heartbeats say so.
    pub(crate) running_seconds: Option<u64>,
    /// Since when the number of tasks that it took is what it is.
    taken: Instant,
    pub(crate) loadavg: Option<[f64; 3]>,
    /// The node's own time of its last worker event, seconds since the epoch.
    pub(crate) heartbeat_at: Option<f64>,
    /// How far the node's wall clock was ahead of ours, in seconds, by its last event.
    pub(crate) skew: Option<f64>,
    pub(crate) joined: Instant,
    pub(crate) last_seen: Instant,
    /// How often it came back as another process under the same name.
    pub(crate) restarts: u64,
    pub(crate) gaps: Gaps,
    /// The heartbeat interval that it was told last, in seconds, and when.
    pub(super) told: Option<(f64, Instant)>,
    said: Said,
    pings: Pings,
}

/// The state of a node; see the drawing at [`Node`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum NodeState {
    Online,
    Draining,
    Suspect,
    Lost,
    Offline,
}

/// What a node runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Software {
    /// `py-celery` or `celeriac`.
    pub(crate) ident: String,
    pub(crate) version: String,
    pub(crate) system: String,
}

/// What a node said of itself last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Working,
    Draining,
    Goodbye,
}

/// A worker event, reduced to what the model needs.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Beat {
    pub(crate) pid: Option<i64>,
    pub(crate) clock: u64,
    pub(crate) timestamp: f64,
    pub(crate) freq: Option<f64>,
    pub(crate) active: Option<u64>,
    pub(crate) processed: Option<u64>,
    pub(crate) slots: Option<u64>,
    pub(crate) reserved: Option<u64>,
    pub(crate) running_seconds: Option<u64>,
    pub(crate) loadavg: Option<[f64; 3]>,
    pub(crate) software: Option<Software>,
    pub(crate) draining: bool,
    /// How many task events the process has sent or dropped, where it says so.
    pub(crate) sent: Option<u64>,
}

/// When silence becomes suspicion, loss and oblivion.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// How many heartbeats a node may be silent for before it counts as lost; at least 2.
    pub(crate) lost_beats: u32,
    pub(crate) forget_after: Duration,
}

/// A heartbeat this many seconds older than the last one may be of the process before.
const STRAGGLER: f64 = 60.0;

/// Celery's default, for events that do not say.
const DEFAULT_FREQ: f64 = 2.0;

impl NodeState {
    pub(crate) const ALL: [Self; 5] = [
        Self::Online,
        Self::Draining,
        Self::Suspect,
        Self::Lost,
        Self::Offline,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Draining => "draining",
            Self::Suspect => "suspect",
            Self::Lost => "lost",
            Self::Offline => "offline",
        }
    }

    /// Tells whether nothing more is expected of the node.
    pub(crate) const fn is_gone(self) -> bool {
        matches!(self, Self::Lost | Self::Offline)
    }
}

impl Node {
    pub(crate) fn new(name: &str, now: Instant) -> Self {
        Self {
            name: name.to_owned(),
            state: NodeState::Online,
            software: None,
            pid: None,
            clock: 0,
            freq: DEFAULT_FREQ,
            active: None,
            processed: None,
            slots: None,
            reserved: None,
            running_seconds: None,
            taken: now,
            loadavg: None,
            heartbeat_at: None,
            skew: None,
            joined: now,
            last_seen: now,
            restarts: 0,
            gaps: Gaps::default(),
            told: None,
            said: Said::Working,
            pings: Pings::default(),
        }
    }

    /// Takes in `worker-online` or `worker-heartbeat`; says whether it is another
    /// process than before.
    pub(crate) fn beat(&mut self, beat: &Beat, online: bool, now: Instant) -> bool {
        let restarted = matches!((self.pid, beat.pid), (Some(old), Some(new)) if old != new);
        let before = self.heartbeat_at.map_or(0.0, |at| at - beat.timestamp);
        // The process before, overtaken by the one of now. When its clock is further
        // behind, the clock was set, and the new process is to be believed.
        if restarted && !online && (0.0..STRAGGLER).contains(&before) && before > 0.0 {
            return false;
        }
        // The farewell overtook this heartbeat on the way: the node is gone all the same.
        if self.said == Said::Goodbye && !online && !restarted && beat.clock <= self.clock {
            return false;
        }
        if restarted {
            self.restarts += 1;
            self.told = None;
            // Another version may not tell.
            (self.reserved, self.running_seconds) = (None, None);
            self.gaps = self.gaps.of_another_process();
        }
        self.alive(now);
        self.pid = beat.pid.or(self.pid);
        // Overtaken on the way: the later one has said what counts.
        if !restarted && !online && beat.clock < self.clock {
            return false;
        }
        self.said = if beat.draining {
            Said::Draining
        } else {
            Said::Working
        };
        self.clock = beat.clock;
        self.heartbeat_at = Some(beat.timestamp);
        // Beats that answer a request say less than others; what was known stays.
        if let Some(freq) = beat.freq {
            self.freq = freq;
        }
        self.active = beat.active.or(self.active);
        if beat
            .processed
            .is_some_and(|processed| self.processed != Some(processed))
        {
            self.taken = now;
        }
        self.processed = beat.processed.or(self.processed);
        self.slots = beat.slots.or(self.slots);
        self.reserved = beat.reserved.or(self.reserved);
        self.running_seconds = beat.running_seconds.or(self.running_seconds);
        self.loadavg = beat.loadavg.or(self.loadavg);
        if let Some(software) = &beat.software {
            self.software = Some(software.clone());
        }
        if let Some(sent) = beat.sent {
            self.gaps.compare(sent, beat.clock);
        }
        restarted
    }

    /// Takes in `worker-offline`.
    pub(crate) fn goodbye(&mut self, beat: &Beat, now: Instant) {
        let of_the_process_before =
            matches!((self.pid, beat.pid), (Some(old), Some(new)) if old != new);
        if of_the_process_before && beat.timestamp < self.heartbeat_at.unwrap_or(0.0) {
            return;
        }
        self.said = Said::Goodbye;
        self.last_seen = now;
        self.clock = beat.clock;
        self.active = Some(0);
        self.running_seconds = self.running_seconds.and(Some(0));
        self.reserved = self.reserved.and(Some(0));
        self.processed = beat.processed.or(self.processed);
        if let Some(sent) = beat.sent {
            // The last report: whatever it speaks of went before it.
            self.gaps.compare(sent, beat.clock);
            self.gaps.compare(sent, beat.clock);
        }
    }

    /// Returns for how many seconds the running tasks have run, in sum: as the node says, else
    /// at least since it took one, which is all that workers of Celery tell.
    pub(crate) fn invested(&self, now: Instant) -> u64 {
        self.running_seconds.unwrap_or_else(|| {
            let since = now.saturating_duration_since(self.taken).as_secs();
            since.saturating_mul(self.active.unwrap_or(0))
        })
    }

    /// Takes in a sign of life that says nothing more: a task event, an answered ping.
    pub(crate) fn alive(&mut self, now: Instant) {
        self.last_seen = now;
        self.pings = Pings::default();
    }

    /// Counts a task event, for the comparison with what the node says it sent.
    pub(crate) fn task_event(&mut self, clock: u64, now: Instant) {
        self.alive(now);
        self.gaps.see(clock);
    }

    /// Returns the state that the rules give at `now`.
    pub(crate) fn judge(&self, now: Instant, rules: Rules) -> NodeState {
        let silence = now.saturating_duration_since(self.last_seen);
        match self.said {
            Said::Goodbye => NodeState::Offline,
            _ if silence > self.beats(rules.lost_beats) && self.pings.prove(now) => NodeState::Lost,
            // Lost once stays lost until there is a sign of life, which clears the pings.
            _ if silence > self.beats(rules.lost_beats - 1) => NodeState::Suspect,
            Said::Draining => NodeState::Draining,
            Said::Working => NodeState::Online,
        }
    }

    /// Tells whether the node has been gone for long enough to be forgotten.
    pub(crate) fn is_forgettable(&self, now: Instant, rules: Rules) -> bool {
        let silence = now.saturating_duration_since(self.last_seen);
        self.judge(now, rules).is_gone() && silence > rules.forget_after
    }

    /// Notes a ping if one is due, to be sent by the caller.
    pub(crate) fn ping(&mut self, now: Instant) -> bool {
        let silence = now.saturating_duration_since(self.last_seen);
        let silent = silence > self.beats(1).mul_f64(silence::FIRST);
        let due = silent && !self.state.is_gone() && self.pings.is_due(self.beats(1), now);
        if due {
            self.pings.send(now);
        }
        due
    }

    /// Does not count the silence until now: nobody listened.
    pub(crate) fn forgive(&mut self, now: Instant) {
        if !self.state.is_gone() {
            self.alive(now);
        }
    }

    /// Tells whether it said last that it takes no more.
    pub(crate) fn is_draining(&self) -> bool {
        self.said == Said::Draining
    }

    /// Returns whether it is a celeriac node: one that takes our own commands.
    pub(crate) fn is_ours(&self) -> bool {
        self.software
            .as_ref()
            .is_some_and(|software| software.ident == "celeriac")
    }

    /// Returns the time of so many heartbeats, as the node promised them. A promise of
    /// nothing or of years is not believed.
    fn beats(&self, count: u32) -> Duration {
        let freq = if self.freq.is_finite() {
            self.freq.clamp(0.5, 3_600.0)
        } else {
            DEFAULT_FREQ
        };
        Duration::from_secs_f64(freq * f64::from(count))
    }
}

#[cfg(test)]
mod tests;
