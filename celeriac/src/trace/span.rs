//! What is recorded of a piece of work.

use std::borrow::Cow;
use std::time::SystemTime;

use super::span_context::SpanContext;

/// What is recorded of a piece of work, when it has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// What is done to what: `run/NAME`, `apply_async/NAME`.
    pub name: String,
    /// Which side of a message it is.
    pub kind: Kind,
    /// Itself.
    pub context: SpanContext,
    /// What the header `tracestate` said.
    pub state: Option<String>,
    /// The span that it belongs to.
    pub parent: Option<SpanContext>,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// What else is known, by the names of OpenTelemetry's conventions.
    pub attributes: Vec<(Cow<'static, str>, Attribute)>,
    /// The exceptions that happened.
    pub exceptions: Vec<Exception>,
    /// Why it is an error, if it is one.
    pub error: Option<String>,
}

/// Which side of a message a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It sends.
    Producer,
    /// It runs what was sent.
    Consumer,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Real(f64),
    /// Yes or no.
    Flag(bool),
}

/// An exception that happened in a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// Its type, with its module.
    pub kind: String,
    /// What it says.
    pub message: String,
    /// Where it came from.
    pub stacktrace: Option<String>,
    /// When.
    pub at: SystemTime,
}

impl Span {
    /// Adds an attribute.
    pub fn set(&mut self, name: &'static str, value: impl Into<Attribute>) {
        self.attributes.push((Cow::Borrowed(name), value.into()));
    }

    /// Adds an attribute that may be unknown.
    pub fn set_some(&mut self, name: &'static str, value: Option<impl Into<Attribute>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u32> for Attribute {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<f64> for Attribute {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Attribute {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
