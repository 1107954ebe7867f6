//! What is known of one remote node.

use std::time::{Duration, Instant};

/// What is known of one remote node, a celeriac node or a Python worker.
///
/// ```text
///                  any sign of life
///           +------------------------------+
///           v                              |
///  join -> Online --silent > 2 x freq--> Suspect --silent for lost_after--> Lost
///           |  ^                           ^                                 |
///    says it drains                        | (draining nodes fall silent     |
///           v  | says it does not          |  the same way)                  |
///         Draining ------------------------+             sign of life: Online or Draining
///
///  worker-offline: any --> Offline --worker-online, or a later heartbeat--> Online
///  Lost or Offline for forget_after: the node is forgotten
/// ```
///
/// The state is no stored fact: it is what [`Node::judge`] makes of what the node said
/// last and of how long it has been silent by this process's own steady clock. Clocks
/// of other machines take no part in it.
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
    said: Said,
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
    pub(crate) loadavg: Option<[f64; 3]>,
    pub(crate) software: Option<Software>,
    pub(crate) draining: bool,
    /// How many task events the process has sent, where it says so.
    pub(crate) sent: Option<u64>,
}

/// When silence becomes suspicion, loss and oblivion.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) lost_after: Duration,
    pub(crate) forget_after: Duration,
}

/// Events of a node that were sent and never came.
///
/// Python workers do not number their events; for them nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Gaps {
    base: Option<u64>,
    seen: u64,
    pub(crate) missed: u64,
}

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
            loadavg: None,
            heartbeat_at: None,
            skew: None,
            joined: now,
            last_seen: now,
            restarts: 0,
            gaps: Gaps::default(),
            said: Said::Working,
        }
    }

    /// Takes in `worker-online` or `worker-heartbeat`; says whether it is another
    /// process than before.
    pub(crate) fn beat(&mut self, beat: &Beat, online: bool, now: Instant) -> bool {
        let restarted = matches!((self.pid, beat.pid), (Some(old), Some(new)) if old != new);
        // The farewell overtook this heartbeat on the way: the node is gone all the same.
        if self.said == Said::Goodbye && !online && !restarted && beat.clock <= self.clock {
            return false;
        }
        if restarted {
            self.restarts += 1;
            self.gaps = Gaps {
                missed: self.gaps.missed,
                ..Gaps::default()
            };
        }
        self.said = if beat.draining {
            Said::Draining
        } else {
            Said::Working
        };
        self.last_seen = now;
        self.pid = beat.pid.or(self.pid);
        self.clock = beat.clock;
        self.heartbeat_at = Some(beat.timestamp);
        // Beats that answer a request say less than others; what was known stays.
        if let Some(freq) = beat.freq {
            self.freq = freq;
        }
        self.active = beat.active.or(self.active);
        self.processed = beat.processed.or(self.processed);
        self.slots = beat.slots.or(self.slots);
        self.loadavg = beat.loadavg.or(self.loadavg);
        if let Some(software) = &beat.software {
            self.software = Some(software.clone());
        }
        if let Some(sent) = beat.sent {
            self.gaps.compare(sent);
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
        self.processed = beat.processed.or(self.processed);
    }

    /// Takes in a sign of life that says nothing more: a task event, an answered ping.
    pub(crate) fn alive(&mut self, now: Instant) {
        self.last_seen = now;
    }

    /// Counts a task event, for the comparison with what the node says it sent.
    pub(crate) fn task_event(&mut self, now: Instant) {
        self.last_seen = now;
        self.gaps.seen += 1;
    }

    /// Returns the state that the rules give at `now`.
    pub(crate) fn judge(&self, now: Instant, rules: Rules) -> NodeState {
        let silence = now.saturating_duration_since(self.last_seen);
        match self.said {
            Said::Goodbye => NodeState::Offline,
            _ if silence > self.patience() + rules.lost_after => NodeState::Lost,
            _ if silence > self.patience() => NodeState::Suspect,
            Said::Draining => NodeState::Draining,
            Said::Working => NodeState::Online,
        }
    }

    /// Tells whether the node has been gone for long enough to be forgotten.
    pub(crate) fn is_forgettable(&self, now: Instant, rules: Rules) -> bool {
        let silence = now.saturating_duration_since(self.last_seen);
        self.judge(now, rules).is_gone() && silence > rules.forget_after
    }

    /// How long it may stay silent: twice the interval it promised, as Celery counts.
    /// A promise of nothing or of years is not believed.
    fn patience(&self) -> Duration {
        let freq = if self.freq.is_finite() {
            self.freq.clamp(0.5, 3_600.0)
        } else {
            DEFAULT_FREQ
        };
        Duration::from_secs_f64(freq * 2.0)
    }
}

impl Gaps {
    /// Compares what came with what the node says it has sent, both since the first
    /// such report: what was sent before is not missing.
    fn compare(&mut self, sent: u64) {
        match self.base {
            Some(base) if sent >= base => {
                let expected = sent - base;
                self.missed += expected.saturating_sub(self.seen);
            }
            _ => {}
        }
        self.base = Some(sent);
        self.seen = 0;
    }
}

#[cfg(test)]
mod tests;
