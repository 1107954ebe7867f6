//! Which messages become dead letters.

use super::*;

/// S44.
#[test]
fn messages_of_failed_tasks_are_kept_where_they_are_wanted() {
    let late = || Outcome::TimedOut {
        limit: Limit::Hard,
        after: Duration::from_secs(1),
    };
    let revoked = || Outcome::Revoked(Revocation::Expired);
    for (outcome, wanted, kept) in [
        (failed(), true, true),
        (late(), true, true),
        (unreadable(Fault::Arguments), true, true),
        (failed(), false, false),
        (late(), false, false),
        // Wanted or not.
        (Outcome::Unknown, false, true),
        (unreadable(Fault::Malformed), false, true),
        (Outcome::Deadly { cause: "3".into() }, false, true),
        // None of these failed.
        (Outcome::Success(Value::Null), true, false),
        (Outcome::Retry(again()), true, false),
        (Outcome::Ignore, true, false),
        (revoked(), true, false),
    ] {
        let name = format!("{outcome:?} {wanted}");
        let report = of_kept(outcome, true, |options| options.dead_letter = wanted);
        assert_eq!(matches!(report.settle, Settle::Dead(_)), kept, "{name}");
    }
    let report = of_kept(failed(), true, |_| {});
    let Settle::Dead(cause) = report.settle else {
        panic!("a dead letter");
    };
    assert_eq!(cause.error_type.as_deref(), Some("ValueError"));
    assert!(cause.traceback.is_some());
    let report = of_kept(failed(), false, |_| {});
    assert_eq!(report.settle, Settle::Done);
}

fn of_kept(outcome: Outcome, keeps: bool, change: impl FnOnce(&mut TaskOptions)) -> Report {
    of_node(outcome, (false, keeps), |_, options| change(options))
}

#[test]
fn a_failure_may_be_kept_in_the_dead_letter_queue() {
    let report = of(failed(), |_, options| options.acks_on_failure = false);
    assert_eq!(
        brief(&report.settle),
        dead(Reason::Failed, "ValueError('boom')")
    );
    let late = Outcome::TimedOut {
        limit: Limit::Hard,
        after: Duration::from_secs(1),
    };
    let report = of(late, |_, options| options.acks_on_failure = false);
    let reason = dead(Reason::Failed, "TimeLimitExceeded(1)");
    assert_eq!(brief(&report.settle), reason);
}
