//! The spans of messages that are being sent.

use std::time::SystemTime;

use celeriac_protocol::Value;

use super::context::TraceContext;
use super::span::{Kind, Span};
use super::tracer::Tracer;
use crate::app::App;
use crate::broker::Publication;
use crate::clock;
use crate::error::{Error, Result};

/// The spans of messages that are being sent; nothing without a [`Tracer`].
#[derive(Debug, Default)]
#[must_use = "spans are recorded when they end"]
pub struct Sends(Option<Box<Inner>>);

#[derive(Debug)]
struct Inner {
    tracer: Tracer,
    /// One for each message; `None` where it is not recorded.
    spans: Vec<Option<Span>>,
}

impl App {
    /// Begins a span for each task message that is to be sent, as a child of what its headers
    /// name, and names it there instead.
    pub fn trace_sends(&self, publications: &mut [Publication]) -> Sends {
        let Some(tracer) = self.tracer() else {
            return Sends::default();
        };
        let now = clock::now();
        let system = self.messaging_system();
        let begin = |publication: &mut Publication| begin(tracer, publication, system, now);
        Sends(Some(Box::new(Inner {
            tracer: tracer.clone(),
            spans: publications.iter_mut().map(begin).collect(),
        })))
    }

    /// Returns the broker's name in OpenTelemetry's conventions.
    pub fn messaging_system(&self) -> &'static str {
        match self.broker().capabilities().shared {
            true => "rabbitmq",
            false => "memory",
        }
    }
}

impl Sends {
    /// Ends the spans, with an answer for each message.
    pub fn end(self, answers: &[Result<()>]) {
        self.end_with(|at| answers.get(at)?.as_ref().err());
    }

    /// Ends the spans of messages that have one answer for all.
    pub fn end_all<T>(self, answer: &Result<T>) {
        self.end_with(|_| answer.as_ref().err());
    }

    fn end_with<'a>(self, error: impl Fn(usize) -> Option<&'a Error>) {
        let Some(inner) = self.0 else { return };
        let now = clock::now();
        for (at, span) in inner.spans.into_iter().enumerate() {
            let Some(mut span) = span else { continue };
            span.end = now;
            span.error = error(at).map(ToString::to_string);
            if span.error.is_some() {
                span.set("error.type", "kombu.exceptions.OperationalError");
            }
            inner.tracer.record(span);
        }
    }
}

fn begin(
    tracer: &Tracer,
    publication: &mut Publication,
    system: &str,
    now: SystemTime,
) -> Option<Span> {
    let headers = &mut publication.message.headers;
    let begun = tracer.begin(TraceContext::from_headers(headers));
    begun.context.write(headers);
    let context = begun.recorded?;
    let text = |name: &str| headers.get(name).and_then(Value::as_str).map(str::to_owned);
    let task = text("task").unwrap_or_else(|| "unknown".to_owned());
    let mut span = Span {
        name: format!("apply_async/{task}"),
        kind: Kind::Producer,
        context,
        state: begun.context.tracestate().map(str::to_owned),
        parent: begun.parent,
        start: now,
        end: now,
        attributes: Vec::with_capacity(12),
        exceptions: Vec::new(),
        error: None,
    };
    span.set("celery.action", "apply_async");
    span.set("celery.task_name", task);
    span.set_some("celery.hostname", text("origin"));
    span.set("messaging.system", system);
    span.set("messaging.operation.name", "apply_async");
    span.set("messaging.operation.type", "send");
    span.set_some("messaging.message.id", text("id"));
    let properties = &publication.message.properties;
    span.set_some(
        "messaging.message.conversation_id",
        properties.correlation_id.clone(),
    );
    let (exchange, key) = (&publication.exchange, &publication.routing_key);
    let goal = if exchange.is_empty() { key } else { exchange };
    span.set("messaging.destination.name", goal.as_str());
    span.set("messaging.destination", key.as_str());
    if system == "rabbitmq" {
        span.set("messaging.rabbitmq.destination.routing_key", key.as_str());
    }
    let retries = headers.get("retries").and_then(Value::as_i64);
    let retries = retries.and_then(|retries| u32::try_from(retries).ok());
    span.set_some("celery.retries", retries.filter(|&retries| retries > 0));
    span.set_some("celery.eta", text("eta"));
    Some(span)
}
