//! From a plain call to the message that asks for it: a pure function.

mod options;

use std::time::{Duration, SystemTime};

use celeriac_protocol::compression::Compression;
use celeriac_protocol::headers::TimeLimits;
use celeriac_protocol::{
    Body, Codec, Embed, Properties, Signature, Table, TaskHeaders, TaskMessage, Timestamp, Value,
    naming, repr,
};

use self::options::Options;
use crate::broker::Publication;
use crate::error::{Error, Result};
use crate::routing::Routes;
use crate::task::{Registry, TaskOptions};

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
    routes: &Routes,
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

    let eta = moment(&mut options, "countdown", "eta", now)?;
    let expires = moment(&mut options, "expires", "expires", now)?.or_else(|| {
        task_options?
            .expires
            .map(|after| Timestamp::from(now + after))
    });
    let target = target(&mut options, &task, task_options, routes, defaults)?;
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

    let headers = TaskHeaders {
        lang: Some("py".to_owned()),
        shadow: options.text("shadow")?,
        eta,
        expires,
        group: options.text("group_id")?,
        group_index: options.count("group_index")?,
        retries: options.count("retries")?.unwrap_or(0),
        timelimit: TimeLimits {
            hard: options.seconds("time_limit")?,
            soft: options.seconds("soft_time_limit")?,
        },
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
        extra: options.table("headers")?,
        task,
        id: id.clone(),
    };
    let properties = Properties {
        delivery_mode: Some(if defaults.persistent { 2 } else { 1 }),
        priority: target.priority,
        correlation_id: Some(id),
        reply_to: Some(match options.text("reply_to")? {
            Some(queue) => queue,
            None => defaults.reply_to.clone(),
        }),
        expiration: match options.text("expiration")? {
            Some(millis) => Some(millis),
            None => expires.and_then(|at| expiration(at.after(now))),
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
        // A task that is not due yet is the broker's to keep, not a worker's.
        not_before: eta.map(SystemTime::from),
        ..Publication::to_queue(target.routing_key, message)
    })
}

/// Returns for how long the broker is to keep a message, in its milliseconds of 32 bits.
///
/// `None` beyond these 49 days: the broker would refuse the message, and the worker
/// drops by the header whatever expired meanwhile.
fn expiration(left: Duration) -> Option<String> {
    let millis = u32::try_from(left.as_millis()).ok()?;
    Some(millis.to_string())
}

struct Target {
    exchange: String,
    routing_key: String,
    priority: Option<u8>,
}

/// The call's own options win over the task's, the task's over the routes, the routes
/// over the default queue.
fn target(
    options: &mut Options,
    task: &str,
    task_options: Option<&TaskOptions>,
    routes: &Routes,
    defaults: &Defaults,
) -> Result<Target> {
    let queue = options.text("queue")?;
    let exchange = options.text("exchange")?;
    let routing_key = options.text("routing_key")?;
    let priority = match options.count("priority")? {
        Some(number) => Some(u8::try_from(number).map_err(|_| {
            Error::invalid("priority", "a number from 0 to 255", number.to_string())
        })?),
        None => task_options.and_then(|options| options.priority),
    };
    let route = routes.find(task);
    // Celery's clients send 0, but nothing when the caller names the queue.
    let unnamed = queue.is_none().then_some(0);
    let priority = priority.or_else(|| route?.priority).or(unnamed);
    if let Some(exchange) = exchange.filter(|name| !name.is_empty()) {
        let routing_key = routing_key.unwrap_or_else(|| naming::DEFAULT_QUEUE.to_owned());
        return Ok(Target {
            exchange,
            routing_key,
            priority,
        });
    }
    let queue = queue
        .or(routing_key)
        .or_else(|| task_options?.queue.clone());
    if let Some(routing_key) = queue {
        return Ok(Target {
            exchange: String::new(),
            routing_key,
            priority,
        });
    }
    let route = route.cloned().unwrap_or_default();
    let key = route
        .routing_key
        .or(route.queue)
        .unwrap_or_else(|| defaults.queue.clone());
    Ok(Target {
        exchange: route.exchange.unwrap_or_default(),
        routing_key: key,
        priority,
    })
}

/// A moment given as seconds from now under `relative`, or as a time under `absolute`.
fn moment(
    options: &mut Options,
    relative: &str,
    absolute: &str,
    now: SystemTime,
) -> Result<Option<Timestamp>> {
    match options.take(relative) {
        Some(Value::Int(_) | Value::Float(_)) if relative != absolute && options.has(absolute) => {
            Err(Error::invalid(
                relative,
                format!("either {relative} or {absolute}"),
                "both",
            ))
        }
        Some(value @ (Value::Int(_) | Value::Float(_))) => {
            let seconds = value.as_f64().unwrap_or_default();
            let distance = Duration::try_from_secs_f64(seconds.abs()).map_err(|_| {
                Error::invalid(relative, "a number of seconds", seconds.to_string())
            })?;
            let at = if seconds < 0.0 {
                now.checked_sub(distance)
            } else {
                now.checked_add(distance)
            };
            at.map(|at| Some(at.into())).ok_or_else(|| {
                Error::invalid(
                    relative,
                    "a time before the year 10000",
                    seconds.to_string(),
                )
            })
        }
        Some(value) if relative == absolute => timestamp(&value).map(Some),
        Some(other) => Err(Error::invalid(
            relative,
            "a number of seconds",
            other.kind(),
        )),
        None if relative == absolute => Ok(None),
        None => options
            .take(absolute)
            .map(|value| timestamp(&value))
            .transpose(),
    }
}

/// A time as text, or as the typed value that kombu makes of a datetime.
fn timestamp(value: &Value) -> Result<Timestamp> {
    let text = match value {
        Value::Map(typed) => typed.get("__value__").and_then(Value::as_str),
        other => other.as_str(),
    };
    match text {
        Some(text) => Ok(Timestamp::parse(text)?),
        None => Err(Error::invalid(
            "eta or expires",
            "a time in ISO 8601",
            value.kind(),
        )),
    }
}
