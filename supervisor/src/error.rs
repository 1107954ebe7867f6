//! What can end a supervisor, or keep it from starting.

use std::io;
use std::net::SocketAddr;

/// What can end a supervisor, or keep it from starting.
///
/// A broker out of reach is not among them: that is a state, told by `/readyz`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting cannot be used. Nothing was started.
    #[error("{setting}: expected {expected}, found {found}")]
    Config {
        /// Which setting.
        setting: &'static str,
        /// What would have been right.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// A token, a user or a pattern cannot be used. Nothing was started.
    #[error("{0}")]
    Access(String),
    /// The address cannot be listened on. Nothing was started.
    #[error("cannot listen on {address}: {source}; choose another address or stop what uses it")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The store cannot be opened. Nothing was started.
    #[error("cannot open the store {place}: {reason}")]
    Store {
        /// Where it is, its password masked.
        place: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The system gave no thread or no runtime.
    #[error("cannot start {what}: {source}")]
    Start {
        /// Which part.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A part ended again and again; its restart budget is used up.
    #[error("{part} ended {restarts} times within its restart window; see the log for the reason")]
    Exhausted {
        /// Which part.
        part: &'static str,
        /// How many restarts were tried.
        restarts: u32,
    },
    /// The root ended without being told to.
    #[error("the supervisor's root ended without being told to; see the log for the reason")]
    Died,
}

impl Error {
    pub(crate) fn config(
        setting: &'static str,
        expected: &'static str,
        found: impl ToString,
    ) -> Self {
        Self::Config {
            setting,
            expected,
            found: found.to_string(),
        }
    }
}
