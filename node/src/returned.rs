//! Messages whose tasks this node leaves to others: it stops, or lets go of their queue.

use celeriac::protocol::{Value, naming};

use crate::backend::Parcel;
use crate::execution::report::{Report, Settle};
use crate::execution::republish;
use crate::job::{Claim, Job};
use crate::shared::Shared;

/// Returns how often a quorum queue has delivered a message before.
pub(crate) fn deliveries(job: &Job) -> i64 {
    let count = job.headers().extra.get(naming::header::DELIVERY_COUNT);
    count.and_then(Value::as_i64).unwrap_or(0)
}

/// Tells whether a message is to be sent anew in place of being given back.
///
/// Before version 4.3 a quorum queue of RabbitMQ counts every return as if a node had died
/// of the message, and it, or a node, puts a message away that was delivered too often. Who
/// stops in order must not bring a message there. A message that is sent anew is counted
/// from 0, but goes to the end of its queue: so only one that is half way to the limit is.
pub(crate) fn is_worn(shared: &Shared, job: &Job) -> bool {
    let limit = shared.config.max_deliveries;
    limit.is_some_and(|limit| deliveries(job) >= half(limit)) && job.is_current()
}

fn half(limit: u32) -> i64 {
    i64::from(limit / 2).max(1)
}

/// Says how the message of a task ends that this node leaves to others.
pub(crate) fn report(shared: &Shared, job: &Job) -> Report {
    let back = Report {
        settle: Settle::GiveBack,
        ..Report::default()
    };
    if !is_worn(shared, job) {
        return back;
    }
    // One that cannot be written anew can still be given back.
    let anew = republish::anew(job, &shared.limits);
    anew.map_or(back, |publication| Report {
        before: Some(publication),
        settle: Settle::Moved,
        ..Report::default()
    })
}

/// Leaves a task to others that has not started.
pub(crate) fn give_back(shared: &Shared, claim: Claim) {
    let report = report(shared, &claim);
    // Dropped, it goes back: when too many outcomes are on the way already.
    drop(
        shared
            .outcomes
            .offer(shared, Parcel::new(Some(claim), report)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_least_limit_is_one() {
        assert_eq!([1, 2, 3, 16, 17].map(half), [1, 1, 1, 8, 8]);
    }
}
