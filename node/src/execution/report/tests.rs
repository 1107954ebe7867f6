#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::UNIX_EPOCH;

use celeriac::canvas::plan::plan;
use celeriac::protocol::DecodeError;
use celeriac::protocol::control::Signal;
use celeriac::protocol::error::Fault;
use celeriac::protocol::{Message, Signature};

use super::*;
use crate::execution::outcome::Revocation;

fn headers() -> TaskHeaders {
    TaskHeaders {
        task: "t".into(),
        id: "id".into(),
        parent_id: Some("parent".into()),
        group: Some("gid".into()),
        ..TaskHeaders::default()
    }
}

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

/// A message that is put away, without what its exception says beside.
fn dead(reason: Reason, text: &str) -> Settle {
    Settle::Dead(Box::new(Cause::new(reason, text)))
}

/// The settlement, without what an exception says beside.
fn brief(settle: &Settle) -> Settle {
    match settle {
        Settle::Dead(cause) => dead(cause.reason, &cause.error),
        other => other.clone(),
    }
}

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

/// Reports an outcome of a task without anything behind it.
fn of(outcome: Outcome, change: impl FnOnce(&mut TaskHeaders, &mut TaskOptions)) -> Report {
    of_acknowledged(outcome, false, change)
}

fn of_kept(outcome: Outcome, keeps: bool, change: impl FnOnce(&mut TaskOptions)) -> Report {
    of_node(outcome, (false, keeps), |_, options| change(options))
}

fn of_acknowledged(
    outcome: Outcome,
    acknowledged: bool,
    change: impl FnOnce(&mut TaskHeaders, &mut TaskOptions),
) -> Report {
    of_node(outcome, (acknowledged, false), change)
}

fn of_node(
    outcome: Outcome,
    (acknowledged, keeps): (bool, bool),
    change: impl FnOnce(&mut TaskHeaders, &mut TaskOptions),
) -> Report {
    let (mut headers, mut options) = (headers(), TaskOptions::default());
    change(&mut headers, &mut options);
    let properties = Properties {
        reply_to: Some("reply".into()),
        ..Properties::default()
    };
    let facts = Facts {
        headers: &headers,
        properties: &properties,
        options: &options,
        now: UNIX_EPOCH,
        runtime: Duration::from_millis(1500),
        children: Vec::new(),
        stores: true,
        acknowledged,
        redelivered: false,
        keeps,
        events: true,
        plan: &|signature, rest| Ok(plan(signature, rest, None, &mut || "new".to_owned())?),
        again: &|_| Ok(Publication::to_queue("celery", Message::default())),
    };
    report(outcome, Embed::default(), facts)
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

fn plain(outcome: Outcome) -> Report {
    of(outcome, |_, _| {})
}

fn again() -> Again {
    Again {
        at: UNIX_EPOCH,
        exception: Some(Exception::python("OSError", "gone")),
        causes: Vec::new(),
        args: None,
        kwargs: None,
        options: celeriac::protocol::Table::new(),
    }
}

fn failed() -> Outcome {
    let exception = Exception::python("ValueError", "boom");
    Outcome::Failure {
        exception,
        causes: Vec::new(),
    }
}

fn unreadable(fault: Fault) -> Outcome {
    Outcome::Unreadable(DecodeError::new(fault, "body", "this", "that"))
}

/// What is stored, as state and exception.
fn stored(report: &Report) -> Option<(String, String)> {
    let document = &report.stores.first()?.document;
    let exception = document
        .exception()
        .map(|exception| exception.repr())
        .unwrap_or_default();
    Some((document.status.to_string(), exception))
}

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

#[test]
fn a_callback_that_is_no_signature_fails_the_task() {
    let broken = Signature {
        subtask_type: Some("group".into()),
        ..Signature::default()
    };
    let embed = Embed {
        callbacks: Some(vec![broken]),
        ..Embed::default()
    };
    let (headers, properties) = (headers(), Properties::default());
    let options = TaskOptions::default();
    let facts = Facts {
        headers: &headers,
        properties: &properties,
        options: &options,
        now: UNIX_EPOCH,
        runtime: Duration::ZERO,
        children: Vec::new(),
        stores: true,
        acknowledged: false,
        redelivered: false,
        keeps: false,
        events: false,
        plan: &|signature, rest| Ok(plan(signature, rest, None, &mut || "new".to_owned())?),
        again: &|_| Ok(Publication::to_queue("celery", Message::default())),
    };
    let report = report(Outcome::Success(Value::Int(1)), embed, facts);
    let (state, exception) = stored(&report).unwrap();
    assert_eq!(state, "FAILURE");
    assert!(
        exception.starts_with("InvalidTaskError('what follows the task: "),
        "{exception}"
    );
    assert!(report.steps.is_empty());
}

/// S19: What follows a task and cannot be planned fails it, and all who wait hear of it.
#[test]
fn a_follower_that_is_malformed_breaks_the_chord_around() {
    let (headers, properties) = (headers(), Properties::default());
    let options = TaskOptions::default();
    let facts = Facts {
        headers: &headers,
        properties: &properties,
        options: &options,
        now: UNIX_EPOCH,
        runtime: Duration::ZERO,
        children: Vec::new(),
        stores: true,
        acknowledged: false,
        redelivered: false,
        keeps: false,
        events: false,
        plan: &|signature, rest| Ok(plan(signature, rest, None, &mut || "new".to_owned())?),
        again: &|_| Ok(Publication::to_queue("celery", Message::default())),
    };
    let empty = Signature {
        subtask_type: Some("chain".into()),
        ..Signature::new("celery.chain")
    };
    let embed = Embed {
        callbacks: Some(vec![empty.clone()]),
        errbacks: Some(vec![empty, Signature::new("hears")]),
        chain: Some(vec![Signature::new("next").with_option("task_id", "next")]),
        chord: Some(Box::new(Signature::new("body"))),
    };
    let report = report(Outcome::Success(Value::Int(1)), embed, facts);
    let stored: Vec<_> = report
        .stores
        .iter()
        .map(|store| {
            let document = &store.document;
            (document.task_id.as_str(), document.status.clone())
        })
        .collect();
    assert_eq!(stored.len(), 2);
    assert!(stored.contains(&("id", State::Failure)));
    assert!(stored.contains(&("next", State::Failure)));
    let joins =
        |step: &Step| matches!(step, Step::Join { member, .. } if member.state == State::Failure);
    assert!(report.steps.iter().any(joins));
    // An errback that is malformed does not silence the others.
    let told = report.steps.iter().find_map(|step| match step {
        Step::Tell { plan, .. } => Some(plan.sends[0].signature.task.as_str()),
        _ => None,
    });
    assert_eq!(told, Some("hears"));
}

/// S29: A chord that cannot be counted is broken once, however many members it has.
#[test]
fn what_is_broken_is_not_counted_and_errbacks_keep_nobody_waiting() {
    let join = |group: &str| Step::Join {
        member: Box::new(celeriac::backend::Member {
            group: group.to_owned(),
            index: None,
            task_id: "member".to_owned(),
            state: State::Failure,
            result: Value::Null,
        }),
        body: Box::default(),
        lineage: celeriac::producer::Lineage::default(),
    };
    let call = || Step::Call {
        errbacks: Vec::new(),
        failure: Box::new(celeriac::task::Failure::new("id")),
        trace: None,
    };
    let end = || Step::BreakJoin("g".to_owned());
    let mut report = Report {
        steps: [join("g"), join("g"), join("around"), join("g")].into(),
        ..Report::default()
    };
    report.put_for(0, [call(), end()].into());
    assert_eq!(report.steps, [call(), end(), join("around")]);
    // The chord around does not wait for the call; the end of the broken one does.
    assert_eq!(report.next_step(), Some((2, &join("around"))));
    report.put_for(2, VecDeque::new());
    assert_eq!(report.next_step(), Some((0, &call())));
    report.put_for(0, VecDeque::new());
    assert_eq!(report.next_step(), Some((0, &end())));
}
