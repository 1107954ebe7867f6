//! Traces: which span a message continues, and spans for whoever records them.
//!
//! A message carries its place in a trace in the headers of the W3C, `traceparent`,
//! `tracestate` and `baggage`, as opentelemetry-instrumentation-celery writes and reads
//! them. What a task sends continues the task's trace, also where nobody records spans.
//!
//! | what | see |
//! |---|---|
//! | the place of a message or task | [`TraceContext`], [`Context::trace`](crate::Context::trace) |
//! | one span among others | [`SpanContext`] |
//! | which traces are recorded | [`Sampler`] |
//! | what is recorded, and by whom | [`Span`], [`Recorder`], [`Tracer`] |
//!
//! An app without a [`Tracer`] makes no spans; it hands on what came.

mod context;
mod ids;
mod run;
mod sampler;
mod sends;
mod span;
mod span_context;
mod state;
mod tracer;

pub use self::context::TraceContext;
pub(crate) use self::context::names_span;
pub use self::ids::{SpanId, TraceId};
pub(crate) use self::run::RunTrace;
pub use self::sampler::Sampler;
pub use self::sends::Sends;
pub use self::span::{Attribute, Exception, Kind, Span};
pub use self::span_context::SpanContext;
pub use self::tracer::{Recorded, Recorder, Tracer};
