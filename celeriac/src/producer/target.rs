//! Where a message goes.

use celeriac_protocol::naming;

use super::Defaults;
use super::options::Options;
use crate::error::{Error, Result};
use crate::routing::{Queues, Route};
use crate::task::TaskOptions;

/// The options that name a place.
const PLACE: [&str; 4] = ["queue", "exchange", "routing_key", "exchange_type"];

pub(super) struct Target {
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) priority: Option<u8>,
}

/// Lays the options of the task and of the route under those of the call.
///
/// A place is one thing: the routing key of one is not for the exchange of another. A
/// routing key alone is for whatever queue comes from below.
pub(super) fn complete(
    options: &mut Options,
    task_options: Option<&TaskOptions>,
    route: Option<&Route>,
) {
    if let Some(task) = task_options {
        let named = options.has("queue") || options.has("exchange");
        if let Some(queue) = task.queue.as_deref().filter(|_| !named) {
            options.0.insert("queue", queue);
        }
        if let Some(priority) = task.priority.filter(|_| !options.has("priority")) {
            options.0.insert("priority", priority);
        }
    }
    let named = options.has("queue") || options.has("exchange");
    for (name, value) in route.into_iter().flat_map(|route| route.options().iter()) {
        let shut = named && PLACE.contains(&name);
        if !shut && !options.has(name) {
            options.0.insert(name, value.clone());
        }
    }
}

/// Takes the place out of completed options. `default_priority` is what goes without one.
///
/// # Errors
///
/// [`Error::Invalid`] for a priority out of range, and for a queue that may not be made.
pub(super) fn target(
    options: &mut Options,
    queues: &Queues,
    defaults: &Defaults,
    default_priority: Option<u8>,
) -> Result<Target> {
    let queue = options.text("queue")?;
    let exchange = options.text("exchange")?;
    let routing_key = options.text("routing_key")?;
    // Says nothing that the queue's description does not.
    options.take("exchange_type");
    let priority = match options.count("priority")? {
        Some(number) => Some(u8::try_from(number).map_err(|_| {
            Error::invalid("priority", "a number from 0 to 255", number.to_string())
        })?),
        None => default_priority,
    };
    let (exchange, routing_key) = match (exchange, routing_key, queue) {
        (Some(exchange), key, _) if !exchange.is_empty() => {
            let default = || naming::DEFAULT_QUEUE.to_owned();
            (exchange, key.unwrap_or_else(default))
        }
        // The default exchange, by its name.
        (Some(_), Some(key), None) => (String::new(), key),
        (_, key, queue) => {
            let queue = queue.unwrap_or_else(|| defaults.queue.clone());
            match queues.way(&queue)? {
                Some((exchange, own)) => (exchange, key.unwrap_or(own)),
                None => (String::new(), queue),
            }
        }
    };
    Ok(Target {
        exchange,
        routing_key,
        priority,
    })
}
