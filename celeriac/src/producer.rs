//! From a plain call to the message that asks for it: a pure function.

mod limits;
mod moment;
mod options;
mod retry;
mod target;

use std::sync::Arc;
use std::time::SystemTime;

use celeriac_protocol::compression::Compression;
use celeriac_protocol::{
    Body, Codec, Embed, Properties, Signature, Table, TaskHeaders, TaskMessage, Timestamp, Value,
    repr,
};

use self::moment::{expiration, moment};
use self::options::Options;
pub use self::retry::PublishRetry;
use crate::broker::Publication;
use crate::error::{Error, Result};
use crate::routing::{RouteRequest, Routing};
use crate::task::Registry;
use crate::trace::{self, TraceContext};

/// What messages say when neither the call nor the task says otherwise.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The queue of calls that no route takes. Default `celery`.
    pub queue: String,
    /// The serializer of bodies. Default JSON.
    pub serializer: Codec,
    /// The compression of bodies. Default none.
    pub compression: Option<Compression>,
    /// Whether messages survive the broker's restart. Default true.
    pub persistent: bool,
    /// Who sends, as `gen<pid>@<host>`.
    pub origin: String,
    /// The way back for calls that name none.
    pub reply_to: String,
}

/// Who sends a call from inside a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The first task of the workflow.
    pub root_id: Option<String>,
    /// The task that sends.
    pub parent_id: Option<String>,
    /// The trace that the call continues. A call whose own headers name a `traceparent` keeps
    /// that.
    pub trace: Option<Arc<TraceContext>>,
}

/// The longest text that shows arguments.
const REPR_LIMIT: usize = 1024;

/// Makes the publication that asks for a plain call.
///
/// # Errors
///
/// [`Error::Invalid`] for an option that cannot be used, [`Error::Encode`] for
/// arguments that cannot be put on the wire.
pub fn publication(
    signature: Signature,
    embed: &Embed,
    lineage: &Lineage,
    defaults: &Defaults,
    routing: &Routing,
    registry: &Registry,
    now: SystemTime,
) -> Result<Publication> {
    let Signature {
        task,
        args,
        kwargs,
        options,
        ..
    } = signature;
    let mut options = Options(options);
    let task_options = registry.get(&task).map(|handler| handler.options());
    let id = options
        .text("task_id")?
        .ok_or_else(|| Error::invalid("task id", "an id", "nothing"))?;
    // Celery's clients send 0, but nothing when the caller names the queue.
    let default_priority = (!options.has("queue")).then_some(0);
    let route = routing.routes.find(&RouteRequest {
        task: &task,
        args: &args,
        kwargs: &kwargs,
        options: &options.0,
        task_options,
    })?;
    target::complete(&mut options, task_options, route.as_deref());

    let eta = moment(&mut options, "countdown", "eta", now)?;
    let expires = moment(&mut options, "expires", "expires", now)?.or_else(|| {
        task_options?
            .expires
            .map(|after| Timestamp::from(now + after))
    });
    let target = target::target(&mut options, &routing.queues, defaults, default_priority)?;
    let timelimit = limits::of(&mut options, task_options)?;
    let confirm = options.flag("confirm")?.unwrap_or(true);
    let codec = match options.text("serializer")? {
        Some(name) => Codec::from_name(&name)
            .ok_or_else(|| Error::invalid("serializer", "json, msgpack or yaml", name))?,
        None => defaults.serializer,
    };
    let compression = match options.text("compression")? {
        Some(name) => Some(Compression::from_name(&name)?),
        None => defaults.compression,
    };
    let stamped = options.list("stamped_headers")?;
    let stamps = stamped
        .iter()
        .flatten()
        .filter_map(|name| Some((name.clone(), options.0.remove(name)?)));
    let stamps: Table = stamps.collect();

    let mut extra = options.table("headers")?;
    if let Some(trace) = &lineage.trace
        && !trace::names_span(&extra)
    {
        trace.write(&mut extra);
    }
    let headers = TaskHeaders {
        lang: Some("py".to_owned()),
        shadow: options.text("shadow")?,
        eta,
        expires,
        group: options.text("group_id")?,
        group_index: options.count("group_index")?,
        retries: options.count("retries")?.unwrap_or(0),
        timelimit,
        root_id: options
            .text("root_id")?
            .or_else(|| lineage.root_id.clone())
            .or_else(|| Some(id.clone())),
        parent_id: options
            .text("parent_id")?
            .or_else(|| lineage.parent_id.clone()),
        argsrepr: Some(match options.text("argsrepr")? {
            Some(text) => text,
            None => repr::args(&args, REPR_LIMIT),
        }),
        kwargsrepr: Some(match options.text("kwargsrepr")? {
            Some(text) => text,
            None => repr::kwargs(&kwargs, REPR_LIMIT),
        }),
        origin: Some(defaults.origin.clone()),
        // Null leaves the choice to the worker, which knows a task that we do not.
        ignore_result: options
            .flag("ignore_result")?
            .or_else(|| Some(task_options?.ignore_result)),
        replaced_task_nesting: options.count("replaced_task_nesting")?.unwrap_or(0),
        stamped_headers: stamped,
        stamps,
        compression: None,
        extra,
        task,
        id: id.clone(),
    };
    let properties = Properties {
        delivery_mode: Some(match options.persistent()?.unwrap_or(defaults.persistent) {
            true => 2,
            false => 1,
        }),
        priority: target.priority,
        correlation_id: Some(id),
        reply_to: Some(match options.text("reply_to")? {
            Some(queue) => queue,
            None => defaults.reply_to.clone(),
        }),
        expiration: match (options.take("expiration"), expires) {
            // A property that came with a message, as it was.
            (Some(Value::Str(millis)), _) => Some(millis),
            (Some(seconds), _) => expiration(Options::duration("expiration", &seconds)?),
            (None, expires) => expires.and_then(|at| expiration(at.after(now))),
        },
        message_id: options.text("message_id")?,
        timestamp: options.count("timestamp")?.map(u64::from),
        kind: options.text("type")?,
        user_id: options.text("user_id")?,
        app_id: options.text("app_id")?,
        cluster_id: options.text("cluster_id")?,
        ..Properties::default()
    };
    let body = Body::encode(codec, &args, &kwargs, embed)?;
    let message = TaskMessage::encode(headers, properties, body, compression)?;
    Ok(Publication {
        // Empty for the default exchange. A call that no queue takes is refused, wherever
        // it goes: its caller must not wait for what nobody got.
        exchange: target.exchange,
        // Without a confirm nobody hears of it.
        mandatory: confirm && options.flag("mandatory")?.unwrap_or(true),
        confirm,
        // A task that is not due yet is the broker's to keep, not a worker's.
        not_before: eta.map(SystemTime::from),
        ..Publication::to_queue(target.routing_key, message)
    })
}
