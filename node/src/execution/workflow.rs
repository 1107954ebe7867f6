//! What a task's end sets going: a pure function.
//!
//! Results are stored before anything here is sent, and the message is acknowledged
//! after, so a crash repeats a step and never loses one.

mod failure;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use celeriac::Result;
use celeriac::backend::{Claim, Joined, Member, Store};
use celeriac::canvas::{Kind, Plan, group, with_previous};
use celeriac::producer::Lineage;
use celeriac::protocol::{Embed, Exception, Signature, State, TaskHeaders, Value};
use celeriac::task::Failure;
use celeriac::trace::TraceContext;

pub(crate) use self::failure::{Broken, Cause, on_chord_error, on_failure, on_telling, on_unsent};

/// Plans a workflow: the signature, and what follows it in its chain.
pub(crate) type Planner<'a> = &'a dyn Fn(Signature, Option<Vec<Signature>>) -> Result<Plan>;

/// Something to be done after the result is stored. Doing it twice is harmless, or at
/// least no worse than at-least-once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Send a workflow.
    Send { plan: Plan, lineage: Lineage },
    /// Tell errbacks of a failure: those that this node has by itself, others by message.
    Tell {
        plan: Plan,
        lineage: Lineage,
        failure: Box<Failure>,
    },
    /// Call errbacks of this node.
    Call {
        errbacks: Vec<Signature>,
        failure: Box<Failure>,
        trace: Option<Arc<TraceContext>>,
    },
    /// Count a member of a chord's header.
    Join {
        member: Box<Member>,
        body: Box<Signature>,
        lineage: Lineage,
    },
    /// Send a chord's body, for as long as the claim to it is held, and say so.
    SendBody {
        claim: Claim,
        plan: Plan,
        lineage: Lineage,
    },
    /// Say that the chord's body was sent.
    EndJoin(String),
    /// Say that the chord's body will never be sent.
    BreakJoin(String),
}

impl Step {
    /// Returns the trace that it continues.
    pub(crate) fn continues(&self) -> Option<Arc<TraceContext>> {
        match self {
            Self::Send { lineage, .. }
            | Self::Tell { lineage, .. }
            | Self::Join { lineage, .. }
            | Self::SendBody { lineage, .. } => lineage.trace.clone(),
            Self::Call { trace, .. } => trace.clone(),
            Self::EndJoin(_) | Self::BreakJoin(_) => None,
        }
    }

    /// Returns where it says which trace it continues.
    fn trace(&mut self) -> Option<&mut Option<Arc<TraceContext>>> {
        match self {
            Self::Send { lineage, .. }
            | Self::Tell { lineage, .. }
            | Self::Join { lineage, .. }
            | Self::SendBody { lineage, .. } => Some(&mut lineage.trace),
            Self::Call { trace, .. } => Some(trace),
            Self::EndJoin(_) | Self::BreakJoin(_) => None,
        }
    }

    /// Lets steps that are in no trace continue that of what set them going.
    pub(crate) fn carry_on(steps: &mut VecDeque<Self>, trace: Option<Arc<TraceContext>>) {
        let Some(trace) = trace else { return };
        for own in steps.iter_mut().filter_map(Self::trace) {
            own.get_or_insert_with(|| Arc::clone(&trace));
        }
    }

    /// Returns the chord that it ends because its body will never be sent.
    pub(crate) const fn breaks(&self) -> Option<&String> {
        match self {
            Self::BreakJoin(group) => Some(group),
            _ => None,
        }
    }
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

impl Next {
    fn append(&mut self, other: Self) {
        self.steps.extend(other.steps);
        self.stores.extend(other.stores);
        self.children.extend(other.children);
    }
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
        next.children.push(plan.result.first().into());
        next.steps.push_back(Step::Send {
            plan,
            lineage: child_of(headers),
        });
        Ok(())
    };
    let callbacks = embed.callbacks.unwrap_or_default();
    // Two or more travel as a group, with an id of their own; groups keep theirs.
    let alone = callbacks.len() == 1;
    let (alone, together): (Vec<_>, Vec<_>) = callbacks
        .into_iter()
        .map(|callback| with_previous(callback, value.clone()))
        .partition(|callback| alone || Kind::of(callback) == Kind::Group);
    for callback in alone {
        send(callback, None)?;
    }
    if !together.is_empty() {
        send(group(together), None)?;
    }
    // The chain is a stack: what comes next lies on top.
    if let Some(mut rest) = embed.chain
        && let Some(step) = rest.pop()
    {
        send(with_previous(step, value.clone()), Some(rest))?;
    }
    if let Some(body) = embed.chord {
        let body = stamped(*body, headers);
        next.steps
            .push_back(join(headers, body, State::Success, value.clone()));
    }
    Ok(next)
}

/// Plans what follows a chord's header, all of whose members have ended; `claim` is that
/// of the one who counted last, if its members were counted.
pub(crate) fn on_joined(
    group_id: &str,
    claim: Option<Claim>,
    joined: Vec<Joined>,
    body: &Signature,
    lineage: &Lineage,
    now: SystemTime,
    plan: Planner<'_>,
) -> Next {
    let failed = joined.iter().find(|member| member.state != State::Success);
    let broken = match failed {
        Some(member) => Broken::by(&member.task_id, &member.result),
        None => {
            let results = joined.into_iter().map(|member| member.result);
            let mut call = with_previous(body.clone(), results.collect::<Vec<_>>().into());
            let rest = body.chain();
            call.options.remove("chain");
            match plan(call, rest) {
                Ok(plan) => {
                    let lineage = lineage.clone();
                    let send = match claim {
                        Some(claim) => Step::SendBody {
                            claim,
                            plan,
                            lineage,
                        },
                        None => Step::Send { plan, lineage },
                    };
                    return Next {
                        steps: [send].into(),
                        ..Next::default()
                    };
                }
                Err(error) => Exception::chord_error(&format!("Callback error: {error}")).into(),
            }
        }
    };
    on_broken(group_id, &broken, body, lineage, now, plan)
}

/// Plans the end of a chord whose header was counted and whose body cannot run: nobody
/// shall count it again.
pub(crate) fn on_broken(
    group_id: &str,
    broken: &Broken,
    body: &Signature,
    lineage: &Lineage,
    now: SystemTime,
    plan: Planner<'_>,
) -> Next {
    let mut next = on_chord_error(broken, body, lineage, now, plan);
    next.steps.push_back(Step::BreakJoin(group_id.to_owned()));
    next
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
        // Headers do not say in which span the task runs: see `Step::carry_on`.
        trace: None,
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
