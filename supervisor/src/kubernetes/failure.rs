//! Why the API server did not do what it was asked.

use std::time::Duration;

/// Why the API server did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// Somebody else wrote first, or it is another object of the same name.
    #[error("{0} changed meanwhile")]
    Conflict(String),
    /// There is no such object.
    #[error("there is no {0}")]
    Missing(String),
    /// A right is missing, or a policy of the cluster is against it. Says which.
    #[error("{0}")]
    Forbidden(String),
    /// It is out of reach, too slow, or has too much to do.
    #[error("{text}")]
    Unavailable {
        text: String,
        /// How long it wants to be left alone, when it said so.
        wait: Option<Duration>,
    },
    /// What a list was continued by holds no more: it is to be read anew.
    #[error("{0}")]
    Expired(String),
    /// Anything else: a token that is refused, an object that it does not take.
    #[error("{0}")]
    Other(String),
}
