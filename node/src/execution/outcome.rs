//! What became of a message.

use std::time::{Duration, SystemTime};

use celeriac::protocol::control::Signal;
use celeriac::protocol::{DecodeError, Exception, Signature, Table, Value};

/// What became of a message: a value, not an error. One `match` maps it, in
/// [`report`](super::report).
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// It returned.
    Success(Value),
    /// It ran to its end before, here or elsewhere; the backend has its value. What
    /// follows it may not have been sent.
    Stored(Value),
    /// It runs again.
    Retry(Again),
    /// Something else runs in its place.
    Replace(Box<Signature>),
    /// It failed for good.
    Failure {
        exception: Exception,
        /// The chain of causes, one line each.
        causes: Vec<String>,
    },
    /// It refused its message.
    Reject { reason: String, requeue: bool },
    /// It wants nothing stored and nothing to follow.
    Ignore,
    /// It was called off, or came too late.
    Revoked(Revocation),
    /// It ran into a limit.
    TimedOut { limit: Limit, after: Duration },
    /// It panicked.
    Panicked { message: String },
    /// No task of its name is here.
    Unknown,
    /// Its message cannot be read.
    Unreadable(DecodeError),
    /// The process that ran it is gone, for this reason.
    Crashed { cause: String },
    /// It, or what was delivered beside it, took along what ran it, too often.
    Deadly { cause: String },
    /// No process could be had to run it.
    NoProcess { reason: String },
    /// What ran it went away, or the node ends: the broker delivers it again.
    Lost,
}

/// A next run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Again {
    pub(crate) at: SystemTime,
    pub(crate) exception: Option<Exception>,
    pub(crate) causes: Vec<String>,
    /// Other arguments than before.
    pub(crate) args: Option<Vec<Value>>,
    pub(crate) kwargs: Option<Table>,
    /// Other calling options than before.
    pub(crate) options: Table,
}

/// Why a task was called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Revocation {
    /// Before it started.
    Revoked,
    /// It came too late.
    Expired,
    /// While it ran, by the signal of this number.
    Terminated(Signal),
}

impl Revocation {
    /// Returns the word that clients read.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Terminated(_) => "terminated",
        }
    }
}

/// The two time limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// It was asked to stop, and did not in time.
    Soft,
    /// It was stopped.
    Hard,
}
