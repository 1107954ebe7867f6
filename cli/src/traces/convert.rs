//! From spans of celeriac to those of OpenTelemetry.

use celeriac::trace::{Attribute, Exception, Kind, Span};
use opentelemetry::trace::{
    Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

pub(super) fn converted(span: Span, scope: &InstrumentationScope) -> SpanData {
    let own = span.context;
    // What came with the message was checked; what is not taken all the same is left out.
    let state = span.state.and_then(|state| state.parse().ok());
    let state: TraceState = state.unwrap_or_default();
    let flags = match own.is_sampled() {
        true => TraceFlags::SAMPLED,
        false => TraceFlags::default(),
    };
    let id = |span: celeriac::trace::SpanId| SpanId::from_bytes(span.to_bytes());
    let trace = TraceId::from_bytes(own.trace_id().to_bytes());
    let parent = span.parent.map(|parent| id(parent.span_id()));
    let attributes = span.attributes.into_iter();
    let events = span.exceptions.into_iter().map(event).collect();
    SpanData {
        span_context: SpanContext::new(trace, id(own.span_id()), flags, false, state),
        parent_span_id: parent.unwrap_or(SpanId::INVALID),
        parent_span_is_remote: parent.is_some(),
        span_kind: match span.kind {
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
        },
        name: span.name.into(),
        start_time: span.start,
        end_time: span.end,
        attributes: attributes
            .map(|(name, value)| KeyValue::new(name, converted_value(value)))
            .collect(),
        dropped_attributes_count: 0,
        events: {
            let mut all = SpanEvents::default();
            all.events = events;
            all
        },
        links: SpanLinks::default(),
        status: match span.error {
            Some(reason) => Status::error(reason),
            None => Status::Unset,
        },
        instrumentation_scope: scope.clone(),
    }
}

fn converted_value(value: Attribute) -> Value {
    match value {
        Attribute::Text(text) => text.into(),
        Attribute::Int(number) => number.into(),
        Attribute::Real(number) => number.into(),
        Attribute::Flag(flag) => flag.into(),
    }
}

fn event(exception: Exception) -> Event {
    let mut attributes = vec![
        KeyValue::new("exception.type", exception.kind),
        KeyValue::new("exception.message", exception.message),
    ];
    if let Some(text) = exception.stacktrace {
        attributes.push(KeyValue::new("exception.stacktrace", text));
    }
    Event::new("exception", exception.at, attributes, 0)
}
