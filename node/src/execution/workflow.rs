//! What a task's end sets going: a pure function.
//!
//! Results are stored before anything here is sent, and the message is acknowledged
//! after, so a crash repeats a step and never loses one.

use std::collections::VecDeque;
use std::time::SystemTime;

use celeriac::Result;
use celeriac::backend::{Joined, Member, Store};
use celeriac::canvas::plan::Send;
use celeriac::canvas::{Kind, Plan, group, with_previous};
use celeriac::producer::Lineage;
use celeriac::protocol::{
    Embed, Exception, ResultDocument, Signature, State, TaskHeaders, Timestamp, Value,
};

/// Plans a workflow: the signature, and what follows it in its chain.
pub(crate) type Planner<'a> = &'a dyn Fn(Signature, Option<Vec<Signature>>) -> Result<Plan>;

/// Something to be done after the result is stored. Doing it twice is harmless, or at
/// least no worse than at-least-once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Send a workflow.
    Send { plan: Plan, lineage: Lineage },
    /// Count a member of a chord's header.
    Join {
        member: Box<Member>,
        body: Box<Signature>,
        lineage: Lineage,
    },
    /// Say that the chord's body was sent.
    EndJoin(String),
}

/// What a task's end sets going.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Next {
    pub(crate) steps: VecDeque<Step>,
    /// Results of tasks that will never run.
    pub(crate) stores: Vec<Store>,
    /// The tasks that will be sent, as result tuples.
    pub(crate) children: Vec<Value>,
}

/// Plans what follows a success.
///
/// # Errors
///
/// When a callback or chain step is not well formed.
pub(crate) fn on_success(
    value: &Value,
    embed: Embed,
    headers: &TaskHeaders,
    plan: Planner<'_>,
) -> Result<Next> {
    let mut next = Next::default();
    let mut send = |signature: Signature, rest| -> Result<()> {
        let plan = plan(stamped(signature, headers), rest)?;
        // What came before it is known to who reads this.
        next.children.push(plan.result.without_parents().into());
        next.steps.push_back(Step::Send {
            plan,
            lineage: child_of(headers),
        });
        Ok(())
    };
    let mut callbacks = embed.callbacks.unwrap_or_default();
    match callbacks.len() {
        0 => {}
        1 => {
            for callback in callbacks.drain(..) {
                send(with_previous(callback, value.clone()), None)?;
            }
        }
        // Two or more travel as a group, with an id of their own.
        _ => {
            let members = callbacks
                .into_iter()
                .map(|one| with_previous(one, value.clone()));
            send(group(members), None)?;
        }
    }
    // The chain is a stack: what comes next lies on top.
    if let Some(mut rest) = embed.chain
        && let Some(step) = rest.pop()
    {
        send(with_previous(step, value.clone()), Some(rest))?;
    }
    if let Some(body) = embed.chord {
        next.steps
            .push_back(join(headers, *body, State::Success, value.clone()));
    }
    Ok(next)
}

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
pub(crate) fn on_failure(
    cause: Cause<'_>,
    embed: Embed,
    headers: &TaskHeaders,
    plan: Planner<'_>,
) -> Next {
    let mut next = Next::default();
    for step in embed.chain.into_iter().flatten() {
        abandon(&step, cause, headers, &mut next, 0);
    }
    if let Some(body) = embed.chord {
        // A chord waits for all of its header and fails then.
        let result = cause.exception.to_value();
        next.steps
            .push_back(join(headers, *body, State::Failure, result));
    }
    errbacks(
        embed.errbacks.unwrap_or_default(),
        &headers.id,
        headers,
        plan,
        &mut next,
    );
    next
}

/// Plans what follows a chord's header, all of whose members have ended.
pub(crate) fn on_joined(
    group_id: &str,
    joined: Vec<Joined>,
    mut body: Signature,
    lineage: &Lineage,
    now: SystemTime,
    plan: Planner<'_>,
) -> Next {
    let end = Step::EndJoin(group_id.to_owned());
    let failed = joined.iter().find(|member| member.state != State::Success);
    let why = match failed {
        Some(member) => {
            let exception = Exception::from_value(&member.result).unwrap_or_default();
            Exception::chord_dependency(&member.task_id, &exception)
        }
        None => {
            let results = joined
                .into_iter()
                .map(|member| member.result)
                .collect::<Vec<_>>();
            let rest = body.chain();
            body.options.remove("chain");
            let kept = body.clone();
            match plan(with_previous(body, Value::Array(results)), rest) {
                Ok(plan) => {
                    let send = Step::Send {
                        plan,
                        lineage: lineage.clone(),
                    };
                    return Next {
                        steps: [send, end].into(),
                        ..Next::default()
                    };
                }
                Err(error) => {
                    body = kept;
                    Exception::chord_error(&error.to_string())
                }
            }
        }
    };
    let mut next = on_chord_error(&why, body, lineage, now, plan);
    next.steps.push_back(end);
    next
}

/// Plans the end of a chord whose body cannot run.
pub(crate) fn on_chord_error(
    why: &Exception,
    body: Signature,
    lineage: &Lineage,
    now: SystemTime,
    plan: Planner<'_>,
) -> Next {
    // The body never was a message; these are the headers it would have had.
    let headers = TaskHeaders {
        task: body.task.clone(),
        id: body.task_id().unwrap_or_default().to_owned(),
        root_id: lineage.root_id.clone(),
        parent_id: lineage.parent_id.clone(),
        ..TaskHeaders::default()
    };
    let cause = Cause {
        state: &State::Failure,
        exception: why,
        traceback: None,
        now,
        reply_to: None,
    };
    let mut next = Next::default();
    abandon(&body, cause, &headers, &mut next, 0);
    errbacks(
        body.link_error().unwrap_or_default(),
        &headers.id,
        &headers,
        plan,
        &mut next,
    );
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
    let headers = TaskHeaders {
        task: signature.task.clone(),
        id: signature.task_id().unwrap_or_default().to_owned(),
        group: signature.group_id().map(str::to_owned),
        group_index: signature.group_index(),
        root_id: lineage.root_id.clone(),
        parent_id: lineage.parent_id.clone(),
        ..TaskHeaders::default()
    };
    let cause = Cause {
        state: &State::Failure,
        exception: why,
        traceback: None,
        now,
        reply_to: signature.reply_to(),
    };
    let mut own = Next::default();
    abandon(&signature, cause, &headers, &mut own, 0);
    let rest = on_failure(cause, embed, &headers, plan);
    own.steps.extend(rest.steps);
    own.stores.extend(rest.stores);
    own
}

/// Workflows deeper than this are cut here, as the planner refuses them.
const MAX_DEPTH: usize = 64;

/// Ends a step that will never run, with all that is inside it and behind it.
fn abandon(
    step: &Signature,
    cause: Cause<'_>,
    headers: &TaskHeaders,
    next: &mut Next,
    depth: usize,
) {
    if depth > MAX_DEPTH {
        return;
    }
    if let Some(id) = step.task_id().filter(|_| Kind::of(step) == Kind::Task) {
        next.stores.push(Store {
            document: ResultDocument {
                traceback: cause.traceback.map(str::to_owned),
                date_done: Some(Timestamp::from(cause.now)),
                group_id: step.group_id().map(str::to_owned),
                ..ResultDocument::new(id, cause.state.clone(), cause.exception.to_value())
            },
            reply_to: step.reply_to().or(cause.reply_to).map(str::to_owned),
            correlation_id: Some(id.to_owned()),
        });
    }
    let inside = ["tasks", "header", "body"]
        .iter()
        .filter_map(|key| step.kwargs.get(key));
    let listed = inside.flat_map(|value| match value {
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    });
    for inner in listed.filter_map(|value| Signature::from_value(value).ok()) {
        abandon(&inner, cause, headers, next, depth + 1);
    }
    for later in step.chain().into_iter().flatten() {
        abandon(&later, cause, headers, next, depth + 1);
    }
    if let (Some(body), Some(id)) = (step.chord(), step.task_id()) {
        let member = TaskHeaders {
            id: id.to_owned(),
            group: step.group_id().map(str::to_owned),
            group_index: step.group_index(),
            root_id: Some(headers.root().to_owned()),
            ..TaskHeaders::default()
        };
        next.steps.push_back(join(
            &member,
            body,
            State::Failure,
            cause.exception.to_value(),
        ));
    }
}

/// Errbacks are told the failed task's id, and travel as a group, as from a Python worker
/// that does not have their tasks.
fn errbacks(
    errbacks: Vec<Signature>,
    failed: &str,
    headers: &TaskHeaders,
    plan: Planner<'_>,
    next: &mut Next,
) {
    if errbacks.is_empty() {
        return;
    }
    let told = errbacks
        .into_iter()
        .map(|one| with_previous(stamped(one, headers), failed.into()));
    match plan(group(told), None) {
        Ok(plan) => next.steps.push_back(Step::Send {
            plan,
            lineage: child_of(headers),
        }),
        // The task has failed already; there is nobody else to tell.
        Err(error) => {
            tracing::error!(task_id = failed, %error, "errback cannot be sent");
        }
    }
}

fn join(headers: &TaskHeaders, body: Signature, state: State, result: Value) -> Step {
    let member = Member {
        group: headers.group.clone().unwrap_or_default(),
        index: headers.group_index,
        task_id: headers.id.clone(),
        state,
        result,
    };
    Step::Join {
        member: Box::new(member),
        body: Box::new(body),
        lineage: child_of(headers),
    }
}

pub(super) fn child_of(headers: &TaskHeaders) -> Lineage {
    Lineage {
        root_id: Some(headers.root().to_owned()),
        parent_id: Some(headers.id.clone()),
    }
}

/// Hands the stamps of a task on to what it sets going.
pub(super) fn stamped(mut signature: Signature, headers: &TaskHeaders) -> Signature {
    let Some(names) = headers
        .stamped_headers
        .as_ref()
        .filter(|names| !names.is_empty())
    else {
        return signature;
    };
    let own = signature.stamped_headers().unwrap_or_default();
    let mut all: Vec<String> = own.into_iter().map(str::to_owned).collect();
    for name in names {
        if !all.contains(name) {
            all.push(name.clone());
            if let Some(value) = headers.stamps.get(name) {
                signature.options.insert(name.as_str(), value.clone());
            }
        }
    }
    let all = all.into_iter().map(Value::Str).collect::<Vec<_>>();
    signature.options.insert("stamped_headers", all);
    signature
}

#[cfg(test)]
mod tests;
