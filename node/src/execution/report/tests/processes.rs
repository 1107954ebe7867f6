//! What becomes of a run whose process, or node, is gone.

use super::*;

/// What becomes of a run whose process died.
fn crashed(redelivered: bool, acknowledged: bool, wanted: bool) -> Report {
    let cause = "signal 9".to_owned();
    without_process(
        Outcome::Crashed { cause },
        redelivered,
        acknowledged,
        wanted,
    )
}

fn without_process(
    outcome: Outcome,
    redelivered: bool,
    acknowledged: bool,
    wanted: bool,
) -> Report {
    let (headers, properties) = (headers(), Properties::default());
    let mut options = TaskOptions::default();
    options.reject_on_worker_lost = wanted;
    let facts = Facts {
        headers: &headers,
        properties: &properties,
        options: &options,
        now: UNIX_EPOCH,
        runtime: Duration::ZERO,
        children: Vec::new(),
        stores: true,
        acknowledged,
        redelivered,
        keeps: false,
        events: true,
        plan: &|signature, rest| Ok(plan(signature, rest, None, &mut || "new".to_owned())?),
        again: &|_| Ok(Publication::to_queue("celery", Message::default())),
    };
    report(outcome, Embed::default(), facts)
}

/// S28.
#[test]
fn a_task_that_gets_no_process_is_tried_once_more() {
    for (redelivered, acknowledged, again) in [
        (false, false, true),
        (true, false, false),
        (false, true, false),
    ] {
        let reason = "no more files".to_owned();
        let outcome = Outcome::NoProcess { reason };
        let report = without_process(outcome, redelivered, acknowledged, false);
        assert_eq!(report.settle == Settle::GiveBack, again);
        assert_eq!(matches!(report.settle, Settle::Dead(_)), !again);
        assert_eq!(stored(&report).is_some(), !again);
    }
}

#[test]
fn a_process_that_dies_is_a_failure_unless_it_may_die_once_more() {
    let dead = || dead(Reason::Crashed, "signal 9");
    for (redelivered, acknowledged, wanted, settle) in [
        (false, false, false, Settle::Done),
        (true, false, false, Settle::Done),
        (false, false, true, Settle::GiveBack),
        (true, false, true, dead()),
        (false, true, true, Settle::Done),
    ] {
        let report = crashed(redelivered, acknowledged, wanted);
        let failed = settle != Settle::GiveBack;
        assert_eq!(brief(&report.settle), settle);
        assert_eq!(stored(&report).is_some(), failed);
        assert_eq!(report.events.len(), 1);
    }
}

#[test]
fn what_nobody_delivers_again_ends_here() {
    let lost = of_acknowledged(Outcome::Lost, true, |_, _| {});
    let why = "WorkerLostError('node ended before the task did')";
    assert_eq!(stored(&lost), Some(("FAILURE".into(), why.into())));
    assert_eq!((lost.settle, lost.tally), (Settle::Done, Tally::Failed));
    let refused = Outcome::Reject {
        reason: "no".into(),
        requeue: true,
    };
    let refused = of_acknowledged(refused, true, |_, _| {});
    assert_eq!(brief(&refused.settle), dead(Reason::Rejected, "no"));
    assert_eq!(stored(&refused).unwrap().0, "FAILURE");
}
