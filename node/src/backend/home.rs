//! Publishes to the node's own queues: next tries, parked tasks and dead letters.
#![allow(clippy::vec_box, reason = "parcels come boxed")]

use celeriac::broker::Publication;
use celeriac::clock;
use celeriac::protocol::Exception;
use celeriac::protocol::letter::{Cause, Reason};
use celeriac::{Error, Result};

use super::{Due, Parcel, passes};
use crate::consumer::topology;
use crate::execution::report::{Report, Settle};
use crate::execution::{republish, run};
use crate::job::Job;
use crate::shared::{Phase, Shared};

/// Publishes the next runs of tasks, which come before anything else.
pub(super) async fn publish(shared: &Shared, batch: &mut [Box<Parcel>]) {
    let due = batch.iter().filter(|parcel| parcel.is(Due::Publish));
    let mut publications: Vec<Publication> = due
        .filter_map(|parcel| parcel.report.before.clone())
        .collect();
    if publications.is_empty() {
        return;
    }
    let sends = shared.app.trace_sends(&mut publications);
    let answers = shared.app.broker().publish_all(publications).await;
    sends.end(&answers);
    let due = batch.iter_mut().filter(|parcel| parcel.is(Due::Publish));
    for (parcel, answer) in due.zip(answers) {
        let again = || parcel.report.before.clone();
        match renewed(shared, parcel.claim.as_deref(), answer, again).await {
            Ok(()) => parcel.report.before = None,
            Err(error) if passes(&error) => parcel.wait(error),
            Err(error) => refused(shared, parcel, &error),
        }
    }
}

/// Does something else about a task whose next message nobody takes: it waits here, or
/// fails.
fn refused(shared: &Shared, parcel: &mut Parcel, error: &Error) {
    let report = std::mem::take(&mut parcel.report);
    if let (Settle::Parked(at), Some(back)) = (&report.settle, parcel.back.take()) {
        // Dropped, it goes back to the broker: nobody waits at the end of a node.
        let claim = parcel.claim.take();
        if let Some(claim) = claim.filter(|_| shared.phase() <= Phase::Running) {
            tracing::warn!(task_id = claim.id(), %error, "task waits here: it cannot be parked");
            shared.timetable.hold(*at, claim, back);
        }
        return;
    }
    if report.settle == Settle::Moved {
        // So it goes back as the message that it is.
        parcel.claim = None;
        return;
    }
    if let Some(claim) = &parcel.claim {
        let reason = format!("message of the next try: {error}");
        let exception = Exception::new(
            "kombu.exceptions",
            "OperationalError",
            [reason.as_str().into()],
        );
        let cause = Cause {
            error_type: Some(exception.exc_type.clone()),
            ..Cause::new(Reason::Failed, reason)
        };
        parcel.report = Report {
            settle: Settle::Dead(Box::new(cause)),
            ..run::failed(shared, claim, exception)
        };
    }
}

/// Publishes what nobody can run to the dead-letter exchange.
pub(super) async fn bury(shared: &Shared, batch: &mut [Box<Parcel>]) {
    let mut dead = Vec::new();
    let mut publications = Vec::new();
    for parcel in batch.iter_mut().filter(|parcel| parcel.is(Due::Bury)) {
        if !shared.config.dead_letters.any() {
            parcel.report.settle = Settle::Reject;
        } else if let Some(publication) = dead_letter(shared, parcel) {
            publications.push(publication);
            dead.push(parcel);
        }
    }
    if dead.is_empty() {
        return;
    }
    let answers = shared.app.broker().publish_all(publications).await;
    for (parcel, answer) in dead.into_iter().zip(answers) {
        let again = || dead_letter(shared, parcel);
        match renewed(shared, parcel.claim.as_deref(), answer, again).await {
            Ok(()) => parcel.report.settle = Settle::Done,
            // Dead letters are kept: the message stays with the broker until one is.
            Err(error) if passes(&error) || matches!(error, Error::Refused { .. }) => {
                parcel.wait(error);
            }
            Err(error) => {
                tracing::error!(%error, "dead letter cannot be written: message is rejected");
                parcel.report.settle = Settle::Reject;
            }
        }
    }
}

fn dead_letter(shared: &Shared, parcel: &Parcel) -> Option<Publication> {
    match (&parcel.report.settle, &parcel.claim) {
        (Settle::Dead(cause), Some(claim)) => {
            let queue = shared.task_queues.get(&*claim.queue);
            let family = queue.as_ref().map_or(&*claim.queue, |queue| queue.family());
            let cause = Cause {
                node: Some(shared.name().to_owned()),
                queue: Some(family.to_owned()),
                died_at: Some(clock::now().into()),
                attempts: Some(claim.headers().retries.saturating_add(1)),
                ..Cause::clone(cause)
            };
            Some(republish::dead(claim, family, &cause))
        }
        _ => None,
    }
}

/// Publishes once more what was refused, after its queues are declared: somebody may
/// have deleted them while the node runs.
async fn renewed(
    shared: &Shared,
    job: Option<&std::sync::Arc<Job>>,
    answer: Result<()>,
    again: impl Fn() -> Option<Publication>,
) -> Result<()> {
    let (Err(Error::Refused { .. }), Some(job)) = (&answer, job) else {
        return answer;
    };
    let Some(publication) = again() else {
        return answer;
    };
    // A next run may be wanted elsewhere.
    if publication.exchange.is_empty() && publication.routing_key != *job.queue {
        return shared.app.publish(vec![publication]).await;
    }
    let topology = topology::of(
        &shared.task_queue(&job.queue)?,
        shared.config.dead_letters.any(),
    );
    shared.app.broker().declare(&topology).await?;
    shared.app.broker().publish(publication).await
}
