//! How a command fails, and with which status.

use crate::exit::Exit;

/// How a command fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line is wrong. Nothing was started.
    #[error("{0}")]
    Usage(String),
    /// The environment, the settings file or a secret is wrong, or settings do not go
    /// together. Nothing was started.
    #[error("{0}")]
    Config(String),
    /// The work was tried and failed.
    #[error("{0}")]
    Failed(String),
    /// Something that is needed is out of reach, or in use.
    #[error("{0}")]
    Unavailable(String),
    /// Nobody answered.
    #[error("no node answered in time; --timeout waits longer")]
    Silent,
    /// A part of this program failed.
    #[error("{0}")]
    Fault(String),
    /// A deadline passed; the outcome is open.
    #[error("{0}")]
    Undecided(String),
}

impl Error {
    /// Returns how the process ends.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Config(_) => Exit::Config,
            Self::Failed(_) => Exit::Failed,
            Self::Unavailable(_) | Self::Silent => Exit::Unavailable,
            Self::Fault(_) => Exit::Fault,
            Self::Undecided(_) => Exit::Undecided,
        }
    }
}

impl From<celeriac::Error> for Error {
    fn from(error: celeriac::Error) -> Self {
        let text = error.to_string();
        match error {
            celeriac::Error::Invalid { .. } => Self::Usage(text),
            celeriac::Error::Timeout { .. } => Self::Undecided(text),
            celeriac::Error::Unavailable { .. } | celeriac::Error::Listen { .. } => {
                Self::Unavailable(text)
            }
            _ => Self::Failed(text),
        }
    }
}

impl From<celeriac_supervisor::Error> for Error {
    fn from(error: celeriac_supervisor::Error) -> Self {
        use celeriac_supervisor::Error as Refusal;
        let text = error.to_string();
        match error {
            Refusal::Config { .. } | Refusal::Access(_) => Self::Config(text),
            Refusal::Listen { .. } | Refusal::Store { .. } | Refusal::Start { .. } => {
                Self::Unavailable(text)
            }
            Refusal::Exhausted { .. } | Refusal::Died => Self::Fault(text),
            _ => Self::Failed(text),
        }
    }
}
