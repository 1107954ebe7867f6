//! How a command fails, and with which status.

use std::process::ExitCode;

use crate::exit::Exit;

/// How a command fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line, environment or settings file is wrong. Nothing was started.
    #[error("{0}")]
    Usage(String),
    /// The work was tried and failed.
    #[error("{0}")]
    Failed(String),
    /// A part of the program failed.
    #[error("{0}")]
    Fault(String),
    /// Nobody answered.
    #[error("no node answered in time; --timeout waits longer")]
    Silent,
    /// A deadline passed; the outcome is open.
    #[error("{0}")]
    Undecided(String),
}

impl Error {
    /// Returns how the process ends.
    pub(crate) fn exit_code(&self) -> ExitCode {
        let exit = match self {
            Self::Usage(_) => Exit::Usage,
            Self::Failed(_) => Exit::Failed,
            Self::Silent => Exit::Unavailable,
            Self::Fault(_) => Exit::Fault,
            Self::Undecided(_) => Exit::Undecided,
        };
        exit.into()
    }
}

impl From<celeriac::Error> for Error {
    fn from(error: celeriac::Error) -> Self {
        match error {
            celeriac::Error::Invalid { .. } => Self::Usage(error.to_string()),
            celeriac::Error::Timeout { .. } => Self::Undecided(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<celeriac_supervisor::Error> for Error {
    fn from(error: celeriac_supervisor::Error) -> Self {
        match error {
            celeriac_supervisor::Error::Config { .. } | celeriac_supervisor::Error::Access(_) => {
                Self::Usage(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}
