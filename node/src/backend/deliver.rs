//! Delivers one batch of outcomes.
#![allow(
    clippy::vec_box,
    reason = "parcels come boxed, and are too large to be moved out and in"
)]

use std::collections::VecDeque;
use std::ops::Range;

use celeriac::backend::Stored;
use celeriac::broker::{Publication, Settlement};
use celeriac::protocol::{Exception, ResultDocument, State};
use celeriac::{Error, clock};
use futures_util::future::join_all;

use super::Parcel;
use crate::counters::TaskCounters;
use crate::execution::report::{Report, Settle, Tally};
use crate::execution::republish;
use crate::execution::workflow::{self, Step};
use crate::job::Stage;
use crate::shared::Shared;

/// Delivers outcomes and returns those that could not be, with what is left to do.
pub(super) async fn deliver(shared: &Shared, mut batch: Vec<Box<Parcel>>) -> Vec<Box<Parcel>> {
    // Given back at shutdown meanwhile: its outcome belongs to who runs it next.
    batch.retain(|parcel| {
        parcel
            .claim
            .as_ref()
            .is_none_or(|claim| claim.stage() != Stage::Settled)
    });
    let mut late = Vec::new();
    publish_next_tries(shared, &mut batch).await;
    split(&mut batch, &mut late, |report| report.before.is_none());
    store(shared, &mut batch).await;
    split(&mut batch, &mut late, |report| report.stores.is_empty());
    if batch.iter().any(|parcel| !parcel.report.steps.is_empty()) {
        join_all(
            batch
                .iter_mut()
                .map(|parcel| perform(shared, &mut parcel.report)),
        )
        .await;
        // A chord that cannot run has results of its own.
        store(shared, &mut batch).await;
        split(&mut batch, &mut late, |report| {
            report.steps.is_empty() && report.stores.is_empty()
        });
    }
    bury(shared, &mut batch).await;
    split(&mut batch, &mut late, |report| report.settle.is_local());
    for parcel in batch {
        end(shared, *parcel);
    }
    late
}

/// Moves those that are not done from `batch` to `late`.
fn split(
    batch: &mut Vec<Box<Parcel>>,
    late: &mut Vec<Box<Parcel>>,
    done: impl Fn(&Report) -> bool,
) {
    late.extend(batch.extract_if(.., |parcel| !done(&parcel.report)));
}

async fn publish_next_tries(shared: &Shared, batch: &mut [Box<Parcel>]) {
    let waiting = || batch.iter().filter(|parcel| parcel.report.before.is_some());
    let publications: Vec<Publication> = waiting()
        .filter_map(|parcel| parcel.report.before.clone())
        .collect();
    if publications.is_empty() {
        return;
    }
    let answers = shared.app.broker().publish_all(publications).await;
    let waiting = batch
        .iter_mut()
        .filter(|parcel| parcel.report.before.is_some());
    for (parcel, answer) in waiting.zip(answers) {
        match answer {
            Ok(()) => parcel.report.before = None,
            // Whatever the reason, a task that is to run again is not dropped.
            Err(error) => tracing::debug!(%error, "next try is not published yet"),
        }
    }
}

async fn store(shared: &Shared, batch: &mut [Box<Parcel>]) {
    let documents: usize = batch.iter().map(|parcel| parcel.report.stores.len()).sum();
    if documents == 0 {
        return;
    }
    let mut stores = Vec::with_capacity(documents);
    let mut places: Vec<(usize, Range<usize>)> = Vec::with_capacity(batch.len());
    for (at, parcel) in batch.iter().enumerate() {
        let start = stores.len();
        stores.extend(parcel.report.stores.iter().cloned());
        if stores.len() > start {
            places.push((at, start..stores.len()));
        }
    }
    let mut answers = shared.app.backend().store(stores).await.into_iter();
    for (at, range) in places {
        let report = &mut batch[at].report;
        let stores = std::mem::take(&mut report.stores);
        for (mut store, answer) in stores.into_iter().zip(answers.by_ref().take(range.len())) {
            match answer {
                Ok(Stored::Written | Stored::AlreadyDone | Stored::Dropped) => {}
                Err(error @ (Error::Encode(_) | Error::Decode(_))) => {
                    // The task has no result that anybody can read, so it failed.
                    let document = unencodable(store.document, &error);
                    store.document = document;
                    report.steps.clear();
                    report.stores.push(store);
                }
                Err(error) if error.is_retryable() || matches!(error, Error::Closed(_)) => {
                    tracing::debug!(%error, "result is not stored yet");
                    report.stores.push(store);
                }
                Err(error) => {
                    shared.counters.results_refused.add(1);
                    let task_id = &store.document.task_id;
                    tracing::error!(task_id, %error, "result is lost: the backend refuses it");
                }
            }
        }
    }
}

/// Says in place of a document that cannot be written why it cannot.
fn unencodable(document: ResultDocument, error: &Error) -> ResultDocument {
    let exception = match document.status {
        // This one was the replacement; its text alone is always writable.
        State::Failure => Exception::encode_error("the result cannot be written"),
        _ => Exception::encode_error(&error.to_string()),
    };
    ResultDocument {
        status: State::Failure,
        result: exception.to_value(),
        children: Some(Vec::new()),
        ..document
    }
}

/// Does the steps of one report in order, until one fails.
async fn perform(shared: &Shared, report: &mut Report) {
    while let Some(step) = report.steps.pop_front() {
        let kept = step.clone();
        match act(shared, step, &mut report.steps, &mut report.stores).await {
            Ok(()) => {}
            Err(error) if error.is_retryable() || matches!(error, Error::Closed(_)) => {
                tracing::debug!(%error, "what follows a task is not sent yet");
                report.steps.push_front(kept);
                return;
            }
            Err(error) => {
                tracing::error!(%error, "what follows a task is lost: it was refused");
            }
        }
    }
}

async fn act(
    shared: &Shared,
    step: Step,
    steps: &mut VecDeque<Step>,
    stores: &mut Vec<celeriac::backend::Store>,
) -> Result<(), Error> {
    let app = &shared.app;
    match step {
        Step::Send { plan, lineage } => app.send_plan(plan, &lineage).await.map(drop),
        Step::Publish(publication) => app.broker().publish(*publication).await,
        Step::EndJoin(group) => app.backend().end_join(&group).await,
        Step::Join {
            member,
            body,
            lineage,
        } => {
            let group = member.group.clone();
            let plan = |signature, rest| app.plan(signature, rest);
            let next = match app.backend().join(*member).await {
                Ok(None) => return Ok(()),
                Ok(Some(joined)) => {
                    workflow::on_joined(&group, joined, *body, &lineage, clock::now(), &plan)
                }
                Err(error @ Error::Unsupported { .. }) => {
                    tracing::error!(group, %error, "chord cannot run");
                    let why = Exception::chord_error(&error.to_string());
                    workflow::on_chord_error(&why, *body, &lineage, clock::now(), &plan)
                }
                Err(error) => return Err(error),
            };
            // In place of the join: the one who counted last is told so once.
            for step in next.steps.into_iter().rev() {
                steps.push_front(step);
            }
            if app.backend().capabilities().stores {
                stores.extend(next.stores);
            }
            Ok(())
        }
    }
}

/// Publishes what nobody can run to the dead-letter exchange.
async fn bury(shared: &Shared, batch: &mut [Box<Parcel>]) {
    let mut dead = Vec::new();
    let mut publications = Vec::new();
    for parcel in batch {
        let (Settle::Dead(reason), Some(claim)) = (&parcel.report.settle, &parcel.claim) else {
            continue;
        };
        if shared.config.dead_letter {
            publications.push(republish::dead(claim, reason, shared.name()));
            dead.push(parcel);
        } else {
            parcel.report.settle = Settle::Reject;
        }
    }
    if dead.is_empty() {
        return;
    }
    let answers = shared.app.broker().publish_all(publications).await;
    for (parcel, answer) in dead.into_iter().zip(answers) {
        match answer {
            Ok(()) => parcel.report.settle = Settle::Moved,
            Err(error) if error.is_retryable() || matches!(error, Error::Closed(_)) => {
                tracing::debug!(%error, "message is not dead-lettered yet");
            }
            Err(error) => {
                tracing::error!(%error, "dead letter refused: message is rejected");
                parcel.report.settle = Settle::Reject;
            }
        }
    }
}

/// Ends a job whose outcome is delivered: settles, counts, tells.
pub(super) fn end(shared: &Shared, parcel: Parcel) {
    let Parcel { claim, report } = parcel;
    let Some(claim) = claim else {
        count(shared, "", report.tally);
        return shared.events.emit(report.events);
    };
    count(shared, &claim.headers().task, report.tally);
    match report.settle {
        Settle::Done => claim.finish(),
        Settle::Moved => claim.settle(Settlement::Acknowledge),
        Settle::GiveBack => claim.settle(Settlement::Requeue),
        // Dead ones are moved or rejected by now.
        Settle::Reject | Settle::Dead(_) => claim.settle(Settlement::Reject),
    }
    shared.events.emit(report.events);
}

fn count(shared: &Shared, task: &str, tally: Tally) {
    let counters = &shared.counters;
    let of_task = |add: fn(&TaskCounters)| {
        if let Some(task) = counters.task(task) {
            add(task);
        }
    };
    match tally {
        Tally::Succeeded => of_task(|task| task.succeeded.add(1)),
        Tally::Failed => of_task(|task| task.failed.add(1)),
        Tally::Retried => of_task(|task| task.retried.add(1)),
        Tally::Revoked => counters.revoked.add(1),
        Tally::Rejected => counters.rejected.add(1),
        Tally::Requeued => counters.requeued.add(1),
        Tally::Nothing => {}
    }
}
