//! Sending tasks, and calling them off.

mod order;

use std::time::{Duration, Instant};

use actix::{Handler, Message};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use celeriac::AsyncResult;
use celeriac::control::Command;
use celeriac_protocol::Value;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(in crate::http) use self::order::Order;
use super::check;
use super::span::Span;
use super::tasks::{Begin, Keys};
use crate::actor::{Awaited, Finished, Launched, Root};
use crate::http::extract::{Body, Path, Query};
use crate::http::view::TaskView;
use crate::http::{Desk, Problem};

/// How to send a task.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct SendQuery {
    /// How long to wait for the result, such as 10s.
    #[param(value_type = Option<String>)]
    wait: Option<Span>,
}

/// How to call a task off.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Revocation {
    #[serde(default)]
    terminate: bool,
    signal: Option<String>,
}

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
    params(
        SendQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "A repeated request with the same key sends nothing"),
        ("traceparent" = Option<String>, Header, description = "The span that the task continues, as the W3C writes it; with tracestate and baggage"),
    ),
    request_body = Order,
    responses(
        (status = 200, body = TaskView, description = "The task is done, within the wait"),
        (status = 202, body = Accepted, description = "The task was sent"),
        (status = 422, description = "Waiting is not possible without a result backend"),
    ),
)]
pub(in crate::http) async fn send(
    State(desk): State<Desk>,
    Query(query): Query<SendQuery>,
    headers: HeaderMap,
    Body(order): Body<Order>,
) -> Result<Response, Problem> {
    let mut order = order.within_trace(&headers);
    if let Some(Span(wait)) = query.wait {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        if order.wait_ms.replace(millis).is_some() {
            return Err(Problem::field("wait", "one of wait and wait_ms", "both"));
        }
    }
    order.check(&desk, "")?;
    let Some(id) = key(&headers, &order)? else {
        return order.answer(&desk, None).await;
    };
    let held = desk.live.keys.hold(id, order.fingerprint(), Instant::now());
    match held {
        Ok(held) => {
            // What was sent before this process began, or longer ago than keys are known.
            let known = super::tasks::recorded(&desk, &id.to_string()).await?;
            if known.is_some() {
                held.end(true);
                return Ok(repeated(&id.to_string()));
            }
            let answer = order.answer(&desk, Some(id)).await;
            held.end(answer.is_ok());
            answer
        }
        Err(Begin::Sent) => Ok(repeated(&id.to_string())),
        Err(Begin::New | Begin::Busy) => Err(Problem::conflict(
            "a request with this idempotency-key is being handled; try again in a moment",
        )),
        Err(Begin::Other) => {
            let detail = "idempotency-key: expected the request that it was used for first, \
                          found another one; take a new key for each task";
            Err(Problem::new(422, "key_reused", detail))
        }
    }
}

/// Reads the key of a request, and which task it stands for.
fn key(headers: &HeaderMap, order: &Order) -> Result<Option<Uuid>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    check::name("idempotency-key", text)?;
    if order.id.is_some() {
        let expected = "none beside an idempotency-key, which decides the id";
        return Err(Problem::field("id", expected, "one"));
    }
    Ok(Some(Keys::id(text)))
}

/// Answers a request that was answered before.
fn repeated(id: &str) -> Response {
    let mut response = accepted(id);
    let name = HeaderName::from_static("idempotency-replayed");
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static("true"));
    response
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

impl Order {
    /// Sends the task and waits as long as it was asked to.
    async fn answer(self, desk: &Desk, id: Option<Uuid>) -> Result<Response, Problem> {
        let wait = self.wait_ms.map(Duration::from_millis);
        let result = self.launch(desk, id).await?;
        let id = result.id().to_owned();
        let Some(wait) = wait else {
            tell(desk, Awaited(result)).await;
            return Ok(accepted(&id));
        };
        match result.ready(wait).await {
            Ok(document) => {
                tell(desk, Finished(document.clone())).await;
                let known = desk.board.history.get(&id);
                let known = known.map(|task| TaskView::of(&task)).unwrap_or_default();
                Ok(Json(known.with_result(desk.hide(document))).into_response())
            }
            // Not yet is no error: the Backend goes on waiting.
            Err(celeriac::Error::Timeout { .. }) => {
                tell(desk, Awaited(result)).await;
                Ok(accepted(&id))
            }
            // The task was sent, whatever became of its result.
            Err(error) => {
                tracing::warn!(%error, id, "the result of a task could not be waited for");
                Ok(accepted(&id))
            }
        }
    }

    /// Sends the task and tells the history.
    async fn launch(
        mut self,
        desk: &Desk,
        id: Option<Uuid>,
    ) -> Result<AsyncResult<Value>, Problem> {
        if let Some(id) = id {
            self.id = Some(id.to_string());
        }
        let (call, queue) = (self.call(), self.queue.as_deref().map(Into::into));
        let at = celeriac::clock::now();
        let result = self.send(desk).await?;
        let id = result.id().to_owned();
        let launched = Launched {
            id,
            at,
            call,
            queue,
        };
        tell(desk, launched).await;
        Ok(result)
    }

    /// Sends the task without waiting, and returns its id.
    pub(in crate::http) async fn post(self, desk: &Desk) -> Result<String, Problem> {
        let result = self.launch(desk, None).await?;
        let id = result.id().to_owned();
        tell(desk, Awaited(result)).await;
        Ok(id)
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
