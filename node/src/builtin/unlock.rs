//! `celery.chord_unlock`: the end of a chord that its backend cannot count.
//!
//! ```text
//!          +--- not all ready: again after a while, under the same id ---+
//!          v                                                             |
//! client --> looks at the header's results ------------------------------+
//!                  | all ready           | cannot look any more
//!                  v                     v
//!          body is sent, or fails   body fails
//! ```
//!
//! Celery's clients send it beside the header where the backend only stores. Nothing here
//! sends it: our backends count, or refuse the chord.

use std::sync::Weak;
use std::time::Duration;

use celeriac::backend::{Joined, in_form_of};
use celeriac::clock;
use celeriac::producer::Lineage;
use celeriac::protocol::{Exception, ResultDocument, ResultTuple, Signature, Value};
use celeriac::task::{Context, Retry, TaskError, TaskOptions, TaskResult};

use super::Given;
use crate::backend;
use crate::execution::workflow::{self, Next};
use crate::shared::Shared;

pub(super) const NAME: &str = "celery.chord_unlock";

/// How long to wait before the header is looked at again, when the call does not say.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn options() -> TaskOptions {
    let mut options = TaskOptions::default();
    options.ignore_result = true;
    options.max_retries = None;
    options.retry_delay = INTERVAL;
    options
}

/// The chord of a call.
struct Chord {
    header: ResultTuple,
    body: Signature,
    interval: Duration,
    max_retries: Option<u32>,
}

impl Chord {
    fn read(mut given: Given) -> Result<Self, TaskError> {
        let group: String = given.required("group_id")?;
        let body = given.required("callback")?;
        let interval: Option<f64> = given.optional("interval")?;
        let max_retries = given.optional("max_retries")?;
        let results: Vec<ResultTuple> = given.required("result")?;
        let interval = interval.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(Self {
            header: ResultTuple::group(group, results),
            body,
            interval: interval.unwrap_or(INTERVAL),
            max_retries,
        })
    }
}

/// Looks at the header once.
pub(super) async fn unlock(shared: Weak<Shared>, context: Context, given: Given) -> TaskResult {
    let chord = Chord::read(given)?;
    let Some(shared) = shared.upgrade() else {
        return Err(TaskError::requeue("the node ends"));
    };
    let ids: Vec<String> = chord
        .header
        .tasks()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let looked = context.app().backend().fetch(&ids).await;
    let (why, ready) = match looked {
        Ok(documents) => (None, ready(documents)),
        Err(error) => (Some(error), None),
    };
    let lineage = context.lineage();
    let plan = |signature, rest| context.app().plan(signature, rest);
    let next = match ready {
        Some(results) => {
            let results = in_form_of(&chord.header, results);
            let (group, now) = (&chord.header.id, clock::now());
            workflow::on_joined(group, None, results, &chord.body, &lineage, now, &plan)
        }
        None => {
            let tries_left = chord
                .max_retries
                .is_none_or(|most| context.retries() < most);
            let hopeless = why.as_ref().is_some_and(|error| !error.is_retryable());
            if tries_left && !hopeless {
                let mut again = Retry::default().after(chord.interval);
                again.max_retries = chord.max_retries;
                again.exception = why.map(|why| Exception::python("RuntimeError", why.to_string()));
                return Err(again.into());
            }
            let why = why.map_or_else(
                || "the header did not end in time".to_owned(),
                |why| why.to_string(),
            );
            let why = format!("chord_unlock could not be retried: {why}");
            tracing::error!(group = chord.header.id, why, "chord fails");
            broken(&why, &chord, &lineage, &plan)
        }
    };
    // Done again after an error, the body bears the same id.
    match backend::perform(&shared, next).await {
        Ok(()) => Ok(Value::Null),
        Err(error) => {
            tracing::warn!(group = chord.header.id, %error, "end of a chord waits");
            Err(Retry::default().after(chord.interval).into())
        }
    }
}

fn broken(why: &str, chord: &Chord, lineage: &Lineage, plan: workflow::Planner<'_>) -> Next {
    let why = Exception::chord_error(why);
    workflow::on_chord_error(&why.into(), &chord.body, lineage, clock::now(), plan)
}

/// Returns the results when all are ready.
fn ready(documents: Vec<Option<ResultDocument>>) -> Option<Vec<Joined>> {
    let one = |document: Option<ResultDocument>| {
        let document = document.filter(|document| document.status.is_ready())?;
        Some(Joined {
            task_id: document.task_id,
            state: document.status,
            result: document.result,
        })
    };
    documents.into_iter().map(one).collect()
}
