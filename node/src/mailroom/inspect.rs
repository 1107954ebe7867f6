//! Commands that look and change nothing.

use std::sync::Arc;
use std::time::Instant;

use celeriac::clock;
use celeriac::protocol::control::{self, ExchangeInfo, QueueInfo};
use celeriac::protocol::{Table, Value};
use celeriac::routing::TaskQueue;
use celeriac::task::Handler;

use super::arguments::Arguments;
use super::command::Answer;
use super::{mingle, tasks};
use crate::job::Stage;
use crate::shared::Shared;

/// Attributes that `registered` shows when it is asked for none.
const DEFAULT_ATTRIBUTES: &[&str] = &["rate_limit"];

pub(super) fn ping(_: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    Ok(Some(control::ok("pong")))
}

pub(super) fn clock(shared: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    Ok(Some(table([("clock", shared.app.clock().value().into())])))
}

pub(super) fn active(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    let safe = arguments.flag("safe")?;
    let running = shared.jobs.at(Stage::Running);
    let running = tasks::infos(shared, &running, safe);
    Ok(list(running.iter().map(|task| task.to_value())))
}

pub(super) fn reserved(shared: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    Ok(list(
        tasks::reserved(shared).iter().map(|task| task.to_value()),
    ))
}

pub(super) fn scheduled(shared: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    Ok(list(
        tasks::scheduled(shared, clock::now())
            .iter()
            .map(|task| task.to_value()),
    ))
}

pub(super) fn query_task(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    let mut known = Table::new();
    for (place, task) in tasks::find(shared, &arguments.texts("ids")?, clock::now()) {
        let shown = vec![place.into(), task.to_value()];
        known.insert(task.id, shown);
    }
    Ok(Some(Value::Map(known)))
}

pub(super) fn revoked(shared: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    let ids = shared.revoked.ids(Instant::now());
    Ok(list(ids.into_iter().map(Value::from)))
}

pub(super) fn registered(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    let builtins = arguments.flag("builtins")?;
    let asked = arguments.texts("taskinfoitems")?;
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let attributes = if asked.is_empty() {
        DEFAULT_ATTRIBUTES
    } else {
        &asked
    };
    let handlers = shared.tasks.iter();
    let shown = handlers.filter(|task| builtins || !task.name().starts_with("celery."));
    Ok(list(
        shown.map(|task| describe(shared, &**task, attributes).into()),
    ))
}

/// Writes a task's name, and in brackets those of the attributes that it has.
fn describe(shared: &Shared, task: &dyn Handler, attributes: &[&str]) -> String {
    let options = task.options();
    let limits = shared.time_limits.get(task.name());
    let flag = |flag: bool| Some(if flag { "True" } else { "False" }.to_owned());
    let value = |name: &str| match name {
        "name" => Some(task.name().to_owned()),
        "rate_limit" => shared.rates.get(task.name()).map(|limit| limit.to_string()),
        "max_retries" => options.max_retries.map(|count| count.to_string()),
        "default_retry_delay" => Some(options.retry_delay.as_secs().to_string()),
        "serializer" => Some(shared.app.defaults().serializer.name().to_owned()),
        "queue" => options.queue.clone(),
        "priority" => options.priority.map(|priority| priority.to_string()),
        "soft_time_limit" => limits
            .map_or(options.soft_time_limit, |set| set.soft)
            .map(|limit| limit.as_secs_f64().to_string()),
        "time_limit" => limits
            .map_or(options.time_limit, |set| set.hard)
            .map(|limit| limit.as_secs_f64().to_string()),
        "expires" => options.expires.map(|time| time.as_secs_f64().to_string()),
        "acks_late" => flag(options.acks_late),
        "acks_on_failure_or_timeout" => flag(options.acks_on_failure),
        "ignore_result" => flag(options.ignore_result),
        "store_errors_even_if_ignored" => flag(options.store_errors_even_if_ignored),
        "track_started" => flag(options.track_started),
        _ => None,
    };
    let shown = attributes
        .iter()
        .filter_map(|name| Some(format!("{name}={}", value(name)?)));
    let shown: Vec<_> = shown.collect();
    match shown.is_empty() {
        true => task.name().to_owned(),
        false => format!("{} [{}]", task.name(), shown.join(" ")),
    }
}

pub(super) fn active_queues(shared: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    let mut names: Vec<String> = shared
        .queues
        .iter()
        .map(|entry| entry.key().clone())
        .collect();
    names.sort_unstable();
    let infos = names.iter().map(|name| {
        let queue = shared.task_queue(name);
        queue_info(&queue.unwrap_or_else(|_| TaskQueue::new(name))).to_value()
    });
    Ok(list(infos))
}

/// Describes a queue as Celery does.
fn queue_info(queue: &TaskQueue) -> QueueInfo {
    QueueInfo {
        name: queue.name.clone(),
        alias: queue.alias.clone(),
        exchange: ExchangeInfo {
            name: queue.exchange.clone(),
            kind: queue.exchange_type.as_str().to_owned(),
            durable: queue.durable,
            ..ExchangeInfo::default()
        },
        routing_key: queue.key().to_owned(),
        queue_arguments: Some(queue.arguments.clone()).filter(|arguments| !arguments.is_empty()),
        durable: queue.durable,
        auto_delete: queue.auto_delete,
        ..QueueInfo::default()
    }
}

/// Trades what is revoked with a node that starts.
pub(super) fn hello(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    if arguments.name("from_node")? == shared.name() {
        return Ok(None);
    }
    mingle::learn(
        shared,
        arguments.get("revoked"),
        arguments.get(mingle::STAMPS),
    );
    mingle::learn_deadly(shared, arguments.get(control::QUARANTINED));
    let (ids, stamps) = mingle::known(shared);
    let clock = shared.app.clock().forward();
    Ok(Some(table([
        ("revoked", ids),
        (mingle::STAMPS, stamps),
        (control::QUARANTINED, mingle::deadly(shared)),
        ("clock", clock.into()),
    ])))
}

fn list(items: impl Iterator<Item = Value>) -> Option<Value> {
    Some(Value::Array(items.collect()))
}

pub(super) fn table<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(
        entries
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}
