//! What an event means to the model, with everything from outside cut to size.

use std::sync::Arc;

use celeriac_protocol::event::{Event, EventKind, TaskReceived, TaskSent, WorkerStatus};
use celeriac_protocol::{Table, Value};

use super::latest::Said;
use super::node::{Beat, Software};
use super::task::{Call, Fact, Route};

/// What an event means to the model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reading {
    /// A worker came up, or says that it lives.
    Beat { beat: Beat, online: bool },
    /// A worker says goodbye.
    Goodbye(Beat),
    /// Something about a task. `by_worker` is false for what clients say.
    Task {
        id: Arc<str>,
        said: Said,
        sender: Arc<str>,
        fact: Fact,
        by_worker: bool,
    },
    /// Nothing that the model keeps.
    Nothing,
}

/// Names and ids are cut to this many bytes: they become keys and labels.
const NAME: usize = 255;
/// Arguments, results and exceptions are texts for display.
const TEXT: usize = 4 * 1024;
const TRACEBACK: usize = 16 * 1024;

/// Moments before 1970 and after 9999 are pulled to the edge: a lie about the time must
/// not make texts that nobody can parse.
const LAST_MOMENT: f64 = 253_402_300_799.0;

impl Reading {
    /// Reads an event.
    ///
    /// The sender's `utcoffset` plays no part: timestamps are seconds since the epoch
    /// whatever zone the sender lives in.
    pub(crate) fn of(event: Event) -> Self {
        let said = Said {
            at: moment(event.timestamp),
            clock: event.clock,
        };
        let sender = event.hostname;
        let worker = |status: WorkerStatus| beat(said, event.pid, status);
        match event.kind {
            EventKind::WorkerOnline(status) => Self::Beat {
                beat: worker(status),
                online: true,
            },
            EventKind::WorkerHeartbeat(status) => Self::Beat {
                beat: worker(status),
                online: false,
            },
            EventKind::WorkerOffline(status) => Self::Goodbye(worker(status)),
            kind => Self::of_task(kind, said, &sender),
        }
    }

    fn of_task(kind: EventKind, said: Said, sender: &str) -> Self {
        let by_worker = !matches!(kind, EventKind::TaskSent(_));
        let sender: Arc<str> = cut(sender, NAME).into();
        let (id, fact) = match kind {
            EventKind::TaskSent(sent) => {
                let route = Route {
                    queue: name(sent.queue.as_deref()),
                    client: sender.clone(),
                };
                (sent.uuid.clone(), Fact::Sent(sent_call(*sent), route))
            }
            EventKind::TaskReceived(received) => (
                received.uuid.clone(),
                Fact::Received(received_call(*received)),
            ),
            EventKind::TaskStarted { uuid } => (uuid, Fact::Started),
            EventKind::TaskSucceeded {
                uuid,
                result,
                runtime,
            } => {
                let runtime = (runtime.is_finite() && runtime >= 0.0).then_some(runtime);
                (
                    uuid,
                    Fact::Succeeded {
                        result: text(Some(result)),
                        runtime,
                    },
                )
            }
            EventKind::TaskFailed {
                uuid,
                exception,
                traceback,
            } => {
                let traceback = traceback.map(|text| cut(&text, TRACEBACK));
                (
                    uuid,
                    Fact::Failed {
                        exception: text(Some(exception)),
                        traceback,
                    },
                )
            }
            EventKind::TaskRetried {
                uuid,
                exception,
                traceback,
            } => {
                let traceback = traceback.map(|text| cut(&text, TRACEBACK));
                (
                    uuid,
                    Fact::Retried {
                        exception: text(Some(exception)),
                        traceback,
                    },
                )
            }
            EventKind::TaskRevoked {
                uuid,
                terminated,
                expired,
                ..
            } => {
                let reason = match (expired, terminated) {
                    (true, _) => "expired",
                    (false, true) => "terminated",
                    (false, false) => "revoked",
                };
                (uuid, Fact::Revoked { reason })
            }
            EventKind::TaskRejected { uuid, .. } => (uuid, Fact::Rejected),
            EventKind::Other { kind, fields } => match custom(&kind, &fields) {
                Some(found) => found,
                None => return Self::Nothing,
            },
            _ => return Self::Nothing,
        };
        // Such an id could not be asked for in a URL, and no sane sender makes it.
        if id.is_empty() || id.len() > NAME {
            return Self::Nothing;
        }
        Self::Task {
            id: id.into(),
            said,
            sender,
            fact,
            by_worker,
        }
    }
}

/// A task's own event: `task-progress` becomes the state `PROGRESS`.
fn custom(kind: &str, fields: &Table) -> Option<(String, Fact)> {
    let state = kind
        .strip_prefix("task-")
        .filter(|state| !state.is_empty())?;
    let id = fields.get("uuid")?.as_str()?;
    Some((
        id.to_owned(),
        Fact::Custom(cut(&state.to_uppercase(), NAME)),
    ))
}

fn beat(said: Said, pid: u32, status: WorkerStatus) -> Beat {
    let software = status.sw_ident.as_deref().map(|ident| Software {
        ident: cut(ident, NAME),
        version: cut(status.sw_ver.as_deref().unwrap_or_default(), NAME),
        system: cut(status.sw_sys.as_deref().unwrap_or_default(), NAME),
    });
    let number = |name| {
        let value = status.extra.get(name).and_then(Value::as_i64);
        value.and_then(|number| u64::try_from(number).ok())
    };
    Beat {
        pid: (pid != 0).then(|| i64::from(pid)),
        clock: said.clock,
        timestamp: said.at,
        freq: Some(status.freq),
        active: status.load.map(|load| load.active),
        processed: status.load.map(|load| load.processed),
        loadavg: status.load.map(|load| load.loadavg),
        software,
        draining: status
            .extra
            .get("draining")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        sent: number("events_sent"),
        slots: number("slots"),
        reserved: number("reserved"),
        running_seconds: number("running_seconds"),
    }
}

fn sent_call(sent: TaskSent) -> Call {
    Call {
        name: name(Some(&sent.name)),
        args: text(sent.args),
        kwargs: text(sent.kwargs),
        root: sent.root_id.map(|id| cut(&id, NAME)),
        parent: sent.parent_id.map(|id| cut(&id, NAME)),
        retries: sent.retries.into(),
        eta: sent.eta.map(|eta| cut(&eta, NAME)),
        expires: sent.expires.map(|expires| cut(&expires, NAME)),
    }
}

fn received_call(received: TaskReceived) -> Call {
    Call {
        name: name(Some(&received.name)),
        args: text(received.args),
        kwargs: text(received.kwargs),
        root: received.root_id.map(|id| cut(&id, NAME)),
        parent: received.parent_id.map(|id| cut(&id, NAME)),
        retries: received.retries.into(),
        eta: received.eta.map(|eta| cut(&eta, NAME)),
        expires: received.expires.map(|expires| cut(&expires, NAME)),
    }
}

fn moment(at: f64) -> f64 {
    if at.is_nan() {
        0.0
    } else {
        at.clamp(0.0, LAST_MOMENT)
    }
}

fn name(text: Option<&str>) -> Option<Arc<str>> {
    text.filter(|text| !text.is_empty())
        .map(|text| cut(text, NAME).into())
}

fn text(text: Option<String>) -> Option<String> {
    text.map(|text| {
        if text.len() > TEXT {
            cut(&text, TEXT)
        } else {
            text
        }
    })
}

/// Cuts what becomes a key or a label.
pub(crate) fn cut_name(text: &str) -> String {
    cut(text, NAME)
}

/// Cuts a text for display.
pub(crate) fn cut_text(text: &str) -> String {
    cut(text, TEXT)
}

/// Cuts at a character's border, and says so.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most.saturating_sub(3);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(json: &str) -> Reading {
        let mut events = Event::decode_batch(json.as_bytes()).unwrap();
        Reading::of(events.remove(0))
    }

    #[test]
    fn a_heartbeat_becomes_a_beat() {
        let reading = read(
            r#"{"hostname":"w1@h","utcoffset":0,"pid":7,"clock":9,"freq":2.0,"active":1,
                "processed":5,"loadavg":[0.1,0.2,0.3],"sw_ident":"py-celery",
                "sw_ver":"5.7.0","sw_sys":"Linux","timestamp":100.5,"type":"worker-heartbeat"}"#,
        );
        let Reading::Beat {
            beat,
            online: false,
        } = reading
        else {
            panic!("{reading:?}")
        };
        assert_eq!((beat.pid, beat.clock, beat.timestamp), (Some(7), 9, 100.5));
        assert_eq!((beat.active, beat.processed), (Some(1), Some(5)));
        assert_eq!(beat.software.unwrap().version, "5.7.0");
        assert!(!beat.draining);
    }

    #[test]
    fn a_node_may_say_that_it_drains_and_what_it_sent() {
        let reading = read(
            r#"{"hostname":"w1@h","pid":7,"clock":9,"freq":2.0,"draining":true,
                "events_sent":12,"timestamp":1,"type":"worker-heartbeat"}"#,
        );
        let Reading::Beat { beat, .. } = reading else {
            panic!("{reading:?}")
        };
        assert_eq!((beat.draining, beat.sent), (true, Some(12)));
    }

    #[test]
    fn times_from_outside_are_pulled_into_range() {
        for (at, expected) in [
            (f64::NAN, 0.0),
            (-1.0, 0.0),
            (1e300, LAST_MOMENT),
            (5.5, 5.5),
        ] {
            assert_eq!(moment(at), expected);
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("ääää", 6), "ä...");
        assert_eq!(cut("abcdefgh", 6), "abc...");
    }

    #[test]
    fn an_event_of_the_users_own_becomes_a_state() {
        let reading =
            read(r#"{"hostname":"w","clock":1,"timestamp":1,"type":"task-progress","uuid":"t"}"#);
        let Reading::Task { fact, .. } = reading else {
            panic!("{reading:?}")
        };
        assert_eq!(fact, Fact::Custom("PROGRESS".into()));
        for nothing in [
            r#"{"hostname":"w","clock":1,"timestamp":1,"type":"my-event","uuid":"t"}"#,
            r#"{"hostname":"w","clock":1,"timestamp":1,"type":"task-progress"}"#,
            r#"{"hostname":"w","clock":1,"timestamp":1,"type":"task-started","uuid":""}"#,
        ] {
            assert_eq!(read(nothing), Reading::Nothing, "{nothing}");
        }
    }
}
