//! Calling tasks. There is no list of tasks to look a name up in, so any may be called.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use celeriac::AsyncResult;
use celeriac_protocol::{State as TaskState, Table, Value};
use serde_json::json;

use super::result::{Waited, wait};
use super::{Answer, Failure, json as answer};
use crate::access::Identity;
use crate::actor::{Awaited, Launched};
use crate::cluster::{Call, cut};
use crate::http::Desk;
use crate::http::api::check;
use crate::http::extract::Path;

/// What to call a task with.
#[derive(Debug, Clone, PartialEq)]
struct Order {
    args: Vec<Value>,
    kwargs: Table,
    options: Table,
    timeout: Option<f64>,
}

/// Arguments are shown as texts, cut to this many bytes.
const TEXT: usize = 4 * 1024;

/// Calls a task and waits for its result: as long as was asked, and at most as long as
/// the settings let a request wait.
pub(super) async fn apply(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    who: Identity,
    body: Bytes,
) -> Answer {
    let order = Order::read(&body)?;
    let timeout = order.timeout;
    if !desk.app.backend().capabilities().stores {
        return Err(Failure::new(503, "no result backend"));
    }
    let result = send(&desk, &who, &name, order).await?;
    let id = result.id().to_owned();
    let within = timeout.filter(|seconds| *seconds > 0.0);
    let within = within.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let mut response = json!({ "task-id": id });
    match wait(&desk, &result, within.unwrap_or(desk.config.max_wait)).await? {
        Waited::Ready(ready) => {
            if let (Some(response), Some(ready)) = (response.as_object_mut(), ready.as_object()) {
                response.extend(ready.clone());
            }
        }
        Waited::NotYet(state) => {
            response["state"] = state.into();
            keep_waiting(&desk, result).await;
        }
    }
    Ok(answer(&response))
}

pub(super) async fn async_apply(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    who: Identity,
    body: Bytes,
) -> Answer {
    let order = Order::read(&body)?;
    let result = send(&desk, &who, &name, order).await?;
    let mut response = json!({ "task-id": result.id() });
    if desk.app.backend().capabilities().stores {
        response["state"] = TaskState::Pending.as_str().into();
    }
    keep_waiting(&desk, result).await;
    Ok(answer(&response))
}

async fn send(
    desk: &Desk,
    who: &Identity,
    name: &str,
    order: Order,
) -> Result<AsyncResult<Value>, Failure> {
    if !check::is_name(name) {
        return Err(Failure::new(400, "Invalid task name"));
    }
    let show = |json: serde_json::Result<String>| json.ok().map(|text| cut(&text, TEXT));
    let shown = Call {
        name: Some(name.into()),
        args: show(serde_json::to_string(&order.args)),
        kwargs: show(serde_json::to_string(&order.kwargs)),
        ..Call::default()
    };
    let queue = order
        .options
        .get("queue")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let mut call = desk.app.call(name).args(order.args).kwargs(order.kwargs);
    for (option, value) in order.options {
        call = call.option(&option, value);
    }
    let at = celeriac::clock::now();
    let result: AsyncResult<Value> = call.send(&desk.app).await?;
    let id = result.id().to_owned();
    let details = json!({ "id": id, "queue": queue });
    desk.audit(who, "task.send", name, details).await;
    let launched = Launched {
        id,
        at,
        call: shown,
        queue: queue.map(Into::into),
    };
    if desk.root.send(launched).await.is_err() {
        tracing::warn!("a task was sent but is missing in the history: the root is gone");
    }
    Ok(result)
}

/// Lets the Backend wait for a result that nobody waits for any more.
async fn keep_waiting(desk: &Desk, result: AsyncResult<Value>) {
    // The task was sent all the same when nobody hears.
    let _ = desk.root.send(Awaited(result)).await;
}

impl Order {
    fn read(body: &[u8]) -> Result<Self, Failure> {
        let body = if body.is_empty() { b"{}" } else { body };
        let parsed: Value =
            serde_json::from_slice(body).map_err(|error| Failure::new(400, error.to_string()))?;
        let Value::Map(mut options) = parsed else {
            return Err(Failure::new(400, "invalid options"));
        };
        let args = match options.remove("args") {
            None => Vec::new(),
            Some(Value::Array(args)) => args,
            Some(_) => return Err(Failure::new(400, "args must be an array")),
        };
        let kwargs = match options.remove("kwargs") {
            None | Some(Value::Null) => Table::new(),
            Some(Value::Map(kwargs)) => kwargs,
            Some(_) => return Err(Failure::new(400, "kwargs must be an object")),
        };
        let timeout = match options.remove("timeout") {
            None | Some(Value::Null) => None,
            Some(value) => {
                Some(number(&value).ok_or_else(|| Failure::new(400, "Invalid timeout"))?)
            }
        };
        let invalid = || Failure::new(400, "Invalid option");
        for name in ["countdown", "expires", "eta"] {
            let Some(value) = options.remove(name) else {
                continue;
            };
            let seconds = number(&value).filter(|seconds| seconds.is_finite() && name != "eta");
            let value = match seconds {
                Some(seconds) => Value::Float(seconds),
                None if name == "countdown" => return Err(invalid()),
                None => moment(value.as_str().unwrap_or_default())
                    .ok_or_else(invalid)?
                    .into(),
            };
            options.insert(name, value);
        }
        Ok(Self {
            args,
            kwargs,
            options,
            timeout,
        })
    }
}

fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_i64().map(|n| n as f64));
    number.or_else(|| value.as_str()?.trim().parse().ok())
}

/// Reads `2026-11-22 08:00:00.5`, in UTC, as the protocol writes it.
fn moment(text: &str) -> Option<String> {
    let civil = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S%.f", text).ok()?;
    Some(format!("{civil}+00:00"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn orders_are_read_as_flower_reads_them() {
        let body = br#"{"args":[1],"kwargs":{"a":2},"countdown":"3","expires":60,
                        "eta":"2026-11-22 08:00:00.500000","queue":"q","timeout":1.5}"#;
        let order = Order::read(body).unwrap();
        assert_eq!(
            (order.args.len(), order.kwargs.len(), order.timeout),
            (1, 1, Some(1.5))
        );
        assert_eq!(order.options.get("countdown"), Some(&Value::Float(3.0)));
        assert_eq!(order.options.get("expires"), Some(&Value::Float(60.0)));
        let eta = order.options.get("eta").and_then(Value::as_str);
        assert_eq!(eta, Some("2026-11-22T08:00:00.5+00:00"));
        assert!(Order::read(b"").unwrap().args.is_empty());
        for (body, message) in [
            (r#"[]"#, "invalid options"),
            (r#"{"args":{}}"#, "args must be an array"),
            (r#"{"kwargs":[]}"#, "kwargs must be an object"),
            (r#"{"eta":"tomorrow"}"#, "Invalid option"),
            (r#"{"countdown":"x"}"#, "Invalid option"),
            (r#"{"timeout":"x"}"#, "Invalid timeout"),
        ] {
            let failure = Order::read(body.as_bytes()).unwrap_err();
            assert_eq!(
                (failure.status, failure.message.as_str()),
                (400, message),
                "{body}"
            );
        }
        assert_eq!(Order::read(b"{").unwrap_err().status, 400);
    }
}
