//! Delivers one batch of outcomes.
#![allow(
    clippy::vec_box,
    reason = "parcels come boxed, and are too large to be moved out and in"
)]

use celeriac::broker::Settlement;

use super::{Due, Parcel, follow, home, store};
use crate::counters::TaskCounters;
use crate::execution::report::{Settle, Tally};
use crate::job::Stage;
use crate::shared::Shared;

/// The outcomes of a batch that are not delivered yet.
pub(super) struct Left {
    /// Those that have to wait, in their order, with what is left to do.
    pub(super) late: Vec<Box<Parcel>>,
    /// Those whose errbacks are to be called here.
    pub(super) calls: Vec<Box<Parcel>>,
}

/// Delivers outcomes and returns those that are left.
pub(super) async fn deliver(shared: &Shared, mut batch: Vec<Box<Parcel>>) -> Left {
    // Given back at shutdown meanwhile: its outcome belongs to who runs it next.
    batch.retain(|parcel| {
        parcel
            .claim
            .as_ref()
            .is_none_or(|claim| claim.stage() != Stage::Settled)
    });
    for parcel in &mut batch {
        parcel.waits = None;
    }
    loop {
        home::publish(shared, &mut batch).await;
        store::store(shared, &mut batch).await;
        follow::follow(shared, &mut batch).await;
        home::bury(shared, &mut batch).await;
        // What was refused has become something else to do.
        let rest = |parcel: &Parcel| {
            parcel.waits.is_none() && !parcel.is(Due::End) && !parcel.is(Due::Call)
        };
        if !batch.iter().any(|parcel| rest(parcel)) {
            break;
        }
    }
    let late = batch.extract_if(.., |parcel| parcel.waits.is_some());
    let late = late.collect();
    let calls = batch.extract_if(.., |parcel| parcel.is(Due::Call));
    let calls = calls.collect();
    for parcel in batch {
        end(shared, *parcel);
    }
    Left { late, calls }
}

/// Ends a job whose outcome is delivered: settles, counts, tells.
pub(super) fn end(shared: &Shared, parcel: Parcel) {
    let Parcel { claim, report, .. } = parcel;
    let Some(claim) = claim else {
        count(shared, "", report.tally);
        return shared.events.emit(report.events);
    };
    count(shared, &claim.headers().task, report.tally);
    match report.settle {
        Settle::Done => claim.finish(Settlement::Acknowledge),
        Settle::Parked(until) => {
            shared.counters.parked.add(1);
            claim.park(until);
        }
        Settle::Moved => claim.settle(Settlement::Acknowledge),
        Settle::GiveBack => claim.settle(Settlement::Requeue),
        // Dead ones are buried or rejected by now.
        Settle::Reject | Settle::Dead(_) => claim.finish(Settlement::Reject),
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
