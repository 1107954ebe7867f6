#![allow(clippy::unwrap_used, clippy::panic)]

mod followers;
mod letters;
mod outcomes;
mod processes;

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

/// Reports an outcome of a task without anything behind it.
fn of(outcome: Outcome, change: impl FnOnce(&mut TaskHeaders, &mut TaskOptions)) -> Report {
    of_acknowledged(outcome, false, change)
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
