//! A dead letter, as it is kept: pure.

use std::time::SystemTime;

use bytes::Bytes;
use celeriac_protocol::error::Fault;
use celeriac_protocol::letter::{Cause, Reason, header};
use celeriac_protocol::task::Limits;
use celeriac_protocol::{
    Body, Codec, Message, Properties, Table, TaskMessage, Timestamp, Value, json,
};
use uuid::Uuid;

use crate::access::Redaction;
use crate::cluster::cut;

/// A dead letter: the message, and what is known of its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Letter {
    pub(crate) id: String,
    /// `None` for a message that is no task.
    pub(crate) task_id: Option<String>,
    pub(crate) name: Option<String>,
    /// From which queue the message came, before it was dead.
    pub(crate) queue: String,
    pub(crate) reason: Reason,
    pub(crate) error: String,
    pub(crate) error_type: Option<String>,
    pub(crate) traceback: Option<String>,
    pub(crate) node: Option<String>,
    pub(crate) attempts: Option<u32>,
    /// When, in microseconds since the epoch.
    pub(crate) died_at: i64,
    pub(crate) root_id: Option<String>,
    pub(crate) parent_id: Option<String>,
    /// The arguments for display, as JSON, or as the sender put them where the body
    /// cannot be read; with hidden values hidden.
    pub(crate) args: Option<String>,
    pub(crate) kwargs: Option<String>,
    pub(crate) properties: Properties,
    pub(crate) headers: Table,
    /// The body as it came; `None` when it was too large to be kept, or was not read.
    pub(crate) body: Option<Bytes>,
    pub(crate) body_size: u64,
    pub(crate) fate: Fate,
}

/// What became of a letter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Fate {
    /// Nothing yet.
    #[default]
    Kept,
    /// Its message was sent again.
    Replayed {
        at: i64,
        by: String,
        /// The id of the task that it became.
        task_id: Option<String>,
    },
    /// Somebody wants nothing more of it.
    Discarded { at: i64, by: String },
}

/// Which letters are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Filter {
    pub(crate) ids: Option<Vec<String>>,
    pub(crate) task_id: Option<String>,
    pub(crate) reason: Option<Reason>,
    /// A pattern with `*` and `?`.
    pub(crate) name: Option<String>,
    pub(crate) queue: Option<String>,
    pub(crate) node: Option<String>,
    /// A part of the error or its class.
    pub(crate) error: Option<String>,
    /// A part of the arguments.
    pub(crate) arguments: Option<String>,
    /// From then on, in microseconds since the epoch.
    pub(crate) since: Option<i64>,
    /// Before then.
    pub(crate) until: Option<i64>,
    pub(crate) state: Option<&'static str>,
}

/// Texts for display are cut to this many bytes.
const TEXT: usize = 16 * 1024;
/// A larger body is not shown, in bytes.
const SHOWN: usize = 256 * 1024;
/// Names and ids.
const NAME: usize = 255;

impl Fate {
    pub(crate) const KEPT: &'static str = "kept";
    pub(crate) const REPLAYED: &'static str = "replayed";
    pub(crate) const DISCARDED: &'static str = "discarded";

    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Kept => Self::KEPT,
            Self::Replayed { .. } => Self::REPLAYED,
            Self::Discarded { .. } => Self::DISCARDED,
        }
    }
}

/// How a message is made a letter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// The largest body that is kept, in bytes.
    pub(crate) max_body: usize,
    pub(crate) redaction: &'a Redaction,
}

impl Letter {
    /// Makes a letter of a message that came out of the queue `from`.
    pub(crate) fn of(message: &Message, from: &str, now: SystemTime, rules: Rules<'_>) -> Self {
        let now = Timestamp::from(now);
        let cause = Cause::read(&message.headers)
            .unwrap_or_else(|| Cause::new(Reason::Rejected, format!("it was in the queue {from}")));
        let limits = Limits {
            body: rules.max_body,
        };
        let task = TaskMessage::decode_ref(message, &limits).ok();
        let task_id = match &task {
            Some(task) => Some(cut(&task.headers.id, NAME)),
            None => text(&message.headers, "id").map(|id| cut(&id, NAME)),
        };
        let name = match &task {
            Some(task) => Some(cut(&task.headers.task, NAME)),
            None => text(&message.headers, "task").map(|name| cut(&name, NAME)),
        };
        let (args, kwargs) = arguments(message, task.as_ref(), &limits);
        let hide = |text: Option<String>| {
            text.map(|mut text| {
                rules.redaction.arguments(name.as_deref(), &mut text);
                cut(&text, TEXT)
            })
        };
        let failure = |mut text: String| {
            rules.redaction.failure(name.as_deref(), &mut text);
            cut(&text, TEXT)
        };
        let queue = cause.queue.unwrap_or_else(|| {
            let stem = from.strip_suffix(".dead");
            stem.unwrap_or(from).to_owned()
        });
        let died_at = cause.died_at.unwrap_or(now).micros();
        let retries = task.as_ref().map_or(0, |task| task.headers.retries);
        let fits = message.body.len() <= rules.max_body;
        Self {
            id: identity(message, task_id.as_deref(), retries, &queue, died_at),
            root_id: task.as_ref().map(|task| cut(task.headers.root(), NAME)),
            parent_id: task.and_then(|task| task.headers.parent_id),
            reason: cause.reason,
            error: failure(cause.error),
            error_type: cause.error_type,
            traceback: cause.traceback.map(failure),
            node: cause.node,
            attempts: cause.attempts,
            died_at,
            args: hide(args),
            kwargs: hide(kwargs),
            properties: message.properties.clone(),
            headers: message.headers.clone(),
            body: fits.then(|| message.body.clone()),
            body_size: message.body.len() as u64,
            fate: Fate::Kept,
            task_id: task_id.filter(|id| !id.is_empty()),
            name: name.filter(|name| !name.is_empty()),
            queue: cut(&queue, NAME),
        }
    }

    /// Returns the body where it may be shown: it holds nothing that is hidden, neither in
    /// the arguments nor in what follows the task, and is small.
    pub(crate) fn shown_body(&self, redaction: &Redaction) -> Option<&Bytes> {
        let body = self.body.as_ref().filter(|body| body.len() <= SHOWN)?;
        let name = self.name.as_deref();
        let mut texts = vec![String::from_utf8_lossy(body).into_owned()];
        let message = Message {
            properties: self.properties.clone(),
            headers: self.headers.clone(),
            body: body.clone(),
        };
        let limits = Limits { body: 16 * SHOWN };
        if let Ok(task) = TaskMessage::decode_ref(&message, &limits) {
            // One that is too large when it is opened is not looked through.
            let opened = match task.body(&limits) {
                Ok(opened) => opened,
                Err(error) if error.fault == Fault::TooLarge => return None,
                Err(_) => Body::new(Codec::Json, Bytes::new()),
            };
            if let Ok(parts) = opened.parts() {
                // Other tasks, whose names are not looked at.
                if redaction.hides_arguments_of(None) && !parts.embed.is_empty() {
                    return None;
                }
            }
            texts.push(String::from_utf8_lossy(&opened.bytes).into_owned());
        }
        let hides = |text: &String| {
            let mut shown = text.clone();
            redaction.arguments(name, &mut shown);
            shown != *text
        };
        (!texts.iter().any(hides)).then_some(body)
    }

    /// The headers as they are shown: without the arguments, which are shown beside.
    pub(crate) fn shown_headers(&self, redaction: &Redaction) -> Table {
        let shown = self.headers.clone().into_iter();
        let shown = shown.filter(|(name, _)| !matches!(name.as_str(), "argsrepr" | "kwargsrepr"));
        let shown = shown.map(|(name, value)| match value {
            Value::Str(mut text) if name == header::ERROR || name == header::TRACEBACK => {
                redaction.failure(self.name.as_deref(), &mut text);
                (name, Value::Str(text))
            }
            value => (name, value),
        });
        let shown = redaction.value(Value::Map(shown.collect()));
        shown.as_map().cloned().unwrap_or_default()
    }
}

/// The same death of the same message has the same id, however often it comes: a node
/// that died between letter and acknowledgement, or a supervisor between commit and
/// acknowledgement. A replay that dies again is another one, and so is what somebody else
/// sent under the same id.
fn identity(
    message: &Message,
    task_id: Option<&str>,
    retries: u32,
    queue: &str,
    died_at: i64,
) -> String {
    let replay = text(&message.headers, REPLAY_OF).unwrap_or_default();
    let mut name = Vec::new();
    match task_id.filter(|id| !id.is_empty()) {
        Some(id) => name.extend_from_slice(format!("{id}\n{retries}\n").as_bytes()),
        None => name.extend_from_slice(format!("\n{died_at}\n").as_bytes()),
    }
    name.extend_from_slice(&message.body);
    name.extend_from_slice(format!("\n{queue}\n{replay}").as_bytes());
    Uuid::new_v3(&Uuid::NAMESPACE_OID, &name).to_string()
}

/// The header of a replay that names its letter and when it was sent.
pub(super) const REPLAY_OF: &str = "x-celeriac-replay";

fn text(headers: &Table, name: &str) -> Option<String> {
    headers.get(name)?.as_str().map(str::to_owned)
}

/// The arguments as JSON, else as the sender put them.
fn arguments(
    message: &Message,
    task: Option<&TaskMessage>,
    limits: &Limits,
) -> (Option<String>, Option<String>) {
    let decoded = task.and_then(|task| {
        let body = task.body(limits).ok()?;
        let parts = body.parts().ok()?;
        let args = parts.args.iter().map(|raw| raw.to_value());
        let args: Vec<Value> = args.collect::<Result<_, _>>().ok()?;
        let kwargs = parts.kwargs.iter();
        let kwargs = kwargs.map(|(name, raw)| Ok((name.clone().into_owned(), raw.to_value()?)));
        let kwargs: Table = kwargs
            .collect::<Result<_, celeriac_protocol::DecodeError>>()
            .ok()?;
        Some((json::to_string(&args).ok()?, json::to_string(&kwargs).ok()?))
    });
    match decoded {
        Some((args, kwargs)) => (Some(args), Some(kwargs)),
        None => (
            text(&message.headers, "argsrepr"),
            text(&message.headers, "kwargsrepr"),
        ),
    }
}

/// Writes a table of headers so that nothing of it is lost.
pub(crate) fn pack(headers: &Table) -> Result<Vec<u8>, String> {
    let packed = Codec::Msgpack.to_vec(headers);
    packed.map_err(|error| error.to_string())
}

/// Reads what [`pack`] wrote.
pub(crate) fn unpack(bytes: &[u8]) -> Result<Table, String> {
    celeriac_protocol::msgpack::from_slice(bytes, "headers").map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn message(id: &str, died: u64) -> Message {
        let mut headers = Table::new();
        headers.insert("lang", "py");
        headers.insert("task", "mail.send");
        headers.insert("id", id);
        headers.insert("root_id", "root");
        headers.insert("retries", 2);
        let cause = Cause {
            node: Some("n@h".into()),
            queue: Some("mail".into()),
            died_at: Some(at(died).into()),
            ..Cause::new(Reason::Failed, "ValueError('boom')")
        };
        cause.write(&mut headers);
        let properties = Properties {
            content_type: Some("application/json".into()),
            content_encoding: Some("utf-8".into()),
            ..Properties::default()
        };
        Message {
            properties,
            headers,
            body: Bytes::from_static(b"[[\"a\", 2], {\"password\": \"secret\"}, null]"),
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn letter(message: &Message) -> Letter {
        let redaction = Redaction::default();
        let rules = Rules {
            max_body: 1000,
            redaction: &redaction,
        };
        Letter::of(message, "mail.dead", at(9), rules)
    }

    #[test]
    fn a_letter_knows_its_task_and_hides_what_is_secret() {
        let letter = letter(&message("t1", 5));
        assert_eq!(letter.task_id.as_deref(), Some("t1"));
        assert_eq!(letter.name.as_deref(), Some("mail.send"));
        assert_eq!((letter.queue.as_str(), letter.died_at), ("mail", 5_000_000));
        assert_eq!(letter.args.as_deref(), Some("[\"a\", 2]"));
        assert!(!letter.kwargs.clone().unwrap().contains("secret"));
        // The message itself is as it came.
        assert!(letter.body.unwrap().ends_with(b"\"secret\"}, null]"));
    }

    // S46.
    #[test]
    fn one_death_is_one_letter_and_a_replay_that_dies_is_another() {
        let first = letter(&message("t1", 5)).id;
        assert_eq!(letter(&message("t1", 6)).id, first);
        assert_ne!(letter(&message("t2", 5)).id, first);
        let mut replayed = message("t1", 7);
        replayed.headers.insert(REPLAY_OF, "x");
        assert_ne!(letter(&replayed).id, first);
        let mut retried = message("t1", 7);
        retried.headers.insert("retries", 3);
        assert_ne!(letter(&retried).id, first);
        let other = Message {
            body: Bytes::from_static(b"[[\"b\", 2], {}, null]"),
            ..message("t1", 7)
        };
        assert_ne!(letter(&other).id, first);
    }

    // S46: what is hidden is in no body that is shown, wherever it stands.
    #[test]
    fn a_body_that_holds_what_is_hidden_is_not_shown() {
        let shown = |body: &str, redaction: &Redaction| {
            let letter = Letter {
                body: Some(body.to_owned().into()),
                ..letter(&message("t1", 5))
            };
            letter.shown_body(redaction).is_some()
        };
        let telling = Redaction::default();
        assert!(shown(r#"[["a"], {"to": "b"}, null]"#, &telling));
        // Behind where the text that is listed ends.
        let filler = "x".repeat(2 * TEXT);
        let far = format!(r#"[[], {{"a": "{filler}", "password": "s"}}, null]"#);
        assert!(!shown(&far, &telling));
        let follows = |name: &str| {
            format!(r#"[[], {{}}, {{"callbacks": [{{"task": "b", "kwargs": {{"{name}": 1}}}}]}}]"#)
        };
        assert!(shown(&follows("to"), &telling));
        assert!(!shown(&follows("password"), &telling));
        assert!(!shown("\u{1} no JSON, \"password\": \"s\"", &telling));
        let named = Redaction::nothing().arguments_of("bill.*").unwrap();
        assert!(shown(r#"[["a"], {}, null]"#, &named));
        assert!(!shown(&follows("to"), &named));
    }

    #[test]
    fn what_is_no_task_is_a_letter_too() {
        let nothing = Message {
            body: Bytes::from_static(b"\xff\x00"),
            ..Message::default()
        };
        let letter = letter(&nothing);
        assert_eq!(
            (letter.task_id, letter.name, letter.args),
            (None, None, None)
        );
        assert_eq!(letter.queue, "mail");
        assert_eq!(letter.died_at, 9_000_000);
        assert_eq!(letter.error, "it was in the queue mail.dead");
    }

    #[test]
    fn a_body_that_is_too_large_is_left_out_and_said() {
        let large = Message {
            body: Bytes::from(vec![b' '; 1001]),
            ..message("t1", 5)
        };
        let letter = letter(&large);
        assert_eq!((letter.body, letter.body_size), (None, 1001));
    }

    #[test]
    fn headers_survive_as_they_are() {
        let mut headers = message("t1", 5).headers;
        headers.insert("bytes", Value::Bytes(Bytes::from_static(b"\xff")));
        headers.insert("nan", f64::INFINITY);
        headers.insert("deep", Value::Array(vec![Value::Null, Value::Bool(true)]));
        assert_eq!(unpack(&pack(&headers).unwrap()).unwrap(), headers);
    }
}
