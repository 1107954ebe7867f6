//! What is known of one task.

mod step;

use std::sync::Arc;

use celeriac_protocol::State;

use self::step::Steps;
pub(crate) use self::step::{Step, StepKind};
use super::latest::{Latest, Said};

/// What is known of one task, put together from events that may come late, twice, out
/// of order, or not at all.
///
/// ```text
///  Pending --> Received --> Started --> Success
///                 ^            |------> Failure
///                 |            |------> Revoked
///                 +-- Retry <--+------> Rejected
/// ```
///
/// Events are merged, not replayed: the state is that of the event with the highest
/// [`Weight`], each other part that of the last event that spoke of it. So the outcome
/// is the same for every order of arrival, and a duplicate changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Task {
    pub(crate) id: Arc<str>,
    /// The place in the order in which tasks became known, from 1.
    pub(crate) number: u64,
    call: Latest<Call>,
    route: Latest<Route>,
    worker: Latest<Arc<str>>,
    sent: Option<f64>,
    received: Option<f64>,
    started: Option<f64>,
    standing: Option<(Weight, Standing)>,
    /// The last start and the last success whose figures were given out.
    figured: (Option<f64>, Option<f64>),
    steps: Steps,
    /// Whether the node that had it has it no more, and nobody knows how it ended. The
    /// state stays what was heard last: the broker delivers the task again unless it was
    /// acknowledged early, and then its events tell. They clear this.
    pub(crate) lost_with_node: bool,
}

/// What was called: from `task-sent` and `task-received`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Call {
    pub(crate) name: Option<Arc<str>>,
    /// The arguments as texts, as the sender put them.
    pub(crate) args: Option<String>,
    pub(crate) kwargs: Option<String>,
    pub(crate) root: Option<String>,
    pub(crate) parent: Option<String>,
    pub(crate) retries: u64,
    pub(crate) eta: Option<String>,
    pub(crate) expires: Option<String>,
}

/// Where it was sent: from `task-sent` only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Route {
    pub(crate) queue: Option<Arc<str>>,
    pub(crate) client: Arc<str>,
}

/// Where the task stands, all from one event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standing {
    pub(crate) state: State,
    pub(crate) result: Option<String>,
    pub(crate) exception: Option<String>,
    pub(crate) traceback: Option<String>,
    /// Seconds.
    pub(crate) runtime: Option<f64>,
}

/// How long a run of a task was waited for, and how long it took; in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Figures {
    /// See [`Task::queue_time`].
    pub(crate) queue_time: Option<f64>,
    /// Of a run that succeeded.
    pub(crate) runtime: Option<f64>,
}

/// What one event says of a task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fact {
    Sent(Call, Route),
    Received(Call),
    Started,
    Succeeded {
        result: Option<String>,
        runtime: Option<f64>,
    },
    Failed {
        exception: Option<String>,
        traceback: Option<String>,
    },
    Retried {
        exception: Option<String>,
        traceback: Option<String>,
    },
    Revoked {
        reason: &'static str,
    },
    Rejected,
    /// A state of the user's own.
    Custom(String),
}

/// Which of two events decides the state.
///
/// Ready states beat all others, and among them success beats failure beats revoked,
/// which is Celery's precedence. A client's word about sending is the weakest: its
/// clock says nothing about the workers'. In between the later event wins, so that a
/// retried task shows its second start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Weight {
    class: u8,
    /// A stored result says less than the event of the same outcome.
    event: bool,
    said: Said,
    /// Tells events of the very same moment apart.
    step: u8,
}

impl Task {
    pub(crate) fn new(id: Arc<str>, number: u64) -> Self {
        Self {
            id,
            number,
            call: Latest::default(),
            route: Latest::default(),
            worker: Latest::default(),
            sent: None,
            received: None,
            started: None,
            standing: None,
            figured: (None, None),
            steps: Steps::default(),
            lost_with_node: false,
        }
    }

    /// Merges one event in, or a stored result, which has no sender.
    pub(crate) fn merge(&mut self, said: Said, sender: &Arc<str>, mut fact: Fact) {
        let weight = Weight::of(&fact, said, !sender.is_empty());
        self.steps.hear(said.at, sender, &fact);
        let known = self.standing.as_ref().map(|(known, _)| *known);
        if known.is_none_or(|known| weight > known) {
            self.standing = Some((weight, Standing::take(&mut fact)));
            self.lost_with_node = false;
        }
        if !sender.is_empty() && !matches!(fact, Fact::Sent(..)) {
            self.worker.hear(said, Arc::clone(sender));
        }
        match fact {
            Fact::Sent(call, route) => {
                later(&mut self.sent, said.at);
                self.route.hear(said, route);
                // The worker knows better what it got than the client what it sent.
                if self.received.is_none() {
                    self.call.hear(said, call);
                }
            }
            Fact::Received(call) => {
                // Whatever a client said until now steps back.
                if self.received.is_none() {
                    self.call = Latest::default();
                }
                later(&mut self.received, said.at);
                self.call.hear(said, call);
            }
            Fact::Started => later(&mut self.started, said.at),
            _ => {}
        }
    }

    pub(crate) fn state(&self) -> &State {
        self.standing
            .as_ref()
            .map_or(&State::Pending, |(_, standing)| &standing.state)
    }

    /// Returns the word that decided the state.
    pub(crate) fn said(&self) -> Option<Said> {
        self.standing.as_ref().map(|(weight, _)| weight.said)
    }

    /// Tells whether a node is thought to have it.
    pub(crate) fn is_open_on(&self, node: &str) -> bool {
        let with_a_node = matches!(
            self.state(),
            State::Received | State::Started | State::Custom(_)
        );
        with_a_node && self.worker().is_some_and(|worker| **worker == *node)
    }

    pub(crate) fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref().map(|(_, standing)| standing)
    }

    /// Returns what decided the state.
    pub(crate) fn weight(&self) -> Option<Weight> {
        self.standing.as_ref().map(|(weight, _)| *weight)
    }

    /// Returns what happened, oldest first; the sending is not among it.
    pub(crate) fn steps(&self) -> &[Step] {
        self.steps.as_slice()
    }

    /// Returns when the call was told, and whether by who received it.
    pub(crate) fn call_said(&self) -> Option<(bool, Said)> {
        Some((self.received.is_some(), self.call.said()?))
    }

    pub(crate) fn route_said(&self) -> Option<Said> {
        self.route.said()
    }

    pub(crate) fn worker_said(&self) -> Option<Said> {
        self.worker.said()
    }

    pub(crate) fn call(&self) -> Option<&Call> {
        self.call.get()
    }

    pub(crate) fn route(&self) -> Option<&Route> {
        self.route.get()
    }

    /// Returns the node that spoke of it last.
    pub(crate) fn worker(&self) -> Option<&Arc<str>> {
        self.worker.get()
    }

    pub(crate) fn name(&self) -> Option<&Arc<str>> {
        self.call().and_then(|call| call.name.as_ref())
    }

    pub(crate) const fn sent_at(&self) -> Option<f64> {
        self.sent
    }

    pub(crate) const fn received_at(&self) -> Option<f64> {
        self.received
    }

    pub(crate) const fn started_at(&self) -> Option<f64> {
        self.started
    }

    /// Returns how long the task waited before it started last, in seconds: from its
    /// sending when that is known, else from its arrival at the node. A repetition, and
    /// a task that was told to start later, are counted from their arrival: before, they
    /// waited because they were to.
    pub(crate) fn queue_time(&self) -> Option<f64> {
        let call = self.call();
        let due_later = call.is_some_and(|call| call.retries > 0 || call.eta.is_some());
        let from = if due_later {
            self.received
        } else {
            self.sent.or(self.received)
        };
        // Clocks of two machines may differ by more than a short wait.
        Some((self.started? - from?).max(0.0))
    }

    /// Takes out the figures that became known since the last time: those of a run once,
    /// whatever order its events came in.
    pub(crate) fn figures(&mut self) -> Figures {
        // Times only grow, so a duplicate or a late event of an earlier run is not news.
        let (started, finished) = (self.started, self.finished_at());
        let waited = self.queue_time().filter(|_| started > self.figured.0);
        let ran = self.standing().and_then(|standing| standing.runtime);
        let ran = ran.filter(|_| finished > self.figured.1);
        self.figured.0 = waited.and(started).or(self.figured.0);
        self.figured.1 = ran.and(finished).or(self.figured.1);
        Figures {
            queue_time: waited,
            runtime: ran,
        }
    }

    /// Returns when the task became ready.
    pub(crate) fn finished_at(&self) -> Option<f64> {
        let (weight, standing) = self.standing.as_ref()?;
        standing.state.is_ready().then_some(weight.said.at)
    }

    /// Returns the Lamport clock of the event that decided the state.
    pub(crate) fn clock(&self) -> Option<u64> {
        self.standing.as_ref().map(|(weight, _)| weight.said.clock)
    }

    /// Returns when the event happened that decided the state.
    pub(crate) fn changed_at(&self) -> Option<f64> {
        let standing = self.standing.as_ref().map(|(weight, _)| weight.said.at);
        standing.or_else(|| self.call.said().map(|said| said.at))
    }
}

fn later(known: &mut Option<f64>, at: f64) {
    *known = Some(known.map_or(at, |known| known.max(at)));
}

impl Weight {
    /// Returns bytes that compare as weights do.
    pub(crate) fn key(&self) -> [u8; 19] {
        let mut key = [0; 19];
        key[0] = self.class;
        key[1] = self.event.into();
        key[2..18].copy_from_slice(&self.said.key());
        key[18] = self.step;
        key
    }

    /// Returns when it was said, in seconds since the epoch.
    pub(crate) const fn at(&self) -> f64 {
        self.said.at
    }

    fn of(fact: &Fact, said: Said, event: bool) -> Self {
        let (class, step) = match fact {
            Fact::Sent(..) => (0, 0),
            Fact::Retried { .. } => (1, 0),
            Fact::Rejected => (1, 1),
            Fact::Received(_) => (1, 2),
            Fact::Started => (1, 3),
            Fact::Custom(_) => (1, 4),
            Fact::Revoked { .. } => (2, 0),
            Fact::Failed { .. } => (3, 0),
            Fact::Succeeded { .. } => (4, 0),
        };
        Self {
            class,
            event,
            said,
            step,
        }
    }
}

impl Standing {
    /// Takes the texts out of the event, which are not needed twice.
    fn take(fact: &mut Fact) -> Self {
        let mut standing = Self {
            state: State::Pending,
            result: None,
            exception: None,
            traceback: None,
            runtime: None,
        };
        standing.state = match fact {
            Fact::Sent(..) => State::Pending,
            Fact::Received(_) => State::Received,
            Fact::Started => State::Started,
            Fact::Succeeded { result, runtime } => {
                standing.result = result.take();
                standing.runtime = *runtime;
                State::Success
            }
            Fact::Failed {
                exception,
                traceback,
            } => {
                standing.exception = exception.take();
                standing.traceback = traceback.take();
                State::Failure
            }
            Fact::Retried {
                exception,
                traceback,
            } => {
                standing.exception = exception.take();
                standing.traceback = traceback.take();
                State::Retry
            }
            Fact::Revoked { reason } => {
                standing.exception = Some((*reason).to_owned());
                State::Revoked
            }
            Fact::Rejected => State::Rejected,
            Fact::Custom(name) => State::Custom(std::mem::take(name)),
        };
        standing
    }
}

#[cfg(test)]
mod tests;
