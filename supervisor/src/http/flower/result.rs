//! Results of tasks.

use std::time::Duration;

use axum::extract::State;
use celeriac::AsyncResult;
use celeriac::backend::Store;
use celeriac_protocol::{Exception, ResultDocument, State as TaskState, Value};
use serde_json::json;

use super::input::Arguments;
use super::{Answer, Failure, json as answer, message};
use crate::access::Identity;
use crate::http::Desk;
use crate::http::extract::Path;

/// What became of waiting for a result.
pub(super) enum Waited {
    /// `state`, `result` and perhaps `traceback`.
    Ready(serde_json::Value),
    NotYet(String),
}

pub(super) async fn read(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    arguments: Arguments,
) -> Answer {
    let timeout = arguments.number::<f64>("timeout", "float")?;
    if !desk.app.backend().capabilities().stores {
        return Err(Failure::new(503, ""));
    }
    let result = desk.app.result::<Value>(id.as_str());
    let within = timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let waited = match within.filter(|within| !within.is_zero()) {
        Some(within) => wait(&desk, &result, within).await?,
        None => look(&desk, &result).await?,
    };
    let mut response = json!({ "task-id": id });
    match waited {
        Waited::NotYet(state) => response["state"] = state.into(),
        Waited::Ready(ready) => {
            if let (Some(response), Some(ready)) = (response.as_object_mut(), ready.as_object()) {
                response.extend(ready.clone());
            }
        }
    }
    Ok(answer(&response))
}

/// Stores the state ABORTED, which a task may look at. Nothing is stopped by it.
pub(super) async fn abort(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    who: Identity,
) -> Answer {
    let backend = desk.app.backend();
    if !backend.capabilities().fetch {
        return Err(Failure::new(503, ""));
    }
    let aborted = TaskState::Custom("ABORTED".to_owned());
    let store = Store {
        document: ResultDocument::new(id.as_str(), aborted, Value::Null),
        reply_to: None,
        correlation_id: None,
    };
    let stored = tokio::time::timeout(desk.config.broker_timeout, backend.store(vec![store]));
    let stored = stored.await.map_err(|_| late())?;
    stored.into_iter().collect::<celeriac::Result<Vec<_>>>()?;
    desk.audit(&who, "task.abort", &id, json!({})).await;
    Ok(message(format!("Aborted '{id}'")))
}

/// Waits for a result, at most as long as the settings let a request wait.
pub(super) async fn wait(
    desk: &Desk,
    result: &AsyncResult<Value>,
    within: Duration,
) -> Result<Waited, Failure> {
    match result.ready(within.min(desk.config.max_wait)).await {
        Ok(document) => Ok(Waited::Ready(ready(desk.hide(document)))),
        Err(celeriac::Error::Timeout { .. }) => look(desk, result).await,
        Err(error) => Err(error.into()),
    }
}

async fn look(desk: &Desk, result: &AsyncResult<Value>) -> Result<Waited, Failure> {
    let pending = || Waited::NotYet(TaskState::Pending.as_str().to_owned());
    if !desk.app.backend().capabilities().fetch {
        return Ok(pending());
    }
    let document = tokio::time::timeout(desk.config.broker_timeout, result.document());
    match document.await.map_err(|_| late())?? {
        Some(document) if document.status.is_ready() => {
            Ok(Waited::Ready(ready(desk.hide(document))))
        }
        Some(document) => Ok(Waited::NotYet(document.status.as_str().to_owned())),
        None => Ok(pending()),
    }
}

fn ready(document: ResultDocument) -> serde_json::Value {
    let state = document.status.as_str();
    if document.status == TaskState::Success {
        return json!({ "state": state, "result": document.result });
    }
    // What cannot be written as JSON is written as Python would show it.
    let shown = match Exception::from_value(&document.result) {
        Ok(exception) => exception.to_string().into(),
        Err(_) => json!(document.result),
    };
    let mut ready = json!({ "state": state, "result": shown });
    if document.status == TaskState::Failure {
        ready["traceback"] = json!(document.traceback);
    }
    ready
}

fn late() -> Failure {
    Failure::new(504, "the result backend did not answer in time")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn results_are_written_as_flower_writes_them() {
        let done = ResultDocument::new("id", TaskState::Success, 3);
        assert_eq!(ready(done), json!({ "state": "SUCCESS", "result": 3 }));
        let error = json!({
            "exc_type": "ValueError", "exc_message": ["boom", 42], "exc_module": "builtins",
        });
        let error: Value = serde_json::from_value(error).unwrap();
        let failed = ResultDocument {
            traceback: Some("Traceback\n".to_owned()),
            ..ResultDocument::new("id", TaskState::Failure, error)
        };
        let expected = json!({
            "state": "FAILURE", "result": "ValueError('boom', 42)", "traceback": "Traceback\n",
        });
        assert_eq!(ready(failed), expected);
    }
}
