//! What is wrong with bytes from outside.

use serde::{Deserialize, Serialize};

/// Says where a decoder stopped, what it expected and what it found.
///
/// A decoder never panics on bad input and never allocates more than its limits
/// allow; it returns this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{place}: expected {expected}, found {found}")]
#[non_exhaustive]
pub struct DecodeError {
    /// Which part of the message: `header eta`, `body`, `body, kwargs`, ...
    pub place: String,
    /// What would have been right.
    pub expected: String,
    /// What was there, shortened when long.
    pub found: String,
    /// Who is to blame, so that a worker can decide what becomes of the message.
    pub fault: Fault,
}

/// Tells kinds of bad input apart by what a worker does about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Fault {
    /// Not a task message at all: no task name, or no id.
    NotATask,
    /// A content type, encoding or compression that is not accepted here.
    Content,
    /// Bytes that are not what their content type says, or have the wrong shape.
    Malformed,
    /// Larger or deeper than the limits allow.
    TooLarge,
    /// Well formed, but not the types that the task wants.
    Arguments,
}

impl DecodeError {
    /// Builds an error; a long `found` is cut at 200 characters.
    pub fn new(
        fault: Fault,
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        let mut found = found.into();
        if let Some((end, _)) = found.char_indices().nth(200) {
            found.truncate(end);
            found.push_str("...");
        }
        Self {
            place: place.into(),
            expected: expected.into(),
            found,
            fault,
        }
    }

    /// Puts the error inside a larger place: `kwargs` in `body` reads `body, kwargs`.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.place = format!("{outer}, {}", self.place);
        self
    }
}

/// Says why a value cannot be put on the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot encode {what}: {reason}")]
#[non_exhaustive]
pub struct EncodeError {
    /// Which value or part.
    pub what: String,
    /// Why not.
    pub reason: String,
}

impl EncodeError {
    /// Builds an error.
    pub fn new(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            reason: reason.into(),
        }
    }
}

impl serde::ser::Error for EncodeError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::new("value", message.to_string())
    }
}
