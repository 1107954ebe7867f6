//! What happened to a task, step by step.

use std::sync::Arc;

use celeriac_protocol::State;

use super::Fact;
use crate::cluster::reading::cut;

/// One step in the life of a task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// Seconds since the epoch.
    pub(crate) at: f64,
    pub(crate) kind: StepKind,
    /// Who said so; empty for a stored result.
    pub(crate) worker: Arc<str>,
    /// Why it failed or is tried again, cut short.
    pub(crate) error: Option<Box<str>>,
}

/// What kind of step it is; at the same moment the earlier kind comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StepKind {
    Sent,
    Received,
    Started,
    Retried,
    Rejected,
    Succeeded,
    Failed,
    Revoked,
}

/// The steps of one task, oldest first: the first few, and the last ones.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Steps(Vec<Step>);

/// How many steps are kept, and how many of them are the first.
const MOST: usize = 64;
const FIRST: usize = 8;
/// The error of a step is cut to this many bytes: the last one is kept whole elsewhere.
const ERROR: usize = 512;

impl StepKind {
    const ALL: [Self; 8] = [
        Self::Sent,
        Self::Received,
        Self::Started,
        Self::Retried,
        Self::Rejected,
        Self::Succeeded,
        Self::Failed,
        Self::Revoked,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Started => "started",
            Self::Retried => "retried",
            Self::Rejected => "rejected",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Revoked => "revoked",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Returns the step that leads to a state; states without one of their own are those
    /// before the start.
    pub(crate) fn of_state(state: &State) -> Self {
        match state {
            State::Success => Self::Succeeded,
            State::Failure => Self::Failed,
            State::Revoked => Self::Revoked,
            State::Rejected => Self::Rejected,
            State::Retry => Self::Retried,
            State::Received => Self::Received,
            State::Started | State::Custom(_) => Self::Started,
            _ => Self::Sent,
        }
    }

    /// Whether a run of the task ends with it.
    pub(crate) const fn ends(self) -> bool {
        !matches!(self, Self::Sent | Self::Received | Self::Started)
    }

    fn of(fact: &Fact) -> Option<Self> {
        Some(match fact {
            Fact::Received(_) => Self::Received,
            Fact::Started => Self::Started,
            Fact::Retried { .. } => Self::Retried,
            Fact::Rejected => Self::Rejected,
            Fact::Succeeded { .. } => Self::Succeeded,
            Fact::Failed { .. } => Self::Failed,
            Fact::Revoked { .. } => Self::Revoked,
            // The sending is a time of the task; own states may be a thousand.
            Fact::Sent(..) | Fact::Custom(_) => return None,
        })
    }
}

impl Steps {
    /// Takes in a step, in whatever order they come; one that is known changes nothing.
    pub(super) fn hear(&mut self, at: f64, sender: &Arc<str>, fact: &Fact) {
        let Some(kind) = StepKind::of(fact) else {
            return;
        };
        // A stored result repeats what an event says better.
        if sender.is_empty() {
            return;
        }
        let place = self.0.binary_search_by(|step| {
            let time = step.at.total_cmp(&at);
            time.then(step.kind.cmp(&kind))
        });
        let Err(place) = place else { return };
        let error = match fact {
            Fact::Retried { exception, .. } | Fact::Failed { exception, .. } => {
                exception.as_deref()
            }
            Fact::Revoked { reason } => Some(*reason),
            _ => None,
        };
        let step = Step {
            at,
            kind,
            worker: Arc::clone(sender),
            error: error.map(|error| cut(error, ERROR).into()),
        };
        self.0.insert(place, step);
        if self.0.len() > MOST {
            self.0.remove(FIRST);
        }
    }

    pub(super) fn as_slice(&self) -> &[Step] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_life_keeps_its_start_and_its_end_in_any_order() {
        let worker: Arc<str> = "w".into();
        let mut forward = Steps::default();
        let mut backward = Steps::default();
        for at in 0..1_000 {
            forward.hear(f64::from(at), &worker, &Fact::Started);
            backward.hear(f64::from(999 - at), &worker, &Fact::Started);
        }
        assert_eq!(forward, backward);
        let times: Vec<f64> = forward.as_slice().iter().map(|step| step.at).collect();
        assert_eq!(times.len(), MOST);
        assert_eq!((times[FIRST - 1], times[FIRST]), (7.0, 944.0));
    }
}
