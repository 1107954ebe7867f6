//! A letter's message on its way back: pure.

use celeriac::broker::Publication;
use celeriac_protocol::compression::Compression;
use celeriac_protocol::naming::defaults::REPR_MAX;
use celeriac_protocol::task::{Limits, Protocol};
use celeriac_protocol::{
    Body, DecodeError, Embed, Message, Properties, Table, TaskHeaders, TaskMessage, Value, letter,
    naming, repr,
};

use super::letter::{Letter, REPLAY_OF};

/// What a body may become when it is decompressed, in bytes.
const OPENED: usize = 64 << 20;

/// What is to be different when a message is sent again.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Edit {
    /// Other positional arguments.
    pub(crate) args: Option<Vec<Value>>,
    /// Other keyword arguments.
    pub(crate) kwargs: Option<Table>,
    /// Another queue than the one it came from.
    pub(crate) queue: Option<String>,
    /// The task runs under this id, and leaves the result of the first one as it is.
    pub(crate) new_id: Option<String>,
    /// Its time, and when it expires, stay.
    pub(crate) keep_times: bool,
}

/// Why a message cannot be sent again so: the field that is wrong, what it was expected to
/// be, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub(crate) field: &'static str,
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Unfit {
    fn new(field: &'static str, expected: impl ToString, found: impl ToString) -> Self {
        Self {
            field,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

/// Makes the message that is sent again, straight to its queue: with its tries before it,
/// free to run now, and without a trace of its death; otherwise as it came.
///
/// # Errors
///
/// When its body was not kept, or what is to be changed cannot be read or written.
pub(crate) fn replay(letter: &Letter, edit: &Edit, now: i64) -> Result<Publication, Unfit> {
    let Some(body) = letter.body.clone() else {
        let found = format!("one of {} bytes, which was too large", letter.body_size);
        return Err(Unfit::new("letter", "a letter whose body was kept", found));
    };
    let mut properties = letter.properties.clone();
    // It would expire in its queue, and RabbitMQ takes a user's name from that user only.
    properties.expiration = None;
    properties.user_id = None;
    let mut headers = letter.headers.clone();
    letter::strip(&mut headers);
    // RabbitMQ would send copies to other queues too, which have had theirs.
    for copies in ["CC", "BCC"] {
        headers.remove(copies);
    }
    // A node runs a tick once, and would take this for the one that it had before.
    for tick in [naming::header::TICK, naming::header::TERM] {
        headers.remove(tick);
    }
    let message = Message {
        properties,
        headers,
        body,
    };
    let limits = Limits { body: OPENED };
    let mut message = match TaskMessage::decode_ref(&message, &limits) {
        Ok(task) => again(task, edit, &limits)?,
        Err(error) if edit.args.is_some() || edit.kwargs.is_some() || edit.new_id.is_some() => {
            let expected = "nothing but the queue, for a message that is no task";
            return Err(Unfit::new(changed(edit), expected, error));
        }
        Err(_) => message,
    };
    message
        .headers
        .insert(REPLAY_OF, format!("{}@{now}", letter.id));
    let queue = edit.queue.as_deref().unwrap_or(&letter.queue);
    Ok(Publication::to_queue(queue, message))
}

fn changed(edit: &Edit) -> &'static str {
    match (&edit.args, &edit.kwargs) {
        (Some(_), _) => "args",
        (_, Some(_)) => "kwargs",
        _ => "new_id",
    }
}

fn again(task: TaskMessage, edit: &Edit, limits: &Limits) -> Result<Message, Unfit> {
    // What cannot be read may be of use to another reader, unless it is to be changed.
    let body = match task.body(limits) {
        Ok(body) => Some(body),
        Err(error) if edit.args.is_some() || edit.kwargs.is_some() => {
            let expected = "a message whose body can be read";
            return Err(Unfit::new(changed(edit), expected, error));
        }
        Err(_) => None,
    };
    let TaskMessage {
        mut headers,
        mut properties,
        protocol,
        body: bytes,
    } = task;
    headers.retries = 0;
    if !edit.keep_times {
        headers.eta = None;
        headers.expires = None;
    }
    if let Some(id) = &edit.new_id {
        renamed(&mut headers, &mut properties, id);
    }
    let content = match &body {
        Some(body) => Content::read(body),
        None => Err(DecodeError::new(
            celeriac_protocol::error::Fault::Malformed,
            "body",
            "a body",
            "none",
        )),
    };
    let apart = edit.new_id.is_some()
        && content
            .as_ref()
            .is_ok_and(|content| content.embed.chord.is_some());
    let rewrite = edit.args.is_some() || edit.kwargs.is_some() || apart || protocol == Protocol::V1;
    if !rewrite {
        return Ok(Message {
            properties,
            headers: headers.into_table(),
            body: bytes,
        });
    }
    let wrong = |error: &dyn std::fmt::Display| {
        Unfit::new(changed(edit), "a message whose body can be read", error)
    };
    let (Some(body), mut content) = (body, content.map_err(|error| wrong(&error))?) else {
        return Err(wrong(&"another"));
    };
    if let Some(args) = &edit.args {
        content.args.clone_from(args);
        headers.argsrepr = Some(repr::args(args, REPR_MAX));
    }
    if let Some(kwargs) = &edit.kwargs {
        content.kwargs.clone_from(kwargs);
        headers.kwargsrepr = Some(repr::kwargs(kwargs, REPR_MAX));
    }
    if apart {
        // The chord counts the first id; this run is nobody's member.
        content.embed.chord = None;
    }
    let compression = headers.compression.as_deref().map(Compression::from_header);
    let compression = compression.transpose().map_err(|error| wrong(&error))?;
    let Content {
        args,
        kwargs,
        embed,
    } = content;
    let written = Body::encode(body.codec, &args, &kwargs, &embed)
        .and_then(|body| TaskMessage::encode(headers, properties, body, compression));
    written.map_err(|error| {
        let expected = format!("arguments that {} can carry", body.codec.content_type());
        Unfit::new(changed(edit), expected, error)
    })
}

/// Gives a message another id: nobody waits for it, and no group counts it.
fn renamed(headers: &mut TaskHeaders, properties: &mut Properties, id: &str) {
    if headers.root_id.as_deref() == Some(headers.id.as_str()) {
        headers.root_id = Some(id.to_owned());
    }
    id.clone_into(&mut headers.id);
    headers.group = None;
    headers.group_index = None;
    properties.correlation_id = Some(id.to_owned());
    properties.reply_to = None;
}

/// What a body holds.
struct Content {
    args: Vec<Value>,
    kwargs: Table,
    embed: Embed,
}

impl Content {
    fn read(body: &Body) -> Result<Self, DecodeError> {
        let parts = body.parts()?;
        let args = parts.args.iter().map(|raw| raw.to_value());
        let kwargs = parts.kwargs.iter();
        let kwargs = kwargs.map(|(name, raw)| Ok((name.clone().into_owned(), raw.to_value()?)));
        Ok(Self {
            args: args.collect::<Result<_, _>>()?,
            kwargs: kwargs.collect::<Result<_, DecodeError>>()?,
            embed: parts.embed,
        })
    }
}

#[cfg(test)]
mod tests;
