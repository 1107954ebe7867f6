//! One span, as others name it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::{SpanId, TraceId, hex};

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;

/// One span, as others name it: what the header `traceparent` says.
///
/// Written as version 00 of the W3C's Trace Context. A later version is read as far as 00
/// goes, as the W3C asks for.
///
/// # Example
///
/// ```
/// use celeriac::trace::SpanContext;
///
/// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let span: SpanContext = text.parse()?;
/// assert!(span.is_sampled());
/// assert_eq!(span.to_string(), text);
/// # Ok::<(), celeriac::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpanContext {
    trace_id: TraceId,
    span_id: SpanId,
    flags: u8,
}

impl SpanContext {
    /// Returns the trace that it is in.
    pub const fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// Returns its id in that trace.
    pub const fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// Tells whether the trace is recorded, as far as whoever began it decides.
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Makes the first span of a trace.
    pub(super) fn first(trace_id: TraceId, sampled: bool) -> Self {
        Self {
            trace_id,
            span_id: SpanId::random(),
            flags: if sampled { SAMPLED } else { 0 },
        }
    }

    /// Makes a span of the same trace that is recorded.
    pub(super) fn child(&self) -> Self {
        // Of the other flags the W3C defines one: the id of the trace is random.
        Self {
            span_id: SpanId::random(),
            flags: self.flags & 2 | SAMPLED,
            ..*self
        }
    }

    /// Reads a header; nothing when it is not what the W3C says.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = hex(parts.next()?, 2).filter(|version| *version != "ff")?;
        let context = Self {
            trace_id: TraceId::parse(parts.next()?)?,
            span_id: SpanId::parse(parts.next()?)?,
            flags: u8::from_str_radix(hex(parts.next()?, 2)?, 16).ok()?,
        };
        // What a later version adds comes after one more dash.
        (version != "00" || parts.next().is_none()).then_some(context)
    }
}

impl fmt::Display for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            flags,
        } = self;
        write!(f, "00-{trace_id}-{span_id}-{flags:02x}")
    }
}

impl std::str::FromStr for SpanContext {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "a version, trace, span and flags as the W3C writes them";
        Self::parse(text).ok_or_else(|| crate::Error::invalid("traceparent", expected, text))
    }
}

impl TryFrom<String> for SpanContext {
    type Error = crate::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SpanContext> for String {
    fn from(span: SpanContext) -> Self {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_parent_is_read_as_the_w3c_writes_it() {
        for (text, good) in [
            (GOOD, true),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
                true,
            ),
            (
                "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                true,
            ),
            (
                "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what",
                true,
            ),
            (
                "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what",
                false,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what",
                false,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
                false,
            ),
            (
                "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                false,
            ),
            (
                "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                false,
            ),
            (
                "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                false,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                false,
            ),
            (
                "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                false,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01",
                false,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
                false,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-+1",
                false,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
                false,
            ),
            ("", false),
            ("é", false),
        ] {
            assert_eq!(SpanContext::parse(text).is_some(), good, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_parent_comes_back_as_it_was(
            trace in "[0-9a-f]{31}[1-9a-f]", span in "[0-9a-f]{15}[1-9a-f]", flags: u8,
        ) {
            let text = format!("00-{trace}-{span}-{flags:02x}");
            let read = SpanContext::parse(&text).map(|span| span.to_string());
            prop_assert_eq!(read, Some(text));
        }

        #[test]
        fn whatever_comes_is_read_or_left(text in "\\PC*", cut in 0_usize..60, put: char) {
            let _ = SpanContext::parse(&text);
            let mut close = GOOD.to_owned();
            close.truncate(cut.min(GOOD.len()));
            close.push(put);
            close.push_str(GOOD.get(cut + 1..).unwrap_or(""));
            if let Some(read) = SpanContext::parse(&close) {
                prop_assert_eq!(SpanContext::parse(&read.to_string()), Some(read));
            }
        }

        #[test]
        fn a_child_is_another_span_of_the_trace(flags: u8) {
            let parent = SpanContext { flags, ..SpanContext::first(TraceId::random(), true) };
            let child = parent.child();
            prop_assert_eq!(child.trace_id(), parent.trace_id());
            prop_assert_ne!(child.span_id(), parent.span_id());
            prop_assert!(child.is_sampled() && child.flags <= 3);
        }
    }
}
