//! `celeriac node`: runs a worker node.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use celeriac_node::isolation::Isolation;
use celeriac_node::{Autoscale, Config, Node, Prefetch, Reason, Stopped};
use futures_util::future::join;
use tokio::time::{Instant, timeout_at};

use crate::app::Tasks;
use crate::error::Error;
use crate::settings::{Grace, Settings};
use crate::signals::Signals;
use crate::traces::Export;

pub(crate) async fn run(settings: &Settings, tasks: Tasks<'_>) -> Result<(), Error> {
    // First, because process 1 does not even end at a signal that nobody listens to.
    let signals = Signals::listen()?;
    let config = config(settings)?;
    let (drain, end) = (config.drain_deadline, config.end_within);
    let export = Export::start(settings)?;
    let app = super::worker(settings, tasks, export.as_ref())?;
    let node = Node::new(app.clone(), config)?;
    let stopped = tokio::select! {
        stopped = node.run(signals.node.clone()) => stopped?,
        // The node keeps its own time, unless one of its threads is blocked.
        () = signals.overdue(drain.saturating_add(end * 9 / 10)) => {
            let why = "the node did not end in time, because a thread of it is blocked: what it \
                       has is delivered again";
            return Err(Error::Fault(why.to_owned()));
        }
    };
    let close = async { join(app.close(), Export::close(export)).await };
    let until = signals.end(drain.saturating_add(end * 19 / 20));
    if timeout_at(until.max(Instant::now() + CLOSE_LEAST), close)
        .await
        .is_err()
    {
        tracing::warn!("the connections could not be closed in time");
    }
    ended(&stopped)
}

/// How long connections may take to be closed, however late it is.
const CLOSE_LEAST: Duration = Duration::from_millis(200);

/// Says how a node ended, as the last line of its log.
fn ended(stopped: &Stopped) -> Result<(), Error> {
    match &stopped.reason {
        Reason::Fault(_) => Err(Error::Fault(stopped.to_string())),
        _ if !stopped.undelivered.is_empty() => Err(Error::Undecided(stopped.to_string())),
        _ => {
            tracing::info!("{stopped}");
            Ok(())
        }
    }
}

/// Turns the settings into a node's configuration.
pub(crate) fn config(settings: &Settings) -> Result<Config, Error> {
    let mut config = Config {
        queues: super::queues(settings),
        ..Config::default()
    };
    if let Some(name) = settings.text("hostname") {
        config.name = name.replace("%h", &celeriac::host::name());
    }
    if let Some(concurrency) = settings.parse("concurrency", "a number from 1")? {
        config.concurrency = concurrency;
    }
    config.autoscale = settings.with("autoscale", autoscale)?;
    config.state_db = settings.text("state_db").map(PathBuf::from);
    if let Some(restarts) = settings.flag("pool_restarts")? {
        config.pool_restarts = restarts;
    }
    if let Some(prefetch) = settings.with("prefetch", prefetch)? {
        config.prefetch = prefetch;
    }
    let deadline = settings.duration("drain_deadline")?;
    if let Some(deadline) = deadline {
        config.drain_deadline = deadline;
    }
    if let Some(grace) = Grace::read(settings)? {
        config.end_within = grace.margin();
        config.drain_deadline = match deadline {
            Some(deadline) => grace.allows(deadline).map_err(|error| {
                settings.wrong(&["drain_deadline", "termination_grace_period"], &error)
            })?,
            None => grace.deadline(),
        };
    }
    if let Some(events) = settings.flag("events")? {
        config.events = events;
    }
    if let Some(direct) = settings.flag("worker_direct")? {
        config.worker_direct = direct;
    }
    if let Some(kept) = settings.parse("dead_letters", "none, undecodable or failed")? {
        config.dead_letters = kept;
    }
    if let Some(most) = settings.parse::<u32>("max_deliveries", "a number, 0 for no limit")? {
        config.max_deliveries = (most > 0).then_some(most);
    }
    if let Some(builtin_tasks) = settings.flag("builtin_tasks")? {
        config.builtin_tasks = builtin_tasks;
    }
    if let Some(max_body) = settings.parse("max_body", "a number of bytes")? {
        config.max_body = max_body;
    }
    config.default_time_limit = settings
        .duration("time_limit")?
        .or(config.default_time_limit);
    config.default_soft_time_limit = settings
        .duration("soft_time_limit")?
        .or(config.default_soft_time_limit);
    config.isolation = isolation(settings)?;
    config.http = settings.parse::<SocketAddr>("http", "an address such as 127.0.0.1:9464")?;
    config.check().map_err(|error| settings.blame(error))?;
    Ok(config)
}

/// Reads bounds as Celery does: `10,3`, or `10` with a minimum of 0.
fn autoscale(text: &str) -> Result<Autoscale, String> {
    let wrong = || format!("expected a maximum and a minimum such as 10,3, found {text:?}");
    let number = |text: &str| text.trim().parse().map_err(|_| wrong());
    let (max, min) = text.split_once(',').unwrap_or((text, "0"));
    Ok(Autoscale {
        max: number(max)?,
        min: number(min)?,
    })
}

fn isolation(settings: &Settings) -> Result<Isolation, Error> {
    let kibi = |name| {
        let kibi = settings.parse::<u64>(name, "a number of KiB")?;
        Ok::<_, Error>(kibi.map(|kibi| kibi.saturating_mul(1 << 10)))
    };
    Ok(Isolation {
        processes: settings.parse("child_processes", "a number from 1")?,
        max_tasks: settings.parse("max_tasks_per_child", "a number from 1")?,
        recycle_memory: kibi("max_memory_per_child")?,
        max_memory: kibi("memory_limit_per_child")?,
        ..Isolation::default()
    })
}

fn prefetch(text: &str) -> Result<Prefetch, String> {
    let wrong =
        || format!("expected a number such as 100, or a multiplier such as 4x, found {text:?}");
    match text.trim().strip_suffix('x') {
        Some(multiplier) => multiplier
            .parse()
            .map(Prefetch::Multiplier)
            .map_err(|_| wrong()),
        None => text
            .trim()
            .parse()
            .map(Prefetch::Absolute)
            .map_err(|_| wrong()),
    }
}
