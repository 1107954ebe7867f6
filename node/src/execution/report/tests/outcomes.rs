//! What each outcome stores, tells and counts.

use super::*;

#[test]
fn every_outcome_has_its_result_its_settlement_and_its_count() {
    let soft = Outcome::TimedOut {
        limit: Limit::Soft,
        after: Duration::from_secs(3),
    };
    let hard = Outcome::TimedOut {
        limit: Limit::Hard,
        after: Duration::from_secs(3),
    };
    let panicked = Outcome::Panicked {
        message: "oh".into(),
    };
    let reject = |requeue| Outcome::Reject {
        reason: "no".into(),
        requeue,
    };
    let text = "body: expected this, found that";
    for (outcome, result, settle, tally) in [
        (
            Outcome::Success(Value::Int(1)),
            "SUCCESS ",
            Settle::Done,
            Tally::Succeeded,
        ),
        (
            Outcome::Stored(Value::Int(1)),
            "",
            Settle::Done,
            Tally::Nothing,
        ),
        (
            Outcome::Retry(again()),
            "RETRY OSError('gone')",
            Settle::Done,
            Tally::Retried,
        ),
        (
            failed(),
            "FAILURE ValueError('boom')",
            Settle::Done,
            Tally::Failed,
        ),
        (
            soft,
            "FAILURE SoftTimeLimitExceeded()",
            Settle::Done,
            Tally::Failed,
        ),
        (
            hard,
            "FAILURE TimeLimitExceeded(3)",
            Settle::Done,
            Tally::Failed,
        ),
        (
            panicked,
            "FAILURE RuntimeError('task panicked: oh')",
            Settle::Done,
            Tally::Failed,
        ),
        (
            reject(false),
            "FAILURE Reject('no', False)",
            dead(Reason::Rejected, "no"),
            Tally::Rejected,
        ),
        (reject(true), "", Settle::GiveBack, Tally::Requeued),
        (Outcome::Ignore, "", Settle::Done, Tally::Nothing),
        (Outcome::Lost, "", Settle::GiveBack, Tally::Nothing),
        (
            Outcome::Revoked(Revocation::Expired),
            "REVOKED TaskRevokedError('expired')",
            Settle::Done,
            Tally::Revoked,
        ),
        (
            Outcome::Unknown,
            "FAILURE NotRegistered('t')",
            dead(Reason::UnknownTask, "unknown task t"),
            Tally::Failed,
        ),
        (
            unreadable(Fault::Arguments),
            "FAILURE TypeError('body: expected this, found that')",
            Settle::Done,
            Tally::Failed,
        ),
        (
            unreadable(Fault::Content),
            "FAILURE ContentDisallowed('body: expected this, found that')",
            dead(Reason::Undecodable, text),
            Tally::Rejected,
        ),
        (
            unreadable(Fault::Malformed),
            "FAILURE DecodeError('body: expected this, found that')",
            dead(Reason::Undecodable, text),
            Tally::Rejected,
        ),
    ] {
        let name = format!("{outcome:?}");
        let report = plain(outcome);
        let found = stored(&report).map(|(state, exception)| format!("{state} {exception}"));
        assert_eq!(found.unwrap_or_default(), result, "{name}");
        assert_eq!(
            (brief(&report.settle), report.tally),
            (settle, tally),
            "{name}"
        );
    }
}

#[test]
fn a_document_is_addressed_and_knows_its_family() {
    let report = plain(Outcome::Success(Value::Int(1)));
    let store = &report.stores[0];
    assert_eq!(store.reply_to.as_deref(), Some("reply"));
    assert_eq!(store.correlation_id.as_deref(), Some("id"));
    assert_eq!(store.document.group_id.as_deref(), Some("gid"));
    assert_eq!(store.document.parent_id.as_deref(), Some("parent"));
    assert!(store.document.date_done.is_some());
    assert_eq!(store.document.children, Some(Vec::new()));
}

#[test]
fn the_next_try_is_published_first_and_is_a_child() {
    let report = plain(Outcome::Retry(again()));
    assert!(report.before.is_some());
    let document = &report.stores[0].document;
    assert_eq!(document.date_done, None);
    let itself = Value::Array(vec!["id".into(), Value::Null]);
    assert_eq!(
        document.children,
        Some(vec![Value::Array(vec![itself, Value::Null])])
    );
}

#[test]
fn unwanted_results_are_not_stored() {
    let value = || Outcome::Success(Value::Null);
    let unwanted = |options: &mut TaskOptions| options.ignore_result = true;
    assert!(
        of(value(), |_, options| unwanted(options))
            .stores
            .is_empty()
    );
    assert!(
        of(value(), |headers, _| headers.ignore_result = Some(true))
            .stores
            .is_empty()
    );
    // The caller's word wins over the task's.
    let asked = of(value(), |headers, options| {
        unwanted(options);
        headers.ignore_result = Some(false);
    });
    assert_eq!(asked.stores.len(), 1);
    assert!(
        of(failed(), |_, options| unwanted(options))
            .stores
            .is_empty()
    );
    let errors = of(failed(), |_, options| {
        unwanted(options);
        options.store_errors_even_if_ignored = true;
    });
    assert_eq!(errors.stores.len(), 1);
}

#[test]
fn events_tell_what_happened() {
    let kinds = |outcome| -> Vec<&'static str> {
        let name = |kind: &EventKind| match kind {
            EventKind::TaskSucceeded { .. } => "succeeded",
            EventKind::TaskFailed { .. } => "failed",
            EventKind::TaskRetried { .. } => "retried",
            EventKind::TaskRevoked { .. } => "revoked",
            EventKind::TaskRejected { .. } => "rejected",
            _ => "other",
        };
        plain(outcome).events.iter().map(name).collect()
    };
    assert_eq!(kinds(Outcome::Success(Value::Int(5))), ["succeeded"]);
    assert_eq!(kinds(Outcome::Retry(again())), ["retried"]);
    assert_eq!(
        kinds(Outcome::Reject {
            reason: "no".into(),
            requeue: false
        }),
        ["failed", "rejected"]
    );
    assert_eq!(kinds(Outcome::Unknown), ["failed"]);
    assert!(kinds(Outcome::Ignore).is_empty());
    let EventKind::TaskRevoked {
        terminated,
        signum,
        expired,
        ..
    } = plain(Outcome::Revoked(Revocation::Terminated(Signal::KILL)))
        .events
        .remove(0)
    else {
        panic!("a revocation");
    };
    assert_eq!((terminated, signum, expired), (true, Some(9), false));
}

#[test]
fn what_has_no_id_has_no_result() {
    let report = of(unreadable(Fault::NotATask), |headers, _| headers.id.clear());
    assert!(report.stores.is_empty() && report.events.is_empty());
    assert!(matches!(report.settle, Settle::Dead(_)));
}
