//! The trace of one run of a task, and its span.

use std::sync::Arc;
use std::time::SystemTime;

use celeriac_protocol::Table;

use super::context::TraceContext;
use super::span::{Kind, Span};
use super::span_context::SpanContext;
use super::tracer::Tracer;
use crate::clock;
use crate::producer::Lineage;
use crate::task::Context;

/// The trace of one run of a task.
#[derive(Debug, Clone)]
pub(crate) struct RunTrace {
    /// What the task sends continues this.
    pub(crate) context: Arc<TraceContext>,
    /// Its span, if that is recorded.
    own: Option<Own>,
}

#[derive(Debug, Clone)]
struct Own {
    span: SpanContext,
    parent: Option<SpanContext>,
    /// When its message was received.
    received: SystemTime,
}

impl RunTrace {
    /// Continues what the headers of a message say.
    pub(crate) fn of(tracer: Option<&Tracer>, headers: &Table) -> Option<Self> {
        let came = TraceContext::from_headers(headers);
        let Some(tracer) = tracer else {
            return came.map(Self::from);
        };
        let begun = tracer.begin(came);
        let own = begun.recorded.map(|span| Own {
            span,
            parent: begun.parent,
            received: clock::now(),
        });
        Some(Self {
            context: Arc::new(begun.context),
            own,
        })
    }
}

impl From<TraceContext> for RunTrace {
    fn from(context: TraceContext) -> Self {
        Self {
            context: Arc::new(context),
            own: None,
        }
    }
}

impl Context {
    /// Returns where this run is in a trace: what it sends continues that, and so can its
    /// requests to other services, by [`TraceContext::headers`]. `None` when its message told
    /// of no trace and nobody records any.
    ///
    /// # Example
    ///
    /// ```
    /// use celeriac::{Context, task};
    ///
    /// #[task]
    /// async fn report(ctx: Context) -> Option<String> {
    ///     // For the header `traceparent` of an HTTP request.
    ///     ctx.trace()?.traceparent()
    /// }
    /// ```
    pub fn trace(&self) -> Option<&TraceContext> {
        self.run_trace().map(|trace| &*trace.context)
    }

    /// Returns [`Context::trace`] to be kept.
    pub fn trace_shared(&self) -> Option<Arc<TraceContext>> {
        Some(Arc::clone(&self.run_trace()?.context))
    }

    /// Returns what the tasks that this one sends say of their origin.
    pub fn lineage(&self) -> Lineage {
        let headers = &self.request().headers;
        Lineage {
            root_id: Some(headers.root().to_owned()),
            parent_id: Some(headers.id.clone()),
            trace: self.trace_shared(),
        }
    }

    /// Makes the span of this run, which began at `start` and has ended now, without its
    /// outcome; `None` when it is not recorded. Nodes do this.
    pub fn run_span(&self, start: Option<SystemTime>) -> Option<Span> {
        let trace = self.run_trace()?;
        let Own {
            span: context,
            parent,
            received,
        } = *trace.own.as_ref()?;
        let request = self.request();
        let (headers, delivery) = (&request.headers, &request.delivery);
        let end = clock::now();
        let start = start.unwrap_or(end);
        let mut span = Span {
            name: format!("run/{}", headers.task),
            kind: Kind::Consumer,
            context,
            state: trace.context.tracestate().map(str::to_owned),
            parent,
            start,
            end,
            attributes: Vec::with_capacity(24),
            exceptions: Vec::new(),
            error: None,
        };
        let waited = start.duration_since(received).unwrap_or_default();
        span.set("celery.action", "run");
        span.set("celery.task_name", headers.task.as_str());
        span.set("celery.hostname", request.hostname.as_str());
        span.set("celeriac.queue_time", waited.as_secs_f64());
        span.set_some("celery.retries", Some(headers.retries).filter(|&n| n > 0));
        let times = [
            ("celery.eta", headers.eta),
            ("celery.expires", headers.expires),
        ];
        for (name, time) in times {
            span.set_some(name, time.map(|time| time.to_string()));
        }
        span.set_some("celery.reply_to", request.reply_to());
        span.set_some("celeriac.origin", request.origin());
        span.set_some("celeriac.root_id", headers.root_id.as_deref());
        span.set_some("celeriac.parent_id", headers.parent_id.as_deref());
        span.set_some("celeriac.group_id", headers.group.as_deref());
        if delivery.redelivered {
            span.set("celeriac.redelivered", true);
        }
        let system = self.app().messaging_system();
        span.set("messaging.system", system);
        span.set("messaging.operation.name", "run");
        span.set("messaging.operation.type", "process");
        span.set("messaging.message.id", headers.id.as_str());
        span.set_some(
            "messaging.message.conversation_id",
            request.correlation_id(),
        );
        let key = delivery.routing_key.as_str();
        let goal = match delivery.exchange.as_str() {
            "" => key,
            exchange => exchange,
        };
        span.set("messaging.destination.name", goal);
        span.set("messaging.destination", key);
        if system == "rabbitmq" {
            span.set("messaging.rabbitmq.destination.routing_key", key);
        }
        Some(span)
    }
}
