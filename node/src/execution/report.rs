//! From an outcome to everything that is to be done about it: a pure function, and the
//! only place that maps an [`Outcome`].

mod failure;

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use celeriac::backend::Store;
use celeriac::broker::Publication;
use celeriac::protocol::event::EventKind;
use celeriac::protocol::letter::{Cause, Reason};
use celeriac::protocol::naming::defaults::REPR_MAX;
use celeriac::protocol::{
    Embed, Exception, Properties, ResultDocument, Signature, State, TaskHeaders, Value, repr,
};
use celeriac::task::TaskOptions;
use celeriac::{Error, Result};

use self::failure::{crashed, dead, deadly, ended, failure, no_process, unreadable};
use super::document::{addressed, ignores};
use super::outcome::{Again, Limit, Outcome, Revocation};
use super::replace::replacement;
use super::traceback;
use super::workflow::{Next, Planner, Step, child_of, on_success};

/// What is known of a run beside its outcome.
pub(crate) struct Facts<'a> {
    pub(crate) headers: &'a TaskHeaders,
    pub(crate) properties: &'a Properties,
    pub(crate) options: &'a TaskOptions,
    pub(crate) now: SystemTime,
    pub(crate) runtime: Duration,
    /// The tasks it sent while it ran.
    pub(crate) children: Vec<Value>,
    /// The backend keeps results.
    pub(crate) stores: bool,
    /// Its message was delivered before.
    pub(crate) redelivered: bool,
    /// Its message is acknowledged: nobody delivers it again.
    pub(crate) acknowledged: bool,
    /// The messages of tasks that failed are kept.
    pub(crate) keeps: bool,
    /// Somebody wants events.
    pub(crate) events: bool,
    pub(crate) plan: Planner<'a>,
    /// Makes the message of a next run.
    pub(crate) again: &'a dyn Fn(&Again) -> Result<Publication>,
}

/// Everything that is to be done about an outcome, in this order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Report {
    /// Published before the result is stored: a next run must not be lost.
    pub(crate) before: Option<Publication>,
    pub(crate) stores: Vec<Store>,
    pub(crate) steps: VecDeque<Step>,
    pub(crate) settle: Settle,
    pub(crate) events: Vec<EventKind>,
    pub(crate) tally: Tally,
}

impl Report {
    /// Returns the step that is to be done next, and its place.
    ///
    /// Calling errbacks may take long, and the end of a broken chord comes after those that
    /// are told of it: else a crash between them would leave nobody to tell. Nothing else
    /// waits for either.
    pub(crate) fn next_step(&self) -> Option<(usize, &Step)> {
        let last = |step: &Step| matches!(step, Step::Call { .. } | Step::BreakJoin(_));
        let mut steps = self.steps.iter().enumerate();
        steps
            .find(|(_, step)| !last(step))
            .or_else(|| Some((0, self.steps.front()?)))
    }

    /// Puts steps in the place of the one that was done.
    pub(crate) fn put_for(&mut self, at: usize, steps: VecDeque<Step>) {
        // Other members of a header that is broken have nothing left to be counted for.
        let broken: Vec<String> = steps.iter().filter_map(Step::breaks).cloned().collect();
        self.steps.remove(at);
        for (at, step) in (at..).zip(steps) {
            self.steps.insert(at, step);
        }
        if !broken.is_empty() {
            self.steps.retain(|step| match step {
                Step::Join { member, .. } => !broken.contains(&member.group),
                _ => true,
            });
        }
    }
}

/// How a message ends.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Settle {
    /// Its task is done.
    #[default]
    Done,
    /// It is with the broker again until then, as another message.
    Parked(SystemTime),
    /// It is with the broker as another message, for whoever takes it.
    Moved,
    /// Nobody runs it any more, because of this: it goes to the dead-letter queue.
    Dead(Box<Cause>),
    /// The broker drops it, or dead-letters it by itself.
    Reject,
    /// The broker delivers it again.
    GiveBack,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tally {
    Succeeded,
    Failed,
    Retried,
    Revoked,
    Rejected,
    Requeued,
    #[default]
    Nothing,
}

/// Maps an outcome.
pub(crate) fn report(outcome: Outcome, embed: Embed, facts: Facts<'_>) -> Report {
    let headers = facts.headers;
    match outcome {
        Outcome::Success(value) => success(value, embed, facts, true),
        Outcome::Stored(value) => success(value, embed, facts, false),
        Outcome::Retry(again) => retry(&again, embed, facts),
        Outcome::Replace(with) => replace(*with, embed, facts),
        Outcome::Failure { exception, causes } => {
            let text = traceback::text(&headers.task, &exception, &causes);
            failure(&exception, Some(text), embed, facts)
        }
        Outcome::TimedOut {
            limit: Limit::Soft, ..
        } => {
            let exception = Exception::soft_time_limit_exceeded();
            let text = traceback::text(&headers.task, &exception, &[]);
            failure(&exception, Some(text), embed, facts)
        }
        // Nothing of the task was there to be traced.
        Outcome::TimedOut {
            limit: Limit::Hard,
            after,
        } => failure(
            &Exception::time_limit_exceeded(after.as_secs_f64()),
            None,
            embed,
            facts,
        ),
        Outcome::Panicked { message } => {
            let exception = Exception::python("RuntimeError", format!("task panicked: {message}"));
            let text = traceback::text(&headers.task, &exception, &[]);
            failure(&exception, Some(text), embed, facts)
        }
        Outcome::Unknown => {
            let exception = Exception::not_registered(&headers.task);
            let text = format!("unknown task {}", headers.task);
            Report {
                settle: dead(Reason::UnknownTask, text, &exception),
                ..failure(&exception, None, embed, facts)
            }
        }
        Outcome::Unreadable(error) => unreadable(&error, embed, facts),
        Outcome::Reject {
            reason, requeue, ..
        } if !requeue || facts.acknowledged => {
            let exception = Exception::reject(reason.as_str(), false);
            let uuid = headers.id.clone();
            let mut report = failure(&exception, None, embed, facts);
            report.events.push(EventKind::TaskRejected {
                uuid,
                requeue: false,
            });
            Report {
                settle: dead(Reason::Rejected, reason, &exception),
                tally: Tally::Rejected,
                ..report
            }
        }
        Outcome::Reject { .. } => Report {
            settle: Settle::GiveBack,
            events: vec![EventKind::TaskRejected {
                uuid: headers.id.clone(),
                requeue: true,
            }],
            tally: Tally::Requeued,
            ..Report::default()
        },
        Outcome::Ignore => Report::default(),
        Outcome::Revoked(why) => {
            let exception = Exception::task_revoked(why.as_str());
            let signum = match why {
                Revocation::Terminated(signal) => Some(signal.number().into()),
                Revocation::Revoked | Revocation::Expired => None,
            };
            let event = EventKind::TaskRevoked {
                uuid: headers.id.clone(),
                terminated: signum.is_some(),
                signum,
                expired: why == Revocation::Expired,
            };
            let report = ended(&State::Revoked, &exception, None, embed, facts);
            Report {
                events: vec![event],
                tally: Tally::Revoked,
                ..report
            }
        }
        Outcome::Crashed { cause } => crashed(cause, embed, facts),
        Outcome::NoProcess { reason } => no_process(&reason, embed, facts),
        Outcome::Deadly { cause } => deadly(cause, embed, facts),
        Outcome::Lost if facts.acknowledged => {
            let exception = Exception::worker_lost("node ended before the task did");
            failure(&exception, None, embed, facts)
        }
        Outcome::Lost => Report {
            settle: Settle::GiveBack,
            ..Report::default()
        },
    }
}

fn success(value: Value, embed: Embed, facts: Facts<'_>, store: bool) -> Report {
    let headers = facts.headers;
    let next = match embed.is_empty() {
        true => Next::default(),
        false => match on_success(&value, embed.clone(), headers, facts.plan) {
            Ok(next) => next,
            Err(error) => {
                let exception = Exception::invalid_task(&format!("what follows the task: {error}"));
                let text = traceback::text(&headers.task, &exception, &[]);
                return failure(&exception, Some(text), embed, facts);
            }
        },
    };
    let mut events = Vec::new();
    if facts.events {
        events.push(EventKind::TaskSucceeded {
            uuid: headers.id.clone(),
            result: repr::value(&value, REPR_MAX),
            runtime: facts.runtime.as_secs_f64(),
        });
    }
    let mut stores = Vec::new();
    if store && facts.stores && !ignores(headers, facts.options) {
        let mut children = facts.children;
        children.extend(next.children);
        let document = ResultDocument::success(headers.id.clone(), value, facts.now);
        let document = ResultDocument {
            children: Some(children),
            ..document
        };
        stores.push(addressed(document, headers, facts.properties));
    }
    let tally = if store {
        Tally::Succeeded
    } else {
        Tally::Nothing
    };
    Report {
        stores,
        steps: next.steps,
        events,
        tally,
        ..Report::default()
    }
}

fn retry(again: &Again, embed: Embed, facts: Facts<'_>) -> Report {
    let headers = facts.headers;
    let before = match (facts.again)(again) {
        Ok(publication) => publication,
        Err(error) => {
            let exception = Exception::encode_error(&format!("message of the next try: {error}"));
            return failure(&exception, None, embed, facts);
        }
    };
    let text = again
        .exception
        .as_ref()
        .map(|e| traceback::text(&headers.task, e, &again.causes));
    let mut report = Report {
        before: Some(before),
        tally: Tally::Retried,
        ..Report::default()
    };
    if facts.events {
        report.events.push(EventKind::TaskRetried {
            uuid: headers.id.clone(),
            exception: again
                .exception
                .as_ref()
                .map_or_else(|| "None".to_owned(), Exception::repr),
            traceback: text.clone(),
        });
    }
    if facts.stores && !ignores(headers, facts.options) {
        let document = ResultDocument::retry(headers.id.clone(), again.exception.clone(), text);
        // The next try counts as a child.
        let itself = Value::Array(vec![headers.id.as_str().into(), Value::Null]);
        let children = Some(vec![Value::Array(vec![itself, Value::Null])]);
        let document = ResultDocument {
            children,
            ..document
        };
        report
            .stores
            .push(addressed(document, headers, facts.properties));
    }
    report
}

/// Sends what runs in the task's place; the task's result is that one's.
fn replace(with: Signature, embed: Embed, facts: Facts<'_>) -> Report {
    let headers = facts.headers;
    let planned =
        replacement(with, embed.clone(), headers, facts.properties).and_then(|(with, rest)| {
            (facts.plan)(with, rest).map_err(|error| match error {
                Error::Encode(error) => Exception::encode_error(&error.to_string()),
                error => Exception::invalid_task(&format!("what replaces the task: {error}")),
            })
        });
    match planned {
        Ok(plan) => Report {
            steps: [Step::Send {
                plan,
                lineage: child_of(headers),
            }]
            .into(),
            ..Report::default()
        },
        Err(exception) => {
            let text = traceback::text(&headers.task, &exception, &[]);
            failure(&exception, Some(text), embed, facts)
        }
    }
}

#[cfg(test)]
mod tests;
