//! Calling tasks off.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac::backend::Store;
use celeriac::clock;
use celeriac::protocol::control::{self, Signal};
use celeriac::protocol::{Exception, ResultDocument, State, Table, Value, repr};
use tokio::time::timeout;

use super::arguments::{Arguments, wrong};
use super::command::{Answer, Later};
use super::tasks;
use crate::job::{Job, Stage, Stop};
use crate::revoked::{self, MAX_TEXT};
use crate::shared::Shared;

/// How many results are looked up and written at once.
const BATCH: usize = 256;

/// How long an answer waits for results to be written; the tasks are called off anyway.
const MARK_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn revoke(
    shared: &Arc<Shared>,
    arguments: Arguments<'_>,
) -> Result<Later<Answer>, Exception> {
    let ids = ids(arguments)?;
    Ok(call_off(shared, &ids, signal(arguments)?))
}

pub(super) fn terminate(
    shared: &Arc<Shared>,
    arguments: Arguments<'_>,
) -> Result<Later<Answer>, Exception> {
    let ids = ids(arguments)?;
    let signal = Signal::from_value(arguments.get("signal").unwrap_or(&Value::Null))?;
    Ok(call_off(shared, &ids, Some(signal)))
}

fn ids(arguments: Arguments<'_>) -> Result<Vec<String>, Exception> {
    let ids = arguments.texts("task_id")?;
    ids.iter().try_for_each(|id| fits("task_id", id))?;
    Ok(ids)
}

/// Reads whether tasks that run shall be stopped, and by which signal. One that is none
/// is told also when it is not needed.
fn signal(arguments: Arguments<'_>) -> Result<Option<Signal>, Exception> {
    let signal = Signal::from_value(arguments.get("signal").unwrap_or(&Value::Null))?;
    Ok(arguments.flag("terminate")?.then_some(signal))
}

/// Calls tasks off at once; the answer comes when the results of those that do not run
/// here are stored, so that who asked finds them.
fn call_off(shared: &Arc<Shared>, ids: &[String], signal: Option<Signal>) -> Later<Answer> {
    let mut seen = HashSet::with_capacity(ids.len());
    let unique: Vec<&String> = ids.iter().filter(|id| seen.insert(id.as_str())).collect();
    let revoked = unique.iter().map(|id| (*id).clone());
    shared.revoked.add(revoked, Instant::now());

    let all = tasks::by_id(shared);
    let is_active = |jobs: &Vec<Arc<Job>>| jobs.iter().any(|job| job.stage() >= Stage::Running);
    let runs = |id: &String| all.get(id).is_some_and(is_active);
    let elsewhere = unique.iter().filter(|id| !runs(id));
    let elsewhere = elsewhere.map(|id| (*id).clone()).collect();
    let marked = mark(Arc::clone(shared), elsewhere);

    let text = match signal {
        None => {
            tracing::info!(tasks = unique.len(), "tasks flagged as revoked");
            let shown = set(unique.iter().map(|id| id.as_str()));
            format!("tasks {shown} flagged as revoked")
        }
        Some(signal) => terminate_here(shared, &unique, &all, signal),
    };
    let shared = Arc::clone(shared);
    Box::pin(async move {
        let (marked, ()) =
            tokio::join!(timeout(MARK_WITHIN, marked), revoked::file::saved(&shared));
        if marked.is_err() {
            tracing::warn!("not every result says that its task is revoked: the backend is slow");
        }
        Ok(Some(control::ok(text)))
    })
}

/// Stops those of the tasks that run here, and says what Celery says of it.
fn terminate_here(
    shared: &Shared,
    unique: &[&String],
    all: &HashMap<String, Vec<Arc<Job>>>,
    signal: Signal,
) -> String {
    let jobs = unique.iter().filter_map(|id| all.get(*id)).flatten();
    jobs.for_each(|job| stop(job, signal));
    // What waits for its time is known, too, wherever it waits.
    let parked = shared.parked.waiting(clock::now());
    let parked: HashSet<&str> = parked.iter().map(|task| task.id.as_str()).collect();
    let ids = unique.iter().map(|id| id.as_str());
    let known = ids.filter(|id| all.contains_key(*id) || parked.contains(id));
    let ids: Vec<&str> = known.collect();
    match ids.is_empty() {
        true => "terminate: tasks unknown".to_owned(),
        false => format!("terminate: {}", ids.join(", ")),
    }
}

/// Stops a task if it runs. One that only waits is dropped when its turn comes.
fn stop(job: &Job, signal: Signal) {
    if job.stage() == Stage::Running {
        tracing::info!(task = job.headers().task, id = job.id(), %signal, "terminating");
        job.stop(Stop::Terminated(signal));
    }
}

/// Stores REVOKED for tasks that do not run here, unless they have started elsewhere or
/// are done: then that stands.
///
/// Only in a store that can be asked what it has. Where results are sent to the caller,
/// he hears when the message comes up.
async fn mark(shared: Arc<Shared>, ids: Vec<String>) {
    let backend = shared.app.backend();
    let can = backend.capabilities();
    if !(can.stores && can.fetch) {
        return;
    }
    for ids in ids.chunks(BATCH) {
        let found = match backend.fetch(ids).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "cannot store that tasks are revoked");
                return;
            }
        };
        let waits = |document: &Option<ResultDocument>| {
            document.as_ref().is_none_or(|document| {
                let waiting = [
                    State::Pending,
                    State::Received,
                    State::Retry,
                    State::Rejected,
                ];
                waiting.contains(&document.status)
            })
        };
        let waiting = ids
            .iter()
            .zip(found)
            .filter(|(_, document)| waits(document));
        let batch: Vec<_> = waiting
            .map(|(id, _)| Store {
                document: ResultDocument::revoked(id, "revoked", clock::now()),
                reply_to: None,
                correlation_id: None,
            })
            .collect();
        for answer in backend.store(batch).await {
            if let Err(error) = answer {
                tracing::warn!(%error, "cannot store that a task is revoked");
            }
        }
    }
}

/// Calls off what carries one of the stamps; the answer comes when that outlives the node.
pub(super) fn by_stamps(
    shared: &Arc<Shared>,
    arguments: Arguments<'_>,
) -> Result<Later<Answer>, Exception> {
    let headers = stamps(arguments.get("headers").unwrap_or(&Value::Null))?;
    let signal = signal(arguments)?;
    for (name, values) in headers.iter() {
        fits("headers", name)?;
        for value in many(values) {
            fits("headers", &revoked::text(value))?;
        }
    }
    for (name, values) in headers.iter() {
        shared.revoked.add_stamp(name, many(values), Instant::now());
    }
    let text = match signal {
        None => {
            let shown = repr::python(&Value::Map(headers));
            format!("headers {shown} flagged as revoked, but not terminated")
        }
        Some(signal) => terminate_stamped(shared, &headers, signal),
    };
    let shared = Arc::clone(shared);
    Ok(Box::pin(async move {
        revoked::file::saved(&shared).await;
        Ok(Some(control::ok(text)))
    }))
}

/// Stops what runs here and carries one of the stamps, and says what Celery says of it.
fn terminate_stamped(shared: &Shared, headers: &Table, signal: Signal) -> String {
    let mut stopped: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for job in shared.jobs.at(Stage::Running) {
        for (name, values) in headers.iter() {
            let matching = matching(&job.headers().stamps, name, many(values));
            if matching.is_empty() {
                continue;
            }
            let all = stopped.entry(name).or_default();
            for value in matching {
                if !all.contains(&value) {
                    all.push(value);
                }
            }
            stop(&job, signal);
        }
    }
    if stopped.is_empty() {
        let shown = repr::python(&Value::Map(headers.clone()));
        return format!("headers {shown} were not terminated");
    }
    let pairs = stopped.iter().map(|(name, values)| {
        let values = set(values.iter().map(String::as_str));
        format!("{}: {values}", repr::python(&Value::from(*name)))
    });
    let pairs: Vec<_> = pairs.collect();
    format!(
        "headers defaultdict(<class 'set'>, {{{}}}) revoked",
        pairs.join(", ")
    )
}

/// Refuses what is too long to be remembered.
fn fits(argument: &str, text: &str) -> Result<(), Exception> {
    match text.len() <= MAX_TEXT {
        true => Ok(()),
        false => {
            let expected = format!("texts of {MAX_TEXT} bytes at most");
            Err(wrong(argument, &expected, &text.into()))
        }
    }
}

/// Reads stamps: a map, or a list of `name=value` as the command line gives them.
fn stamps(headers: &Value) -> Result<Table, Exception> {
    let expected = "a map of stamps, or a list of name=value";
    match headers {
        Value::Map(headers) => Ok(headers.clone()),
        Value::Array(pairs) => {
            let mut table = Table::new();
            for pair in pairs {
                let (name, value) = pair
                    .as_str()
                    .and_then(|pair| pair.split_once('='))
                    .ok_or_else(|| wrong("headers", expected, pair))?;
                table.insert(name, value);
            }
            Ok(table)
        }
        other => Err(wrong("headers", expected, other)),
    }
}

/// Returns which of the values a task carries under a stamp's name.
fn matching(stamps: &Table, name: &str, values: &[Value]) -> Vec<String> {
    let carried: Vec<String> = stamps
        .get(name)
        .map_or(&[][..], many)
        .iter()
        .map(revoked::text)
        .collect();
    values
        .iter()
        .map(revoked::text)
        .filter(|value| carried.contains(value))
        .collect()
}

/// One value is as good as a list of one.
fn many(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) => values,
        one => std::slice::from_ref(one),
    }
}

/// Shows texts as Python shows a set.
fn set<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<_> = items.map(|item| repr::python(&Value::from(item))).collect();
    match items.is_empty() {
        true => "set()".to_owned(),
        false => format!("{{{}}}", items.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn texts_are_shown_as_a_set() {
        assert_eq!(set(["a", "it's"].into_iter()), r#"{'a', "it's"}"#);
        assert_eq!(set(std::iter::empty()), "set()");
    }

    #[test]
    fn stamps_come_as_a_map_or_as_pairs() {
        let pairs = Value::Array(vec!["a=b".into(), "c=d=e".into()]);
        let table = stamps(&pairs).unwrap();
        assert_eq!(
            repr::python(&Value::Map(table.clone())),
            "{'a': 'b', 'c': 'd=e'}"
        );
        assert_eq!(stamps(&Value::Map(table.clone())).unwrap(), table);
        for bad in [Value::Null, Value::Array(vec!["a".into()]), "a=b".into()] {
            assert!(stamps(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn any_element_of_a_stamp_matches() {
        let mut carried = Table::new();
        carried.push("customer", vec![Value::Int(7), "x".into()]);
        assert_eq!(
            matching(&carried, "customer", &["7".into(), "8".into()]),
            ["7"]
        );
        assert!(matching(&carried, "order", &["7".into()]).is_empty());
    }
}
