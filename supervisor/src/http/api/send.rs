//! Sending tasks, and calling them off.

use std::time::Duration;

use actix::{Handler, Message};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use celeriac::AsyncResult;
use celeriac::control::Command;
use celeriac_protocol::{Table, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::check;
use crate::actor::{Awaited, Finished, Launched, Root};
use crate::cluster::{Call, cut};
use crate::http::extract::{Body, Path};
use crate::http::view::TaskView;
use crate::http::{Desk, Problem};

/// A task to send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Order {
    name: String,
    #[serde(default)]
    #[schema(value_type = Vec<serde_json::Value>)]
    args: Vec<Value>,
    #[serde(default)]
    #[schema(value_type = Object)]
    kwargs: Table,
    queue: Option<String>,
    /// Seconds.
    countdown: Option<f64>,
    /// Seconds from now, in which it must have started.
    expires: Option<f64>,
    priority: Option<u8>,
    id: Option<String>,
    wait_ms: Option<u64>,
    /// Further options of the call, by their names in Celery.
    #[serde(default)]
    #[schema(value_type = Object)]
    options: Table,
}

/// How to call a task off.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Revocation {
    #[serde(default)]
    terminate: bool,
    signal: Option<String>,
}

/// The longest delay: what the delay queues of Celery can hold. No expiry needs more.
const LONGEST: f64 = 268_435_455.0;
/// Arguments are shown as texts, cut to this many bytes.
const TEXT: usize = 4 * 1024;

/// A task that was sent and is not done yet.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Accepted {
    id: String,
    state: &'static str,
    /// Where to look for it.
    href: String,
}

/// A task that is being called off.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct RevokeSent {
    id: String,
    revoke: &'static str,
    terminate: bool,
}

pub(in crate::http) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new().routes(routes!(revoke))
}

#[utoipa::path(
    post,
    path = "/api/v1/tasks",
    operation_id = "send_task",
    tag = "tasks",
    summary = "Sends a task",
    request_body = Order,
    responses(
        (status = 200, body = TaskView, description = "The task is done, within the wait"),
        (status = 202, body = Accepted, description = "The task was sent"),
        (status = 422, description = "Waiting is not possible without a result backend"),
    ),
)]
pub(in crate::http) async fn send(
    State(desk): State<Desk>,
    Body(order): Body<Order>,
) -> Result<Response, Problem> {
    order.check(&desk)?;
    let wait = order.wait_ms.map(Duration::from_millis);
    let (call, queue) = (order.call(), order.queue.as_deref().map(Into::into));
    let at = celeriac::clock::now();
    let result = order.send(&desk).await?;
    let id = result.id().to_owned();
    tell(
        &desk,
        Launched {
            id: id.clone(),
            at,
            call,
            queue,
        },
    )
    .await;
    let Some(wait) = wait else {
        tell(&desk, Awaited(result)).await;
        return Ok(accepted(&id));
    };
    match result.ready(wait).await {
        Ok(document) => {
            tell(&desk, Finished(document.clone())).await;
            let known = desk.board.history.get(&id);
            let known = known.map(|task| TaskView::of(&task)).unwrap_or_default();
            Ok(Json(known.with_result(desk.hide(document))).into_response())
        }
        // Not yet is no error: the Backend goes on waiting.
        Err(celeriac::Error::Timeout { .. }) => {
            tell(&desk, Awaited(result)).await;
            Ok(accepted(&id))
        }
        Err(error) => Err(error.into()),
    }
}

#[utoipa::path(
    post,
    path = "/api/v1/tasks/{id}/revoke",
    operation_id = "revoke_task",
    tag = "tasks",
    summary = "Calls a task off",
    params(("id" = String, Path, description = "The task's id")),
    request_body = Revocation,
    responses((status = 202, body = RevokeSent, description = "Every node was told")),
)]
async fn revoke(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    Body(revocation): Body<Revocation>,
) -> Result<Response, Problem> {
    check::name("id", &id)?;
    let signal = revocation.signal.unwrap_or_else(|| "SIGTERM".to_owned());
    check::signal("signal", &signal)?;
    let command = Command::revoke([id.as_str()])
        .argument("terminate", revocation.terminate)
        .argument("signal", signal);
    desk.app.control().cast(command).await?;
    let told = RevokeSent {
        id,
        revoke: "sent",
        terminate: revocation.terminate,
    };
    Ok((StatusCode::ACCEPTED, Json(told)).into_response())
}

/// A time from now on.
fn seconds(field: &str, value: Option<f64>) -> Result<(), Problem> {
    match value.filter(|seconds| !(0.0..=LONGEST).contains(seconds)) {
        Some(found) => {
            let expected = format!("0 to {LONGEST} seconds");
            Err(Problem::field(field, expected, found.to_string()))
        }
        None => Ok(()),
    }
}

impl Order {
    fn check(&self, desk: &Desk) -> Result<(), Problem> {
        check::name("name", &self.name)?;
        self.queue
            .as_deref()
            .map_or(Ok(()), |queue| check::name("queue", queue))?;
        self.id
            .as_deref()
            .map_or(Ok(()), |id| check::name("id", id))?;
        seconds("countdown", self.countdown)?;
        seconds("expires", self.expires)?;
        let most = desk.config.max_wait.as_millis();
        if let Some(wait) = self.wait_ms.filter(|wait| u128::from(*wait) > most) {
            let expected = format!("at most {most}");
            return Err(Problem::field("wait_ms", expected, wait.to_string()));
        }
        // Said before anything is sent: a task cannot be taken back.
        if self.wait_ms.is_some() && !desk.app.backend().capabilities().stores {
            let message = "wait_ms is not possible without a result backend; leave it out, or give \
                           the supervisor a backend such as redis://";
            return Err(Problem::new(422, "unsupported", message));
        }
        Ok(())
    }

    /// Returns the call as the history shows it.
    fn call(&self) -> Call {
        let show = |json: serde_json::Result<String>| json.ok().map(|text| cut(&text, TEXT));
        Call {
            name: Some(self.name.as_str().into()),
            args: show(serde_json::to_string(&self.args)),
            kwargs: show(serde_json::to_string(&self.kwargs)),
            ..Call::default()
        }
    }

    async fn send(self, desk: &Desk) -> celeriac::Result<AsyncResult<Value>> {
        let mut call = desk.app.call(self.name).args(self.args).kwargs(self.kwargs);
        for (name, value) in self.options {
            call = call.option(&name, value);
        }
        if let Some(queue) = self.queue {
            call = call.queue(queue);
        }
        if let Some(seconds) = self.countdown.filter(|seconds| *seconds > 0.0) {
            call = call.countdown(Duration::from_secs_f64(seconds));
        }
        if let Some(seconds) = self.expires {
            call = call.expires(Duration::from_secs_f64(seconds));
        }
        if let Some(priority) = self.priority {
            call = call.priority(priority);
        }
        if let Some(id) = self.id {
            call = call.id(id);
        }
        call.send(&desk.app).await
    }
}

/// Tells the Backend. The task was sent all the same when nobody hears.
async fn tell<M>(desk: &Desk, message: M)
where
    M: Message<Result = ()> + Send + 'static,
    Root: Handler<M>,
{
    if desk.root.send(message).await.is_err() {
        tracing::warn!("a task was sent but is missing in the history: the root is gone");
    }
}

fn accepted(id: &str) -> Response {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    let href = format!(
        "/api/v1/tasks/{}",
        id.bytes().map(encode).collect::<String>()
    );
    let location = HeaderValue::from_str(&href);
    let body = Accepted {
        id: id.to_owned(),
        state: "PENDING",
        href,
    };
    let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
