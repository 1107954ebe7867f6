//! Sends what follows tasks.
#![allow(clippy::vec_box, reason = "parcels come boxed")]

use std::sync::Arc;

use celeriac::canvas::Plan;
use celeriac::canvas::plan::Send;
use celeriac::producer::Lineage;
use celeriac::protocol::{Exception, Signature};
use celeriac::{Error, Result, clock};
use futures_util::future::join_all;
use tokio::sync::OwnedSemaphorePermit;

use super::{Due, Parcel, passes};
use crate::execution::errback;
use crate::execution::report::Report;
use crate::execution::workflow::{self, Next, Step};
use crate::shared::Shared;

/// Sends what is due, of all parcels side by side.
pub(super) async fn follow(shared: &Shared, batch: &mut [Box<Parcel>]) {
    let due = batch.iter_mut().filter(|parcel| parcel.is(Due::Follow));
    let done = due.map(|parcel| async move {
        if let Err(error) = perform(shared, &mut parcel.report).await {
            parcel.wait(error);
        }
    });
    join_all(done).await;
}

/// Does the steps of one report in order, until one has to wait, or there are results to
/// be stored before the next one.
pub(super) async fn perform(shared: &Shared, report: &mut Report) -> Result<()> {
    while let Some((at, step)) = report.next_step() {
        if matches!(step, Step::Call { .. }) {
            return Ok(());
        }
        let (trace, mut next) = (step.continues(), act(shared, step).await?);
        Step::carry_on(&mut next.steps, trace);
        report.put_for(at, next.steps);
        if shared.app.backend().capabilities().stores && !next.stores.is_empty() {
            report.stores.extend(next.stores);
            return Ok(());
        }
    }
    Ok(())
}

/// Does one step and returns what takes its place.
async fn act(shared: &Shared, step: &Step) -> Result<Next> {
    let app = &shared.app;
    let plan = |signature, rest| app.plan(signature, rest);
    match step {
        Step::Send {
            plan: workflow,
            lineage,
        } => send(shared, workflow, lineage).await,
        Step::SendBody {
            claim,
            plan: workflow,
            lineage,
        } => match app.backend().hold_join(claim).await {
            Ok(false) => {
                let group = claim.group.as_str();
                tracing::warn!(group, "another worker sends the body of a chord");
                Ok(Next::default())
            }
            Err(error) if !is_final(&error) => Err(error),
            _ => {
                let mut next = send(shared, workflow, lineage).await?;
                next.steps.push_back(Step::EndJoin(claim.group.clone()));
                Ok(next)
            }
        },
        Step::Tell {
            plan: telling,
            lineage,
            failure,
        } => {
            let here = |one: &Signature| errback::handler(one, &shared.tasks).is_some();
            Ok(workflow::on_telling(
                telling.clone(),
                lineage,
                failure,
                here,
            ))
        }
        // These are no messages; who delivers does not wait for them.
        Step::Call { .. } => Ok(Next::default()),
        Step::EndJoin(group) => match app.backend().end_join(group).await {
            Err(error) if !is_final(&error) => Err(error),
            // Its claim ends by itself.
            _ => Ok(Next::default()),
        },
        Step::BreakJoin(group) => match app.backend().break_join(group).await {
            Err(error) if !is_final(&error) => Err(error),
            _ => Ok(Next::default()),
        },
        Step::Join {
            member,
            body,
            lineage,
        } => match app.backend().join(Clone::clone(&**member)).await {
            Ok(None) => Ok(Next::default()),
            Ok(Some(joined)) => {
                let now = clock::now();
                Ok(workflow::on_joined(
                    &member.group,
                    Some(member.claim()),
                    joined,
                    body,
                    lineage,
                    now,
                    &plan,
                ))
            }
            Err(error) if is_final(&error) => {
                tracing::error!(group = member.group, %error, "chord cannot run");
                let why = Exception::chord_error(&format!("Join error: {error}"));
                Ok(workflow::on_broken(
                    &member.group,
                    &why.into(),
                    body,
                    lineage,
                    clock::now(),
                    &plan,
                ))
            }
            Err(error) => Err(error),
        },
    }
}

/// Sends a workflow. What nobody takes ends as if it had been taken and had failed, so
/// that all who wait for it hear of it.
async fn send(shared: &Shared, workflow: &Plan, lineage: &Lineage) -> Result<Next> {
    let app = &shared.app;
    let refused: Vec<(&Send, String)> = match app.follow_up(workflow, lineage).await {
        Ok(refused) => refused
            .iter()
            .filter_map(|(at, error)| Some((workflow.sends.get(*at)?, error.to_string())))
            .collect(),
        Err(error) if passes(&error) => return Err(error),
        Err(error) => workflow
            .sends
            .iter()
            .map(|send| (send, error.to_string()))
            .collect(),
    };
    let plan = |signature, rest| app.plan(signature, rest);
    let mut next = Next::default();
    for (send, reason) in refused {
        let task = send.signature.task.as_str();
        tracing::error!(
            task,
            reason,
            "what follows a task cannot be sent: it counts as failed"
        );
        let reason = format!("message of {task}: {reason}");
        let why = Exception::new("kombu.exceptions", "OperationalError", [reason.into()]);
        let unsent = workflow::on_unsent(send.clone(), &why, lineage, clock::now(), &plan);
        next.steps.extend(unsent.steps);
        next.stores.extend(unsent.stores);
    }
    Ok(next)
}

/// Tells whether the backend will never do what was asked. Rights, disks and replicas are
/// the operator's: it may be asked again.
fn is_final(error: &Error) -> bool {
    !passes(error) && !matches!(error, Error::Refused { .. })
}

/// Calls the errbacks of this node that are due.
pub(super) async fn call_now(shared: &Shared, report: &mut Report) {
    // Nothing else is due before them.
    if let Some(Step::Call {
        errbacks,
        failure,
        trace,
    }) = report.steps.pop_front()
    {
        for errback in &errbacks {
            errback::call(shared, errback, &failure, trace.as_deref()).await;
        }
    }
}

/// Calls errbacks beside the delivery of other outcomes, and hands the parcel over again
/// for what is left to do.
pub(super) fn call(shared: &Arc<Shared>, mut parcel: Box<Parcel>, permit: OwnedSemaphorePermit) {
    let on = Arc::clone(shared);
    shared.work.spawn(async move {
        call_now(&on, &mut parcel.report).await;
        // Who takes the parcel may be waiting for the permit.
        drop(permit);
        on.outcomes.send(parcel).await;
    });
}
