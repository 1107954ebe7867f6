//! The command `stats`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use celeriac::protocol::{Table, Value};
use url::Url;

use super::arguments::Arguments;
use super::command::Answer;
use super::inspect::table;
use crate::autoscale::Load;
use crate::config::Autoscale;
use crate::metrics::process::Process;
use crate::shared::Shared;

pub(super) fn stats(shared: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    let prefetch: u64 = shared
        .queues
        .iter()
        .map(|queue| u64::from(queue.prefetch.load(Ordering::Relaxed)))
        .sum();
    let mut stats = table([
        ("total", total(shared).into()),
        ("pid", std::process::id().into()),
        ("clock", shared.app.clock().value().to_string().into()),
        ("uptime", shared.since.elapsed().as_secs().into()),
        ("pool", pool(shared)),
        ("broker", broker(&shared.app.broker().url())),
        ("prefetch_count", prefetch.into()),
        ("rusage", usage(&Process::read())),
    ]);
    if let (Some(bounds), Value::Map(stats)) = (&shared.autoscale, &mut stats) {
        stats.push("autoscaler", autoscaler(bounds.get(), Load::read(shared)));
    }
    Ok(Some(stats))
}

fn autoscaler(bounds: Autoscale, load: Load) -> Value {
    table([
        ("max", (bounds.max as u64).into()),
        ("min", (bounds.min as u64).into()),
        ("current", (load.places as u64).into()),
        ("qty", ((load.used + load.waiting) as u64).into()),
    ])
}

/// How many runs of each task have started; none is left out.
fn total(shared: &Shared) -> Table {
    let tasks = shared
        .counters
        .tasks()
        .map(|(name, counted)| (name, counted.started.get()));
    tasks
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| (name.to_owned(), count.into()))
        .collect()
}

/// The pool in Celery's words: this process, whose one queue takes everything, or those
/// that it started for isolated tasks.
fn pool(shared: &Shared) -> Value {
    let started = shared.counters.sum(|task| &task.started);
    let (places, used) = (shared.slots.capacity() as u64, shared.slots.used() as u64);
    let seconds = |limit: Option<std::time::Duration>| match limit {
        Some(limit) => Value::Float(limit.as_secs_f64()),
        None => Value::Int(0),
    };
    let limits = vec![
        seconds(shared.config.default_soft_time_limit),
        seconds(shared.config.default_time_limit),
    ];
    let processes = shared.isolation.processes().into_iter();
    let mut processes: Vec<Value> = processes.map(|(pid, _)| pid.into()).collect();
    if processes.is_empty() {
        processes.push(std::process::id().into());
    }
    let max_tasks = shared.isolation.max_tasks();
    let max_tasks = max_tasks.map_or_else(|| "N/A".into(), Value::from);
    let share = if started == 0 { "0.00" } else { "1.00" };
    let writes = table([
        ("total", started.into()),
        ("avg", share.into()),
        ("all", share.into()),
        ("raw", started.to_string().into()),
        ("strategy", "fair".into()),
        (
            "inqueues",
            table([("total", places.into()), ("active", used.into())]),
        ),
    ]);
    table([
        ("implementation", "celeriac_node:Slots".into()),
        ("max-concurrency", places.into()),
        ("processes", processes.into()),
        ("max-tasks-per-child", max_tasks),
        ("put-guarded-by-semaphore", true.into()),
        ("timeouts", limits.into()),
        ("writes", writes),
    ])
}

/// What can be read off the broker's URL, which has no password any more.
fn broker(url: &str) -> Value {
    let parsed = Url::parse(url).ok();
    let url = parsed.as_ref();
    let text = |text: Option<&str>| Value::from(text.filter(|text| !text.is_empty()));
    let scheme = url.map_or("", Url::scheme);
    let is_amqp = matches!(scheme, "amqp" | "amqps" | "pyamqp");
    let secure = scheme == "amqps";
    let vhost = match url.map(|url| url.path().trim_start_matches('/')) {
        Some("" | "%2F" | "%2f") | None => "/",
        Some(path) => path,
    };
    let standard = is_amqp.then_some(if secure { 5671_u32 } else { 5672 });
    let port = url.and_then(Url::port).map(u32::from).or(standard);
    let host = url
        .and_then(Url::host_str)
        .or(is_amqp.then_some("localhost"));
    let user = url.map(Url::username).filter(|user| !user.is_empty());
    table([
        ("hostname", text(host)),
        ("userid", text(user.or(is_amqp.then_some("guest")))),
        (
            "virtual_host",
            if is_amqp { vhost.into() } else { Value::Null },
        ),
        ("port", port.into()),
        ("insist", false.into()),
        ("ssl", secure.into()),
        ("transport", scheme.into()),
        ("connect_timeout", Value::Null),
        ("transport_options", Table::new().into()),
        (
            "login_method",
            if is_amqp { "PLAIN".into() } else { Value::Null },
        ),
        ("uri_prefix", Value::Null),
        ("heartbeat", Value::Null),
        ("failover_strategy", Value::Null),
        ("alternates", Vec::new().into()),
        ("credential_provider", Value::Null),
    ])
}

/// The kernel's figures under the names of `getrusage`; what it does not tell, or no
/// kernel counts, is 0.
fn usage(process: &Process) -> Value {
    table([
        ("utime", process.utime.into()),
        ("stime", process.stime.into()),
        ("maxrss", (process.max_rss >> 10).into()),
        ("ixrss", Value::Int(0)),
        ("idrss", Value::Int(0)),
        ("isrss", Value::Int(0)),
        ("minflt", process.minflt.into()),
        ("majflt", process.majflt.into()),
        ("nswap", Value::Int(0)),
        ("inblock", Value::Int(0)),
        ("oublock", Value::Int(0)),
        ("msgsnd", Value::Int(0)),
        ("msgrcv", Value::Int(0)),
        ("nsignals", Value::Int(0)),
        ("nvcsw", process.nvcsw.into()),
        ("nivcsw", process.nivcsw.into()),
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use celeriac::protocol::repr;

    use super::*;

    fn part(url: &str, name: &str) -> String {
        repr::python(broker(url).as_map().unwrap().get(name).unwrap())
    }

    #[test]
    fn a_broker_url_is_told_in_parts() {
        let url = "amqp://user:**@rabbit.example:5702/h1";
        for (name, expected) in [
            ("hostname", "'rabbit.example'"),
            ("userid", "'user'"),
            ("virtual_host", "'h1'"),
            ("port", "5702"),
            ("ssl", "False"),
            ("transport", "'amqp'"),
        ] {
            assert_eq!(part(url, name), expected, "{name}");
        }
        assert!(!repr::python(&broker(url)).contains("**"));
    }

    #[test]
    fn what_a_url_leaves_out_is_the_usual() {
        assert_eq!(part("amqps://", "port"), "5671");
        assert_eq!(part("amqp://localhost//", "virtual_host"), "'/'");
        assert_eq!(part("memory://", "port"), "None");
        assert_eq!(part("memory://", "transport"), "'memory'");
    }
}
