//! What can go wrong, arranged by who must act.

use std::time::Duration;

use celeriac_protocol::error::{DecodeError, EncodeError};
use celeriac_protocol::result::Exception;

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, arranged by who must act.
///
/// Two questions decide what a caller does next: [`Error::is_retryable`] and
/// [`Error::is_connection`]. Errors of client libraries are sources, never variants.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A server is out of reach or went away. The network or the operator acts; a
    /// later try may work.
    #[error("{what} is out of reach: {reason}")]
    Unavailable {
        /// Which server: `broker`, `result backend`, ...
        what: &'static str,
        /// What its client said.
        reason: String,
        /// The client's own error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A deadline passed. The outcome of what was asked is unknown.
    #[error("{what} took longer than {} ms", after.as_millis())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// A server answered and said no: wrong rights, wrong arguments, no such queue.
    /// The operator or the configuration acts; the same try fails again.
    #[error("{what} refused: {reason}")]
    Refused {
        /// What was asked of whom.
        what: String,
        /// What the server said.
        reason: String,
    },
    /// The caller gave something that cannot be used. Nothing was changed.
    #[error("{what}: expected {expected}, found {found}")]
    Invalid {
        /// Which setting, option or argument.
        what: String,
        /// What would have been right.
        expected: String,
        /// What was given.
        found: String,
    },
    /// An address cannot be listened on. Whoever chose it, or uses it, acts.
    #[error("cannot listen on {address}: {source}; choose another address or stop what uses it")]
    Listen {
        /// Which address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A value cannot be put on the wire.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Bytes from outside are not what they should be.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The task that was waited for failed.
    #[error("task {id} failed: {exception}")]
    Failed {
        /// Which task.
        id: String,
        /// What it raised.
        exception: Exception,
        /// Its traceback text, if it has one.
        traceback: Option<String>,
    },
    /// The task that was waited for was called off, or expired.
    #[error("task {id} was revoked: {reason}")]
    Revoked {
        /// Which task.
        id: String,
        /// `revoked`, `expired` or `terminated`.
        reason: String,
    },
    /// The broker, backend or app was closed by this process.
    #[error("{0} is closed")]
    Closed(&'static str),
    /// What was asked is not possible with this broker or backend.
    #[error("{what} is not possible with {with}: {instead}")]
    Unsupported {
        /// What was asked.
        what: &'static str,
        /// With which broker or backend.
        with: String,
        /// What to do instead.
        instead: &'static str,
    },
}

impl Error {
    /// Builds an [`Error::Unavailable`] around a client's error.
    pub fn unavailable(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        Self::Unavailable {
            what,
            reason: source.to_string(),
            source: Some(source),
        }
    }

    /// Builds an [`Error::Invalid`].
    pub fn invalid(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Invalid {
            what: what.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// Says in which thing the field is that an [`Error::Invalid`] names.
    #[must_use]
    pub(crate) fn within(self, thing: &str) -> Self {
        match self {
            Self::Invalid {
                what,
                expected,
                found,
            } => Self::invalid(format!("{thing}, {what}"), expected, found),
            other => other,
        }
    }

    /// Tells whether the same call may work later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Timeout { .. })
    }

    /// Tells whether the connection is at fault, so that it should be made anew.
    pub const fn is_connection(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
