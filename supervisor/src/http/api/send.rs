//! Sending tasks, and calling them off.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use actix::{Handler, Message};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use celeriac::AsyncResult;
use celeriac::control::Command;
use celeriac::trace::TraceContext;
use celeriac_protocol::{Table, Timestamp, Value};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::check;
use super::span::Span;
use super::tasks::{Begin, Keys};
use crate::actor::{Awaited, Finished, Launched, Root};
use crate::cluster::{Call, cut};
use crate::http::extract::{Body, Path, Query};
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
    /// What the request said of a trace.
    #[serde(skip)]
    trace: Option<TraceContext>,
}

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

    /// Lets the task continue the trace of a request.
    pub(in crate::http) fn within_trace(mut self, headers: &HeaderMap) -> Self {
        let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        self.trace = TraceContext::read(header);
        self
    }

    /// Sends the task without waiting, and returns its id.
    pub(in crate::http) async fn post(self, desk: &Desk) -> Result<String, Problem> {
        let result = self.launch(desk, None).await?;
        let id = result.id().to_owned();
        tell(desk, Awaited(result)).await;
        Ok(id)
    }

    pub(in crate::http) const fn waits(&self) -> bool {
        self.wait_ms.is_some()
    }

    /// Tells this request from another with the same key; how long it waits does not
    /// matter.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!(
            "{:?}",
            (
                &self.name,
                &self.args,
                &self.kwargs,
                &self.queue,
                self.countdown,
                self.expires,
                self.priority,
                &self.options,
            )
        )
        .hash(&mut hasher);
        hasher.finish()
    }

    /// Checks the order; `within` is the path to it, for errors.
    pub(in crate::http) fn check(&self, desk: &Desk, within: &str) -> Result<(), Problem> {
        let path = |field: &str| format!("{within}{field}");
        check::name(&path("name"), &self.name)?;
        self.queue
            .as_deref()
            .map_or(Ok(()), |queue| check::name(&path("queue"), queue))?;
        self.id
            .as_deref()
            .map_or(Ok(()), |id| check::name(&path("id"), id))?;
        seconds(&path("countdown"), self.countdown)?;
        seconds(&path("expires"), self.expires)?;
        if let Some(Value::Str(eta)) = self.options.get("eta")
            && eta.parse::<Timestamp>().is_err()
        {
            let expected = "a time such as 2030-01-02T03:04:05+00:00";
            let found = format!("'{}'", cut(eta, 60));
            return Err(Problem::field(path("options.eta"), expected, found));
        }
        let most = desk.config.max_wait.as_millis();
        if let Some(wait) = self.wait_ms.filter(|wait| u128::from(*wait) > most) {
            let expected = format!("at most {most}");
            return Err(Problem::field(path("wait_ms"), expected, wait.to_string()));
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
        // Headers among the options take their place.
        for (name, value) in self.trace.iter().flat_map(TraceContext::headers) {
            call = call.header(name, value);
        }
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
