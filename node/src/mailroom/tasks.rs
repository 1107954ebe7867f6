//! The tasks of this node as remote control shows them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use celeriac::clock;
use celeriac::protocol::control::{DeliveryInfo, ScheduledInfo, TaskInfo};
use celeriac::protocol::{Timestamp, Value, naming::defaults};
use celeriac::task;

use crate::job::{Job, Stage};
use crate::shared::Shared;
use crate::timetable::ParkedTask;

/// Larger bodies are shown by the texts in their headers: a reply with every argument
/// of every task would be as large as all of them together.
const MAX_SHOWN: usize = 16 << 10;

/// In a longer list all tasks are shown that way.
const MANY: usize = 256;

/// The place that Celery gives a task among those of the same time.
const TIMER_PRIORITY: i64 = 6;

/// Shows jobs; with `safe`, or when there are many, their arguments as text.
pub(super) fn infos(shared: &Shared, jobs: &[Arc<Job>], safe: bool) -> Vec<TaskInfo> {
    let safe = safe || jobs.len() > MANY;
    jobs.iter().map(|job| info(shared, job, safe)).collect()
}

/// Shows a job; with `safe`, or when they are large, its arguments as text.
fn info(shared: &Shared, job: &Job, safe: bool) -> TaskInfo {
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
        worker_pid: started.map(|_| job.worker()),
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
    let (times, held): (Vec<_>, Vec<_>) = shared.timetable.waiting().into_iter().unzip();
    // What could not be parked in the end waits here.
    let here: HashSet<String> = held.iter().map(|job| job.id().to_owned()).collect();
    let held = times.into_iter().zip(infos(shared, &held, false));
    let held = held.map(|(at, info)| item(at, info));
    let mut parked = shared.parked.waiting(now);
    parked.retain(|task| !here.contains(&task.id));
    let safe = parked.len() > MANY;
    let parked = parked
        .into_iter()
        .map(|task| item(task.until, parked_info(shared, task, safe)));
    let mut all: Vec<_> = held.chain(parked).collect();
    all.sort_by_key(|item| item.eta.micros());
    all
}

/// Shows the jobs that wait for a place to run.
pub(super) fn reserved(shared: &Shared) -> Vec<TaskInfo> {
    let (held, now) = (held(shared), clock::now());
    let mut waiting = shared.jobs.at(Stage::Waiting);
    waiting.retain(|job| !held.contains(&job.serial) && not_before(job, now).is_none());
    infos(shared, &waiting, false)
}

/// Shows the tasks of these ids that are here, or parked by this node in the broker,
/// each with the name of the list that it stands in.
pub(super) fn find(
    shared: &Shared,
    ids: &[String],
    now: SystemTime,
) -> Vec<(&'static str, TaskInfo)> {
    let (jobs, held) = (by_id(shared), held(shared));
    // One id may have come twice; the later one is meant.
    let here = ids.iter().filter_map(|id| jobs.get(id)?.last().cloned());
    let here: Vec<_> = here.collect();
    let places = here.iter().map(|job| place(&held, job, now));
    let here = places.zip(infos(shared, &here, false));
    let parked = shared.parked.waiting(now).into_iter();
    let parked = parked.filter(|task| ids.contains(&task.id) && !jobs.contains_key(&task.id));
    here.chain(parked.map(|task| ("scheduled", parked_info(shared, task, ids.len() > MANY))))
        .collect()
}

/// Returns every job of the node by the id of its task.
///
/// One walk over the table, however many ids are asked for.
pub(super) fn by_id(shared: &Shared) -> HashMap<String, Vec<Arc<Job>>> {
    let mut jobs = HashMap::<_, Vec<_>>::new();
    for stage in [Stage::Delivering, Stage::Running, Stage::Waiting] {
        for job in shared.jobs.at(stage) {
            jobs.entry(job.id().to_owned()).or_default().push(job);
        }
    }
    jobs
}

/// Returns the serial numbers of the jobs that wait for their time.
fn held(shared: &Shared) -> HashSet<u64> {
    let waiting = shared.timetable.waiting();
    waiting.into_iter().map(|(_, job)| job.serial).collect()
}

/// Returns when a job that has not started may start, if that is later than now.
fn not_before(job: &Job, now: SystemTime) -> Option<SystemTime> {
    let eta = job.headers().eta.map(SystemTime::from)?;
    (job.started_at().is_none() && eta > now).then_some(eta)
}

/// Names the list that a job stands in.
fn place(held: &HashSet<u64>, job: &Job, now: SystemTime) -> &'static str {
    match job.stage() {
        _ if not_before(job, now).is_some() => "scheduled",
        Stage::Waiting if held.contains(&job.serial) => "scheduled",
        Stage::Waiting => "reserved",
        Stage::Running => "active",
        Stage::Delivering | Stage::Settled => "ready",
    }
}

/// Shows a task that waits in the broker; with `safe`, or when they are large, its
/// arguments as text.
fn parked_info(shared: &Shared, task: ParkedTask, safe: bool) -> TaskInfo {
    let job = task.job.as_deref().filter(|_| !safe);
    let (args, kwargs) = job
        .and_then(|job| values(shared, job))
        .unwrap_or_else(|| (task.argsrepr.into(), task.kwargsrepr.into()));
    TaskInfo {
        id: task.id,
        name: task.name,
        args,
        kwargs,
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
