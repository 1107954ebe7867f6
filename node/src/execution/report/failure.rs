//! What a bad end stores, sets going and settles.

use celeriac::protocol::error::Fault;
use celeriac::protocol::event::EventKind;
use celeriac::protocol::letter::{Cause, Reason};
use celeriac::protocol::{DecodeError, Embed, Exception, ResultDocument, State, Timestamp};

use super::{Facts, Report, Settle, Tally};
use crate::execution::document::{addressed, ignores};
use crate::execution::traceback;
use crate::execution::workflow::{self, Next, on_failure};

pub(super) fn failure(
    exception: &Exception,
    traceback: Option<String>,
    embed: Embed,
    facts: Facts<'_>,
) -> Report {
    let mut events = Vec::new();
    if facts.events {
        events.push(EventKind::TaskFailed {
            uuid: facts.headers.id.clone(),
            exception: exception.repr(),
            traceback: traceback.clone(),
        });
    }
    let kept = facts.keeps && facts.options.dead_letter;
    let settle = match facts.options.acks_on_failure && !kept {
        true => Settle::Done,
        false => Settle::Dead(Box::new(Cause {
            traceback: traceback.clone(),
            ..cause(Reason::Failed, exception.repr(), exception)
        })),
    };
    let report = ended(&State::Failure, exception, traceback, embed, facts);
    Report {
        settle,
        events,
        tally: Tally::Failed,
        ..report
    }
}

/// Puts a message away.
pub(super) fn dead(reason: Reason, text: impl Into<String>, exception: &Exception) -> Settle {
    Settle::Dead(Box::new(cause(reason, text, exception)))
}

fn cause(reason: Reason, text: impl Into<String>, exception: &Exception) -> Cause {
    Cause {
        error_type: Some(exception.exc_type.clone()),
        ..Cause::new(reason, text)
    }
}

/// What a bad end stores and sets going.
pub(super) fn ended(
    state: &State,
    exception: &Exception,
    traceback: Option<String>,
    embed: Embed,
    facts: Facts<'_>,
) -> Report {
    let headers = facts.headers;
    let reply_to = facts.properties.reply_to.as_deref();
    let next = match embed.is_empty() {
        true => Next::default(),
        false => {
            let traceback = traceback.as_deref();
            let cause = workflow::Cause {
                state,
                exception,
                traceback,
                now: facts.now,
                reply_to,
            };
            on_failure(cause, embed, headers, facts.plan)
        }
    };
    let mut stores = Vec::new();
    if facts.stores {
        if !ignores(headers, facts.options) || facts.options.store_errors_even_if_ignored {
            let document = ResultDocument {
                traceback,
                children: Some(facts.children),
                date_done: Some(Timestamp::from(facts.now)),
                ..ResultDocument::new(headers.id.clone(), state.clone(), exception.to_value())
            };
            stores.push(addressed(document, headers, facts.properties));
        }
        stores.extend(next.stores);
    }
    Report {
        stores,
        steps: next.steps,
        ..Report::default()
    }
}

/// Who is to blame decides: bad arguments are the caller's own failure, anything else may
/// be of use to somebody who looks into the dead-letter queue.
pub(super) fn unreadable(error: &DecodeError, embed: Embed, facts: Facts<'_>) -> Report {
    let text = error.to_string();
    let exception = match error.fault {
        Fault::Arguments => Exception::python("TypeError", text.as_str()),
        Fault::Content => Exception::content_disallowed(&text),
        _ => Exception::decode_error(&text),
    };
    match error.fault {
        Fault::Arguments => {
            let traceback = traceback::text(&facts.headers.task, &exception, &[]);
            failure(&exception, Some(traceback), embed, facts)
        }
        // Without an id there is nobody to tell.
        _ if facts.headers.id.is_empty() => Report {
            settle: dead(Reason::Undecodable, text, &exception),
            tally: Tally::Rejected,
            ..Report::default()
        },
        _ => {
            let report = failure(&exception, None, embed, facts);
            Report {
                settle: dead(Reason::Undecodable, text, &exception),
                tally: Tally::Rejected,
                ..report
            }
        }
    }
}

/// A process that died takes its run along. The same may happen to the next one: who
/// wants to see that gets one more, and then it is enough.
pub(super) fn crashed(cause: String, embed: Embed, facts: Facts<'_>) -> Report {
    let again = facts.options.reject_on_worker_lost && !facts.acknowledged;
    if again && !facts.redelivered {
        return give_back(&facts);
    }
    match again {
        true => deadly(cause, embed, facts),
        false => failure(&Exception::worker_lost(&cause), None, embed, facts),
    }
}

/// A message that takes what runs it along is put away.
pub(super) fn deadly(cause: String, embed: Embed, facts: Facts<'_>) -> Report {
    let exception = Exception::worker_lost(&cause);
    let settle = dead(Reason::Crashed, cause, &exception);
    let report = failure(&exception, None, embed, facts);
    Report { settle, ..report }
}

/// A task that can get no process may get one elsewhere, or a moment later.
pub(super) fn no_process(reason: &str, embed: Embed, facts: Facts<'_>) -> Report {
    if !facts.acknowledged && !facts.redelivered {
        return give_back(&facts);
    }
    let text = format!("no process for an isolated task: {reason}");
    let exception = Exception::worker_lost(&text);
    let report = failure(&exception, None, embed, facts);
    Report {
        settle: dead(Reason::Failed, text, &exception),
        ..report
    }
}

fn give_back(facts: &Facts<'_>) -> Report {
    Report {
        settle: Settle::GiveBack,
        events: vec![EventKind::TaskRejected {
            uuid: facts.headers.id.clone(),
            requeue: true,
        }],
        tally: Tally::Requeued,
        ..Report::default()
    }
}
