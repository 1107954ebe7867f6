//! Errors on their way to a child.

use std::time::Duration;

use celeriac::Error;
use serde::{Deserialize, Serialize};

/// What went wrong, as a child hears of it: what a caller decides by stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Fault {
    Unavailable(String),
    Timeout {
        what: String,
        after: Duration,
    },
    Refused {
        what: String,
        reason: String,
    },
    Invalid {
        what: String,
        expected: String,
        found: String,
    },
    Unsupported(String),
    Closed,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable { what, reason, .. } => {
                Self::Unavailable(format!("{what}: {reason}"))
            }
            Error::Timeout { what, after } => Self::Timeout { what, after },
            Error::Refused { what, reason } => Self::Refused { what, reason },
            Error::Invalid {
                what,
                expected,
                found,
            } => Self::Invalid {
                what,
                expected,
                found,
            },
            Error::Unsupported { with, .. } => Self::Unsupported(with),
            Error::Closed(_) => Self::Closed,
            other => Self::Refused {
                what: "the node".to_owned(),
                reason: other.to_string(),
            },
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unavailable(reason) => Self::Unavailable {
                what: "what the node asked",
                reason,
                source: None,
            },
            Fault::Timeout { what, after } => Self::Timeout { what, after },
            Fault::Refused { what, reason } => Self::Refused { what, reason },
            Fault::Invalid {
                what,
                expected,
                found,
            } => Self::Invalid {
                what,
                expected,
                found,
            },
            Fault::Unsupported(with) => Self::Unsupported {
                what: "what the task asked",
                with,
                instead: "use a broker and a result backend that can",
            },
            Fault::Closed => Self::Closed("the node"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_decides_by_comes_through() {
        let unavailable = Error::unavailable("broker", "connection reset");
        let timeout = Error::Timeout {
            what: "publishing".into(),
            after: Duration::from_secs(3),
        };
        for (error, retryable, part) in [
            (unavailable, true, "connection reset"),
            (timeout, true, "publishing took longer than 3000 ms"),
            (
                Error::invalid("queue", "a name", "nothing"),
                false,
                "queue: expected a name",
            ),
            (Error::Closed("broker"), false, "closed"),
        ] {
            let error = Error::from(Fault::from(error));
            assert_eq!(error.is_retryable(), retryable, "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
