//! What the client's errors mean for who asked.

use lapin::ErrorKind;

use crate::error::Error;

/// How often the server may close the connection while something is asked before that
/// is taken for the reason.
pub(super) const EXPULSIONS: u32 = 3;

/// Why something that was asked of the server did not happen.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The server said no to this, and closed the channel.
    Refused {
        /// The reply code, such as 404.
        code: u16,
        /// The server's words.
        text: String,
    },
    /// The server closed the connection over something that was done on it, or over a
    /// fault of its own: nobody knows what became of anything that was under way.
    Expelled {
        /// The server's words.
        text: String,
    },
    /// The connection or the channel is gone, for a reason of its own.
    Lost(lapin::Error),
    /// The channel ended without a word, or had to.
    Ended,
    /// No answer in time.
    Late,
}

/// Reply codes of AMQP that decide what happens next.
pub(super) mod code {
    /// An operator or a shutting down server closed the connection.
    pub(crate) const CONNECTION_FORCED: u16 = 320;
    /// Rights are missing, or somebody else has it for himself.
    pub(crate) const ACCESS_REFUSED: u16 = 403;
    /// No such queue or exchange.
    pub(crate) const NOT_FOUND: u16 = 404;
    /// The queue belongs to another connection.
    pub(crate) const RESOURCE_LOCKED: u16 = 405;
    /// It is there with other arguments.
    pub(crate) const PRECONDITION_FAILED: u16 = 406;
}

impl From<lapin::Error> for Failure {
    fn from(error: lapin::Error) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(said) if error.is_amqp_soft_error() => Self::Refused {
                code: said.get_id(),
                text: said.get_message().to_string(),
            },
            ErrorKind::ProtocolError(said) if said.get_id() != code::CONNECTION_FORCED => {
                Self::Expelled {
                    text: said.get_message().to_string(),
                }
            }
            _ => Self::Lost(error),
        }
    }
}

impl From<tokio::time::error::Elapsed> for Failure {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::Late
    }
}

impl Failure {
    /// Tells whether the server refused with this code.
    pub(super) fn is(&self, wanted: u16) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }

    /// Makes the error for a caller who asked for `what`.
    pub(super) fn into_error(self, what: impl Into<String>) -> Error {
        match self {
            Self::Refused { text, .. } => Error::Refused {
                what: what.into(),
                reason: text,
            },
            Self::Expelled { text } => Error::Unavailable {
                what: "broker",
                reason: format!("the server closed the connection: {text}"),
                source: None,
            },
            Self::Lost(error) => Error::unavailable("broker", error),
            Self::Ended => Error::Unavailable {
                what: "broker",
                reason: "the channel ended".to_owned(),
                source: None,
            },
            Self::Late => Error::Unavailable {
                what: "broker",
                reason: format!("no answer in time to: {}", what.into()),
                source: None,
            },
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { text, .. } | Self::Expelled { text } => f.write_str(text),
            Self::Lost(error) => error.fmt(f),
            Self::Ended => f.write_str("the channel ended"),
            Self::Late => f.write_str("no answer in time"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use lapin::protocol::AMQPError;

    use super::*;

    /// What the client makes of a server that closes with this code.
    pub(crate) fn said(code: u16, text: &str) -> lapin::Error {
        let error = AMQPError::from_id(code, text.into()).unwrap();
        ErrorKind::ProtocolError(error).into()
    }

    #[test]
    fn only_what_closes_a_channel_is_a_refusal() {
        for code in [311, 403, 404, 405, 406] {
            let failure = Failure::from(said(code, "no"));
            assert!(failure.is(code), "{failure:?}");
        }
        for code in [501, 504, 505, 530, 540, 541] {
            let failure = Failure::from(said(code, "no"));
            assert!(matches!(failure, Failure::Expelled { .. }), "{failure:?}");
            assert!(failure.into_error("asking").is_retryable());
        }
        let failure = Failure::from(said(code::CONNECTION_FORCED, "bye"));
        assert!(matches!(failure, Failure::Lost(_)), "{failure:?}");
    }
}
