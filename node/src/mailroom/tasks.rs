//! The tasks of this node as remote control shows them.

use std::time::{SystemTime, UNIX_EPOCH};

use celeriac::protocol::control::{DeliveryInfo, ScheduledInfo, TaskInfo};
use celeriac::protocol::{Timestamp, Value, naming::defaults};
use celeriac::task;

use crate::job::{Job, Stage};
use crate::shared::Shared;
use crate::timetable::ParkedTask;

/// Larger bodies are shown by the texts in their headers: a reply with every argument
/// of every task would be as large as all of them together.
const MAX_SHOWN: usize = 16 << 10;

/// The place that Celery gives a task among those of the same time.
const TIMER_PRIORITY: i64 = 6;

/// Shows a job. With `safe`, or when its arguments are large, they are shown as text.
pub(super) fn info(shared: &Shared, job: &Job, safe: bool) -> TaskInfo {
    let started = job.started_at();
    let (args, kwargs) = match safe || job.body.len() > MAX_SHOWN {
        true => texts(job),
        false => values(shared, job).unwrap_or_else(|| texts(job)),
    };
    TaskInfo {
        id: job.id().to_owned(),
        name: job.headers().task.clone(),
        args,
        kwargs,
        hostname: shared.name().to_owned(),
        time_start: started.map(seconds),
        acknowledged: job.is_acknowledged(),
        delivery_info: delivery(&job.context.request().delivery),
        worker_pid: started.map(|_| std::process::id()),
    }
}

/// Shows the jobs that wait here for their time, and those this node has parked in the
/// broker; soonest first.
pub(super) fn scheduled(shared: &Shared, now: SystemTime) -> Vec<ScheduledInfo> {
    let item = |at: SystemTime, request| ScheduledInfo {
        eta: Timestamp::from(at),
        priority: TIMER_PRIORITY,
        request,
    };
    let held = shared.timetable.waiting();
    let held = held
        .into_iter()
        .map(|(at, job)| item(at, info(shared, &job, false)));
    let parked = shared.parked.waiting(now);
    let parked = parked
        .into_iter()
        .map(|task| item(task.until, parked_info(shared, task)));
    let mut all: Vec<_> = held.chain(parked).collect();
    all.sort_by_key(|item| item.eta.micros());
    all
}

/// Shows the jobs that wait for a place to run.
pub(super) fn reserved(shared: &Shared) -> Vec<TaskInfo> {
    let held: Vec<u64> = shared
        .timetable
        .waiting()
        .into_iter()
        .map(|(_, job)| job.serial)
        .collect();
    let waiting = shared.jobs.at(Stage::Waiting);
    let waiting = waiting.iter().filter(|job| !held.contains(&job.serial));
    waiting.map(|job| info(shared, job, false)).collect()
}

/// Names the list that a job stands in.
pub(super) fn place(shared: &Shared, job: &Job) -> &'static str {
    let held = || {
        shared
            .timetable
            .waiting()
            .iter()
            .any(|(_, held)| held.serial == job.serial)
    };
    match job.stage() {
        Stage::Waiting if held() => "scheduled",
        Stage::Waiting => "reserved",
        Stage::Running => "active",
        Stage::Delivering | Stage::Settled => "ready",
    }
}

/// Shows a task that waits in the broker; its arguments are there as well.
pub(super) fn parked_info(shared: &Shared, task: ParkedTask) -> TaskInfo {
    TaskInfo {
        id: task.id,
        name: task.name,
        args: task.argsrepr.into(),
        kwargs: task.kwargsrepr.into(),
        hostname: shared.name().to_owned(),
        time_start: None,
        // Its first message was; a second one waits in the broker.
        acknowledged: false,
        delivery_info: delivery(&task.delivery),
        worker_pid: None,
    }
}

fn values(shared: &Shared, job: &Job) -> Option<(Value, Value)> {
    let body = job.open(&shared.limits).ok()?;
    let parts = body.parts().ok()?;
    let args: Result<Vec<_>, _> = parts.args.iter().map(|raw| raw.to_value()).collect();
    let kwargs = parts
        .kwargs
        .iter()
        .map(|(name, raw)| Ok((name.to_string(), raw.to_value()?)));
    let kwargs: Result<_, celeriac::protocol::DecodeError> = kwargs.collect();
    Some((args.ok()?.into(), Value::Map(kwargs.ok()?)))
}

fn texts(job: &Job) -> (Value, Value) {
    let text = |text: &Option<String>| {
        let cut = |text: &String| text.chars().take(defaults::REPR_MAX).collect::<String>();
        Value::from(text.as_ref().map(cut))
    };
    (
        text(&job.headers().argsrepr),
        text(&job.headers().kwargsrepr),
    )
}

fn delivery(info: &task::DeliveryInfo) -> DeliveryInfo {
    DeliveryInfo {
        exchange: info.exchange.clone(),
        routing_key: info.routing_key.clone(),
        priority: info.priority,
        redelivered: info.redelivered,
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
