//! A task to send, as a request orders it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use axum::http::HeaderMap;
use celeriac::AsyncResult;
use celeriac::trace::TraceContext;
use celeriac_protocol::{Table, Timestamp, Value};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::cluster::{Call, cut};
use crate::http::api::check;
use crate::http::{Desk, Problem};

/// A task to send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Order {
    pub(super) name: String,
    #[serde(default)]
    #[schema(value_type = Vec<serde_json::Value>)]
    pub(super) args: Vec<Value>,
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(super) kwargs: Table,
    pub(super) queue: Option<String>,
    /// Seconds.
    pub(super) countdown: Option<f64>,
    /// Seconds from now, in which it must have started.
    pub(super) expires: Option<f64>,
    pub(super) priority: Option<u8>,
    pub(super) id: Option<String>,
    pub(super) wait_ms: Option<u64>,
    /// Further options of the call, by their names in Celery.
    #[serde(default)]
    #[schema(value_type = Object)]
    options: Table,
    /// What the request said of a trace.
    #[serde(skip)]
    trace: Option<TraceContext>,
}

/// The longest delay: what the delay queues of Celery can hold. No expiry needs more.
const LONGEST: f64 = 268_435_455.0;
/// Arguments are shown as texts, cut to this many bytes.
const TEXT: usize = 4 * 1024;

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
    /// Lets the task continue the trace of a request.
    pub(in crate::http) fn within_trace(mut self, headers: &HeaderMap) -> Self {
        let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        self.trace = TraceContext::read(header);
        self
    }

    pub(in crate::http) const fn waits(&self) -> bool {
        self.wait_ms.is_some()
    }

    /// Tells this request from another with the same key; how long it waits does not
    /// matter.
    pub(super) fn fingerprint(&self) -> u64 {
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
        let names = [
            ("name", Some(&*self.name)),
            ("queue", self.queue.as_deref()),
            ("id", self.id.as_deref()),
        ];
        check::names(within, names)?;
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
    pub(super) fn call(&self) -> Call {
        let show = |json: serde_json::Result<String>| json.ok().map(|text| cut(&text, TEXT));
        Call {
            name: Some(self.name.as_str().into()),
            args: show(serde_json::to_string(&self.args)),
            kwargs: show(serde_json::to_string(&self.kwargs)),
            ..Call::default()
        }
    }

    pub(super) async fn send(self, desk: &Desk) -> celeriac::Result<AsyncResult<Value>> {
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
