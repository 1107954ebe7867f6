//! Commands that change something.

use std::sync::Arc;
use std::time::Duration;

use celeriac::broker::ExchangeKind;
use celeriac::protocol::control;
use celeriac::protocol::{Exception, Value, repr};
use celeriac::routing::TaskQueue;
use celeriac::task::RateLimit;
use tokio::time::Instant;

use super::arguments::{Arguments, wrong};
use super::command::Answer;
use crate::config::Autoscale;
use crate::execution::limits::RunLimits;
use crate::heart;
use crate::heart::tempo::BOUNDS;
use crate::job::Stage;
use crate::shared::{Command, Phase, Shared};
use crate::shutdown::Wish;

pub(super) fn rate_limit(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    let asked = arguments.get("rate_limit").unwrap_or(&Value::Null);
    let limit = match rate(asked) {
        Ok(limit) => limit,
        Err(error) if error.exc_type == "ValueError" => {
            let error = repr::exception(&error);
            let text = format!("Invalid rate limit string: {error}");
            return Ok(Some(control::error(text)));
        }
        Err(error) => return Err(error),
    };
    let task = arguments.name("task_name")?;
    if shared.tasks.get(task).is_none() {
        return Ok(Some(control::error("unknown task")));
    }
    shared.rates.set(task, limit);
    tracing::info!(
        task,
        limit = limit.map(|limit| limit.to_string()),
        "rate limit set"
    );
    // A text is set also when it says that there is none, as with Celery.
    let said = limit.is_some() || asked.as_str().is_some_and(|text| !text.is_empty());
    Ok(Some(control::ok(match said {
        true => "new rate limit set successfully",
        false => "rate limit disabled successfully",
    })))
}

/// Reads a rate limit, and tells of a wrong one as Celery does; 0 and nothing are none.
fn rate(value: &Value) -> Result<Option<RateLimit>, Exception> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::Str(text) if text.is_empty() => return Ok(None),
        Value::Str(text) => text.clone(),
        other => repr::python(other),
    };
    let (count, unit) = text.split_once('/').unwrap_or((&text, ""));
    if !["", "s", "m", "h"].contains(&unit) {
        return Err(Exception::python("KeyError", unit));
    }
    let count: f64 = count.trim().parse().map_err(|_| {
        let found = repr::python(&Value::from(count));
        let text = format!("could not convert string to float: {found}");
        Exception::python("ValueError", text)
    })?;
    if count == 0.0 {
        return Ok(None);
    }
    let read = text.parse().map(Some);
    read.map_err(|_| Exception::python("ValueError", format!("expected a rate, found {count}")))
}

pub(super) fn time_limit(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    let limits = RunLimits {
        soft: arguments.seconds("soft")?,
        hard: arguments.seconds("hard")?,
    };
    let task = arguments.text("task_name")?.unwrap_or_default();
    if shared.tasks.get(task).is_none() {
        return Ok(Some(control::error("unknown task")));
    }
    shared.time_limits.set(task, limits);
    tracing::info!(task, ?limits, "time limits set");
    Ok(Some(control::ok("time limits set successfully")))
}

/// Has tasks put away when they are delivered once more, because of what they did before.
pub(super) fn quarantine(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    let (ids, reason) = (arguments.texts("ids")?, arguments.name("reason")?);
    let added = ids.iter().filter(|id| shared.quarantine.add(id, reason));
    let added = added.count();
    tracing::warn!(?ids, reason, "tasks will not be tried again");
    Ok(Some(control::ok(format!("{added} tasks quarantined"))))
}

/// A node takes tasks from so many queues at most.
const MAX_QUEUES: usize = 1_000;

pub(super) fn add_consumer(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    let queue = queue(arguments)?;
    if shared.phase() > Phase::Running {
        let text = "the node ends, and takes no more tasks";
        return Err(Exception::python("RuntimeError", text));
    }
    if shared.queues.len() >= MAX_QUEUES && !shared.queues.contains_key(&queue) {
        let text = format!("expected {MAX_QUEUES} queues at most, found one more");
        return Err(Exception::python("ValueError", text));
    }
    let text = format!("add consumer {queue}");
    let queue = described(shared, &queue, arguments)?;
    let shared = Arc::clone(shared);
    // The answer does not wait for the broker, as with Celery.
    tokio::spawn(async move {
        let _ = shared.commands.send(Command::AddConsumer(queue)).await;
    });
    Ok(Some(control::ok(text)))
}

/// Describes a queue that is to be consumed: as it is known, or as the request says.
fn described(
    shared: &Shared,
    name: &str,
    arguments: Arguments<'_>,
) -> Result<TaskQueue, Exception> {
    let known = shared
        .task_queue(name)
        .map_err(|error| Exception::python("ValueError", error.to_string()))?;
    let (exchange, key) = (arguments.text("exchange")?, arguments.text("routing_key")?);
    let kind = arguments.text("exchange_type")?;
    // A queue is what it is described to be, as with Celery, whatever the request says.
    let described = shared.app.queues().iter().any(|queue| queue.is(name));
    if described || (exchange.is_none() && key.is_none() && kind.is_none()) {
        return Ok(known);
    }
    let kind = kind.unwrap_or("direct");
    let kind: ExchangeKind = kind
        .parse()
        .map_err(|_| wrong("exchange_type", "direct, topic or fanout", &kind.into()))?;
    let queue = TaskQueue {
        exchange: exchange.unwrap_or(name).to_owned(),
        exchange_type: kind,
        ..known
    };
    let queue = match key {
        Some(key) => queue.routing_key(key),
        None => queue,
    };
    match queue.check() {
        Ok(()) => Ok(queue),
        Err(error) => Err(Exception::python("ValueError", error.to_string())),
    }
}

pub(super) fn cancel_consumer(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    let queue = queue(arguments)?;
    let text = format!("no longer consuming from {queue}");
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let _ = shared.commands.send(Command::CancelConsumer(queue)).await;
    });
    Ok(Some(control::ok(text)))
}

fn queue(arguments: Arguments<'_>) -> Result<String, Exception> {
    let queue = arguments.name("queue")?;
    // AMQP carries names with a length of one byte.
    match queue.len() <= 250 {
        true => Ok(queue.to_owned()),
        false => Err(wrong("queue", "a name of 1 to 250 bytes", &queue.into())),
    }
}

pub(super) fn pool_grow(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    if shared.autoscale.is_some() {
        return Ok(Some(not_with_autoscale("pool_grow")));
    }
    let places = shared.resize(arguments.count("n")?.cast_signed());
    tracing::info!(places, "pool has grown");
    Ok(Some(control::ok("pool will grow")))
}

pub(super) fn pool_shrink(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    if shared.autoscale.is_some() {
        return Ok(Some(not_with_autoscale("pool_shrink")));
    }
    let places = shared.resize(-arguments.count("n")?.cast_signed());
    tracing::info!(places, "pool has shrunk");
    Ok(Some(control::ok("pool will shrink")))
}

fn not_with_autoscale(method: &str) -> Value {
    control::error(format!(
        "{method} is not supported with autoscale. Adjust autoscale range instead."
    ))
}

/// Replaces the processes of isolated tasks as they come free; other tasks are a part of
/// the program, and need none.
pub(super) fn pool_restart(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    if !shared.config.pool_restarts {
        return Err(Exception::python("ValueError", "Pool restarts not enabled"));
    }
    let modules = arguments.texts("modules")?;
    if arguments.flag("reload")? || !modules.is_empty() {
        let text = "a node's tasks are compiled into it: start a new one to load others";
        return Err(Exception::python("NotImplementedError", text));
    }
    shared.isolation.restart();
    tracing::info!("the pool is restarted");
    Ok(Some(control::ok("reload started")))
}

pub(super) fn autoscale(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    let Some(bounds) = &shared.autoscale else {
        return Err(Exception::python("ValueError", "Autoscale not enabled"));
    };
    let now = bounds.get();
    let bound = |name, present| match arguments.get(name) {
        None => Ok(present),
        Some(_) => arguments.count(name),
    };
    let (max, min) = (bound("max", now.max)?, bound("min", now.min)?);
    if max == 0 || min > max {
        let text =
            format!("expected a max of at least 1 and a min not above it, found {max} and {min}");
        return Err(Exception::python("ValueError", text));
    }
    shared.scale_between(bounds, Autoscale { max, min });
    tracing::info!(max, min, "autoscale bounds set");
    Ok(Some(control::ok(format!(
        "autoscale now max={max} min={min}"
    ))))
}

pub(super) fn enable_events(shared: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    Ok(Some(control::ok(match shared.events.enable(true) {
        false => "task events enabled",
        true => "task events already enabled",
    })))
}

pub(super) fn disable_events(shared: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    Ok(Some(control::ok(match shared.events.enable(false) {
        true => "task events disabled",
        false => "task events already disabled",
    })))
}

/// Sends one heartbeat now; nobody gets a reply.
pub(super) fn heartbeat(shared: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    let shared = Arc::clone(shared);
    tokio::spawn(async move { heart::answer(&shared).await });
    Ok(None)
}

/// Takes no more tasks and ends when those that run have, without a deadline.
pub(super) fn drain(shared: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    tracing::warn!("a drain was asked for by remote control");
    shared.shutdown.at_least(Wish::Finish);
    let running = shared.jobs.count(Stage::Running);
    Ok(Some(control::ok(format!("drains; {running} tasks run"))))
}

/// Slows the heartbeats down, for a while: what a supervisor of a large fleet asks for.
pub(super) fn heartbeat_interval(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    let asked = arguments.get("seconds").unwrap_or(&Value::Null);
    let seconds = asked.as_f64().filter(|seconds| BOUNDS.contains(seconds));
    let seconds = seconds.ok_or_else(|| wrong("seconds", "a number from 1 to 60", asked))?;
    let now = Instant::now();
    let before = shared.tempo.interval(now);
    shared.tempo.tell(Duration::from_secs_f64(seconds), now);
    let interval = shared.tempo.interval(now);
    if interval != before {
        tracing::info!(?interval, "heartbeat interval set");
    }
    let seconds = interval.as_secs_f64();
    Ok(Some(control::ok(format!(
        "heartbeat interval is {seconds} s"
    ))))
}

/// Ends the node as the first SIGTERM does; nobody gets a reply.
pub(super) fn shutdown(shared: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    tracing::warn!("shutdown asked for by remote control");
    shared.shutdown.at_least(Wish::Drain);
    Ok(None)
}

/// Does not stand: what the winner does is a task, which any queue gives to one node
/// already. Those who stand are answered ([`election`](crate::heart::election)).
pub(super) fn election(_: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn rates_are_read_as_celery_reads_them() {
        let limit = |count: f64, seconds| {
            Some(RateLimit {
                count,
                period: Duration::from_secs(seconds),
            })
        };
        for (value, expected) in [
            (Value::from("100/m"), limit(100.0, 60)),
            ("5".into(), limit(5.0, 1)),
            ("10/".into(), limit(10.0, 1)),
            (Value::Int(7), limit(7.0, 1)),
            ("0.5/s".into(), limit(0.5, 1)),
            ("1000/h".into(), limit(1000.0, 3600)),
            ("".into(), None),
            (Value::Int(0), None),
            ("0/s".into(), None),
        ] {
            assert_eq!(rate(&value).unwrap(), expected, "{value:?}");
        }
        for (value, error) in [
            (
                "xyz",
                "ValueError(\"could not convert string to float: 'xyz'\")",
            ),
            ("1/d", "KeyError('d')"),
            ("-1", "ValueError('expected a rate, found -1')"),
            ("nan", "ValueError('expected a rate, found NaN')"),
        ] {
            assert_eq!(repr::exception(&rate(&value.into()).unwrap_err()), error);
        }
    }
}
