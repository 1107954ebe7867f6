//! The place of a message or task in a trace.

use celeriac_protocol::{Table, Value};
use serde::{Deserialize, Serialize};

use super::span_context::SpanContext;
use super::state;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";
const BAGGAGE: &str = "baggage";

/// Baggage that is longer is left behind; so much the W3C asks to be handed on.
const MAX_BAGGAGE: usize = 8192;

/// The place of a message or task in a trace, with what travels along.
///
/// What is not as the W3C writes it is left out, and never an error: a trace must not
/// hinder what it looks at.
///
/// # Example
///
/// ```
/// use celeriac::trace::TraceContext;
///
/// let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let trace = TraceContext::read(|header| (header == "traceparent").then(|| parent.into()));
/// assert_eq!(trace.and_then(|trace| trace.traceparent()).as_deref(), Some(parent));
/// assert_eq!(TraceContext::read(|_| None), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    span: Option<SpanContext>,
    state: Option<String>,
    baggage: Option<String>,
}

impl TraceContext {
    /// Reads headers by their names; `None` when they say nothing of a trace.
    pub fn read(header: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let span = header(PARENT).and_then(|text| SpanContext::parse(&text));
        let state = span.and_then(|_| header(STATE));
        let baggage = header(BAGGAGE).filter(|text| {
            let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
            printable && (1..=MAX_BAGGAGE).contains(&text.len())
        });
        (span.is_some() || baggage.is_some()).then(|| Self {
            span,
            state: state.filter(|state| state::is_sound(state)),
            baggage,
        })
    }

    /// Reads the headers of a message; `None` when they say nothing of a trace.
    pub fn from_headers(headers: &Table) -> Option<Self> {
        // Most messages have none, and need not be looked at three times.
        if headers.is_empty() {
            return None;
        }
        Self::read(|name| headers.get(name).and_then(Value::as_str).map(str::to_owned))
    }

    /// Writes the headers of a message, in place of those of another trace.
    pub fn write(&self, headers: &mut Table) {
        let own = self.headers();
        for name in [PARENT, STATE, BAGGAGE] {
            headers.remove(name);
        }
        for (name, value) in own {
            headers.push(name, value);
        }
    }

    /// Returns the headers that say it, for a request to another service.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let all = [
            (PARENT, self.traceparent()),
            (STATE, self.state.clone()),
            (BAGGAGE, self.baggage.clone()),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
    }

    /// Returns the span; `None` when nothing but baggage came.
    pub const fn span(&self) -> Option<SpanContext> {
        self.span
    }

    /// Returns the text of the header `traceparent`, for a request to another service.
    pub fn traceparent(&self) -> Option<String> {
        self.span.map(|span| span.to_string())
    }

    /// Returns the text of the header `tracestate`.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Returns the text of the header `baggage`.
    pub fn baggage(&self) -> Option<&str> {
        self.baggage.as_deref()
    }

    /// Returns the same place in another span.
    pub(super) fn at(parent: Option<&Self>, span: SpanContext) -> Self {
        let same = |parent: &&Self| {
            let trace_id = |span: SpanContext| span.trace_id();
            parent.span.map(trace_id) == Some(span.trace_id())
        };
        Self {
            span: Some(span),
            state: parent.filter(same).and_then(|parent| parent.state.clone()),
            baggage: parent.and_then(|parent| parent.baggage.clone()),
        }
    }
}

/// Tells whether headers name a span of their own.
pub(crate) fn names_span(headers: &Table) -> bool {
    headers.get(PARENT).is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::trace::TraceId;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn table(entries: &[(&str, &str)]) -> Table {
        let entries = entries.iter();
        entries
            .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
            .collect()
    }

    #[test]
    fn what_came_is_handed_on_unchanged() {
        let headers = table(&[
            ("own", "x"),
            (PARENT, GOOD),
            (STATE, "rojo=1, congo=2"),
            (BAGGAGE, "user=7;p=1, b = 2"),
        ]);
        let trace = TraceContext::from_headers(&headers).unwrap();
        let mut written = table(&[("own", "x"), (PARENT, "other"), (STATE, "other")]);
        trace.write(&mut written);
        assert_eq!(written, headers);
    }

    #[test]
    fn what_is_wrong_is_left_out() {
        let long = "a=".to_owned() + &"b".repeat(MAX_BAGGAGE);
        for (headers, left) in [
            (vec![(PARENT, "00-1-2-3"), (STATE, "a=1")], vec![]),
            (vec![(STATE, "a=1")], vec![]),
            (vec![(PARENT, GOOD), (STATE, "A=")], vec![(PARENT, GOOD)]),
            (
                vec![(PARENT, "x"), (BAGGAGE, "a=1")],
                vec![(BAGGAGE, "a=1")],
            ),
            (vec![(BAGGAGE, "ü=1")], vec![]),
            (vec![(BAGGAGE, long.as_str())], vec![]),
        ] {
            let mut written = Table::new();
            if let Some(trace) = TraceContext::from_headers(&table(&headers)) {
                trace.write(&mut written);
            }
            assert_eq!(written, table(&left), "{headers:?}");
        }
        let number: Table = [(PARENT.to_owned(), Value::Int(5))].into_iter().collect();
        assert_eq!(TraceContext::from_headers(&number), None);
    }

    #[test]
    fn the_state_of_a_trace_stays_with_it() {
        let headers = table(&[(PARENT, GOOD), (STATE, "a=1"), (BAGGAGE, "b=2")]);
        let trace = TraceContext::from_headers(&headers).unwrap();
        let child = TraceContext::at(Some(&trace), trace.span().unwrap().child());
        assert_eq!(
            (child.tracestate(), child.baggage()),
            (Some("a=1"), Some("b=2"))
        );
        let other = TraceContext::at(Some(&trace), SpanContext::first(TraceId::random(), true));
        assert_eq!((other.tracestate(), other.baggage()), (None, Some("b=2")));
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_and_read_again(
            parent in proptest::option::of("\\PC{0,60}|00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-9a-f]"),
            state in proptest::option::of("\\PC{0,20}|[a-z]{1,3}=[ -~]{0,9}(,[a-z0-9@]{1,4}=[a-z]{1,3}){0,4}"),
            baggage in proptest::option::of("\\PC{0,20}"),
        ) {
            let all = [(PARENT, parent), (STATE, state), (BAGGAGE, baggage)];
            let headers: Table = all.into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))))
                .collect();
            let read = TraceContext::from_headers(&headers);
            let mut written = Table::new();
            if let Some(read) = &read {
                read.write(&mut written);
            }
            // Nothing is said that did not come.
            let came = |(name, value)| name == PARENT || headers.get(name) == Some(value);
            prop_assert!(written.iter().all(came));
            prop_assert_eq!(TraceContext::from_headers(&written), read);
        }
    }
}
