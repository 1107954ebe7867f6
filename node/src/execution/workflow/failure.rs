//! What a bad end sets going: a pure function.
//!
//! Whoever waits for a result that will never come is told: the rest of the chain, the
//! chord around it, the chords around that, and the error callbacks.

mod chord;

use std::time::SystemTime;

use celeriac::backend::Store;
use celeriac::canvas::plan::Send;
use celeriac::canvas::{Kind, Plan, group, with_previous};
use celeriac::producer::Lineage;
use celeriac::protocol::Embed;
use celeriac::protocol::{
    Exception, ResultDocument, Signature, State, TaskHeaders, Timestamp, Value,
};
use celeriac::task::Failure;

use self::chord::TOLD;
pub(crate) use self::chord::{Broken, on_chord_error};
use super::{Next, Planner, Step, child_of, join, stamped};

/// How a task ended badly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cause<'a> {
    /// FAILURE or REVOKED.
    pub(crate) state: &'a State,
    pub(crate) exception: &'a Exception,
    pub(crate) traceback: Option<&'a str>,
    pub(crate) now: SystemTime,
    /// Where results go when a step does not say so.
    pub(crate) reply_to: Option<&'a str>,
}

/// Plans what follows a failure: errbacks, and the end of all that waited for a result.
///
/// A task that was called off has not failed: as from Celery, its own errbacks hear
/// nothing of it, and those of a chord that it breaks do.
pub(crate) fn on_failure(
    cause: Cause<'_>,
    embed: Embed,
    headers: &TaskHeaders,
    plan: Planner<'_>,
) -> Next {
    let mut end = End::new(cause, headers, &[]);
    end.rest(embed.chain.unwrap_or_default(), true, 0);
    let mut next = end.next;
    if let Some(body) = embed.chord {
        // A chord waits for all of its header and fails then.
        let result = cause.exception.to_value();
        next.steps
            .push_back(join(headers, *body, cause.state.clone(), result));
    }
    if *cause.state != State::Revoked {
        let errbacks = embed.errbacks.unwrap_or_default();
        tell(errbacks, cause, headers, plan, &mut next);
    }
    next
}

/// Plans the end of a task that could not be sent: what follows it follows its failure.
pub(crate) fn on_unsent(
    send: Send,
    why: &Exception,
    lineage: &Lineage,
    now: SystemTime,
    plan: Planner<'_>,
) -> Next {
    let Send { signature, embed } = send;
    let headers = headers_of(&signature, lineage);
    let cause = Cause {
        state: &State::Failure,
        exception: why,
        traceback: None,
        now,
        reply_to: signature.reply_to(),
    };
    let mut end = End::new(cause, &headers, &[]);
    end.step(&signature, true, 0);
    let mut own = end.next;
    own.append(on_failure(cause, embed, &headers, plan));
    own
}

fn headers_of(signature: &Signature, lineage: &Lineage) -> TaskHeaders {
    TaskHeaders {
        task: signature.task.clone(),
        id: result_id(signature),
        group: signature.group_id().map(str::to_owned),
        group_index: signature.group_index(),
        root_id: lineage.root_id.clone(),
        parent_id: lineage.parent_id.clone(),
        ..TaskHeaders::default()
    }
}

/// Workflows deeper than this are cut here, as the planner refuses them.
const MAX_DEPTH: usize = 64;

/// The end of steps that will never run.
struct End<'a> {
    cause: Cause<'a>,
    root: &'a str,
    told: &'a [Value],
    /// The header of the chord that comes first has ended already.
    header_ended: bool,
    next: Next,
}

impl<'a> End<'a> {
    fn new(cause: Cause<'a>, headers: &'a TaskHeaders, told: &'a [Value]) -> Self {
        Self {
            cause,
            root: headers.root(),
            told,
            header_ended: false,
            next: Next::default(),
        }
    }

    /// Ends the rest of a chain, in its reversed order.
    fn rest(&mut self, steps: Vec<Signature>, counts: bool, depth: usize) {
        for step in steps {
            self.step(&step, counts, depth);
        }
    }

    /// Ends a step with all that is inside it and behind it. What is in the header of a
    /// chord that has not begun does not count there: nobody waits for the header.
    fn step(&mut self, step: &Signature, counts: bool, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match Kind::of(step) {
            Kind::Task => self.task(step, counts),
            Kind::Chain => {
                let steps = inside(step, "tasks");
                let last = steps.len().saturating_sub(1);
                for (at, inner) in steps.iter().enumerate() {
                    let header = at < last && Kind::of(inner) == Kind::Group;
                    self.step(inner, counts && !header, depth + 1);
                }
            }
            Kind::Group => self.rest(inside(step, "tasks"), counts, depth + 1),
            Kind::Chord => {
                if !std::mem::take(&mut self.header_ended) {
                    self.rest(inside(step, "header"), false, depth + 1);
                }
                self.rest(inside(step, "body"), counts, depth + 1);
            }
        }
        self.rest(step.chain().unwrap_or_default(), counts, depth + 1);
    }

    fn task(&mut self, task: &Signature, counts: bool) {
        let Some(id) = task.task_id() else { return };
        let cause = self.cause;
        if task.ignore_result() != Some(true) {
            self.next.stores.push(Store {
                document: ResultDocument {
                    traceback: cause.traceback.map(str::to_owned),
                    date_done: Some(Timestamp::from(cause.now)),
                    group_id: task.group_id().map(str::to_owned),
                    ..ResultDocument::new(id, cause.state.clone(), cause.exception.to_value())
                },
                reply_to: task.reply_to().or(cause.reply_to).map(str::to_owned),
                correlation_id: Some(id.to_owned()),
            });
        }
        let Some(body) = task.chord().filter(|_| counts) else {
            return;
        };
        let member = TaskHeaders {
            id: id.to_owned(),
            group: task.group_id().map(str::to_owned),
            group_index: task.group_index(),
            root_id: Some(self.root.to_owned()),
            ..TaskHeaders::default()
        };
        let mut result = cause.exception.to_value();
        if let (Value::Map(fields), false) = (&mut result, self.told.is_empty()) {
            fields.insert(TOLD, self.told.to_vec());
        }
        let step = join(&member, body, cause.state.clone(), result);
        self.next.steps.push_back(step);
    }
}

/// Returns the signatures that a canvas holds under `key`.
fn inside(canvas: &Signature, key: &str) -> Vec<Signature> {
    let one = |value: &Value| Signature::from_value(value.clone()).ok();
    let list = match canvas.kwargs.get(key) {
        Some(Value::Array(items)) => items.iter().filter_map(one).collect(),
        Some(value) => one(value).into_iter().collect(),
        None => Vec::new(),
    };
    // A header may be a group of its own.
    match list.as_slice() {
        [only] if key == "header" && Kind::of(only) == Kind::Group => inside(only, "tasks"),
        _ => list,
    }
}

/// Returns the id whose result is the whole's; empty when it has none.
fn result_id(signature: &Signature) -> String {
    let last = match Kind::of(signature) {
        Kind::Task | Kind::Group => None,
        Kind::Chain => inside(signature, "tasks").pop().map(alone),
        Kind::Chord => inside(signature, "body").pop(),
    };
    match last {
        Some(last) => result_id(&last),
        None => signature.task_id().unwrap_or_default().to_owned(),
    }
}

/// In a chain a group of one is its member.
fn alone(mut step: Signature) -> Signature {
    while Kind::of(&step) == Kind::Group
        && let Ok([member]) = <[_; 1]>::try_from(inside(&step, "tasks"))
    {
        step = member;
    }
    step
}

/// Returns the error callbacks that hear of it when the whole never starts: its own, and
/// those of a chord's body, which speaks for the chord.
fn errbacks_of(signature: &Signature) -> Vec<Signature> {
    let mut all = signature.link_error().unwrap_or_default();
    if Kind::of(signature) == Kind::Chord {
        let body = inside(signature, "body");
        all.extend(body.iter().flat_map(errbacks_of));
    }
    all
}

/// Errbacks are told the failed task's id, and travel as a group, as from a Python worker
/// that does not have their tasks. Returns the group's result.
fn tell(
    errbacks: Vec<Signature>,
    cause: Cause<'_>,
    headers: &TaskHeaders,
    plan: Planner<'_>,
    next: &mut Next,
) -> Option<Value> {
    if errbacks.is_empty() {
        return None;
    }
    let failed = headers.id.as_str();
    let told = errbacks
        .into_iter()
        .map(|one| with_previous(stamped(one, headers), failed.into()));
    let told: Vec<_> = told.collect();
    let plan = plan(group(told.iter().cloned()), None)
        .or_else(|_| plan(group(well_formed(told, failed, plan)), None))
        .ok()
        .filter(|plan| !plan.sends.is_empty())?;
    let result = plan.result.without_parents().into();
    let failure = Failure::new(failed)
        .of_task(&*headers.task, Some(headers.root().to_owned()))
        .because(cause.exception.clone(), cause.traceback.map(str::to_owned));
    next.steps.push_back(Step::Tell {
        plan,
        lineage: child_of(headers),
        failure: Box::new(failure),
    });
    Some(result)
}

/// Leaves out errbacks that are malformed: the task has failed already, there is nobody
/// else to tell.
fn well_formed(errbacks: Vec<Signature>, failed: &str, plan: Planner<'_>) -> Vec<Signature> {
    let good = |one: &Signature| match plan(one.clone(), None) {
        Ok(_) => true,
        Err(error) => {
            let task = one.task.as_str();
            tracing::error!(task_id = failed, task, %error, "errback cannot be sent");
            false
        }
    };
    errbacks.into_iter().filter(good).collect()
}

/// Parts what tells errbacks: `here` says which of them this node calls by itself, with
/// all that is known in place of the id. What something follows is sent: a call ends here.
pub(crate) fn on_telling(
    mut plan: Plan,
    lineage: &Lineage,
    failure: &Failure,
    here: impl Fn(&Signature) -> bool,
) -> Next {
    let mut next = Next::default();
    let alone = |send: &mut Send| send.embed.is_empty() && here(&send.signature);
    let called = plan.sends.extract_if(.., alone);
    let called = called.map(|Send { mut signature, .. }| {
        // The id, which came first.
        signature.args = signature.args.split_off(1.min(signature.args.len()));
        signature
    });
    let errbacks: Vec<_> = called.collect();
    if !errbacks.is_empty() {
        next.steps.push_back(Step::Call {
            errbacks,
            failure: Box::new(failure.clone()),
            trace: lineage.trace.clone(),
        });
    }
    if !plan.sends.is_empty() {
        let lineage = lineage.clone();
        next.steps.push_back(Step::Send { plan, lineage });
    }
    next
}
