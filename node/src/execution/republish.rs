//! Messages that are sent on: again, later, or to the dead-letter queue. Pure functions.

use std::time::SystemTime;

use celeriac::broker::Publication;
use celeriac::protocol::compression::Compression;
use celeriac::protocol::letter::{self, Cause};
use celeriac::protocol::task::{Limits, Protocol};
use celeriac::protocol::{Body, Message, Properties, TaskHeaders, TaskMessage, Timestamp, naming};
use celeriac::{Error, Result};

use super::outcome::Again;
use crate::job::Job;

mod rewrite;

/// Makes the message of a next run: the same id and body, one more retry; a task without
/// a parent becomes its own.
///
/// It goes straight to the queue it came from: its exchange may lead elsewhere too, or be
/// that of a delay.
///
/// # Errors
///
/// When the body has to be written anew and cannot be read or written, or an option
/// cannot be used.
pub(crate) fn again(job: &Job, again: &Again, limits: &Limits) -> Result<Publication> {
    let mut headers = headers(job);
    headers.retries = headers.retries.saturating_add(1);
    headers.eta = Some(Timestamp::from(again.at));
    headers.root_id = Some(job.headers().root().to_owned());
    headers.parent_id.get_or_insert_with(|| headers.id.clone());
    // The next run belongs to this one's span, where it has one of its own.
    if job.context.app().tracer().is_some()
        && let Some(trace) = job.context.trace()
    {
        trace.write(&mut headers.extra);
    }
    if again.args.is_none() && again.kwargs.is_none() && again.options.is_empty() {
        let message = message(job, headers, limits)?;
        return Ok(Publication {
            not_before: Some(again.at),
            ..Publication::to_queue(&*job.queue, message)
        });
    }
    rewrite::rewritten(job, headers, again, limits)
}

/// Makes the message that waits in the broker until `at`.
///
/// # Errors
///
/// As [`again`].
pub(crate) fn later(job: &Job, at: SystemTime, limits: &Limits) -> Result<Publication> {
    Ok(Publication {
        not_before: Some(at),
        ..anew(job, limits)?
    })
}

/// Makes the message that takes this one's place in its queue, as if it had just been sent.
///
/// # Errors
///
/// As [`again`].
pub(crate) fn anew(job: &Job, limits: &Limits) -> Result<Publication> {
    let message = message(job, headers(job), limits)?;
    Ok(Publication::to_queue(&*job.queue, message))
}

/// Makes the message for the dead-letter queue of `queue`: as it came, with the cause.
///
/// The node publishes it itself, since a queue that was there before the node has no
/// dead-letter exchange, and arguments cannot be added to it.
pub(crate) fn dead(job: &Job, queue: &str, cause: &Cause) -> Publication {
    let mut message = match &job.original {
        Some(original) => Message::clone(original),
        None => Message {
            properties: job.properties().clone(),
            headers: job.headers().clone().into_table(),
            body: job.body.clone(),
        },
    };
    // It would expire in the dead-letter queue as well, and RabbitMQ takes a user's name
    // from that user only.
    message.properties.expiration = None;
    message.properties.user_id = None;
    cause.write(&mut message.headers);
    let publication = Publication::to_exchange(naming::DEAD_EXCHANGE, queue, message);
    Publication {
        mandatory: true,
        ..publication
    }
}

/// The headers without the traces of how the message came here.
fn headers(job: &Job) -> TaskHeaders {
    let mut headers = job.headers().clone();
    let extra = std::mem::take(&mut headers.extra);
    let kept = extra.into_iter();
    let kept = kept.filter(|(name, _)| !letter::is_trace(name));
    headers.extra = kept.collect();
    headers
}

fn message(job: &Job, headers: TaskHeaders, limits: &Limits) -> Result<Message> {
    // In the queue of a delay it would end the delay; admission reads the header.
    let properties = Properties {
        expiration: None,
        ..job.properties().clone()
    };
    if job.protocol == Protocol::V2 {
        return Ok(Message {
            properties,
            headers: headers.into_table(),
            body: job.body.clone(),
        });
    }
    let body = job.open(limits)?;
    let rewrite::Call {
        args,
        kwargs,
        embed,
    } = rewrite::Call::read(&body)?;
    let compression = headers
        .compression
        .as_deref()
        .map(Compression::from_header)
        .transpose()?;
    let body = Body::encode(body.codec, &args, &kwargs, &embed)?;
    TaskMessage::encode(headers, properties, body, compression).map_err(Error::from)
}

#[cfg(test)]
mod tests;
