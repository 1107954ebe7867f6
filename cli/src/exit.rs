//! How a process of this program ends.

use std::process::ExitCode;

/// How a process ends: the one table of statuses, with the numbers of `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command did its work.
    Done,
    /// The work was tried and failed.
    Failed,
    /// The command line is wrong.
    Usage,
    /// Something that is needed is not there.
    Unavailable,
    /// The program failed.
    Fault,
    /// A deadline passed.
    Undecided,
    /// The environment, the settings file or a secret is wrong.
    Config,
}

impl Exit {
    /// Every status, in the order of their numbers.
    pub(crate) const ALL: [Self; 7] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Unavailable,
        Self::Fault,
        Self::Undecided,
        Self::Config,
    ];

    /// Returns the number that the process ends with.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 64,
            Self::Unavailable => 69,
            Self::Fault => 70,
            Self::Undecided => 75,
            Self::Config => 78,
        }
    }

    /// Says what it means to who started the process.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "it did its work; a node or supervisor was told to stop, and did",
            Self::Failed => "the work was tried and failed",
            Self::Usage => "the command line is wrong; nothing was started",
            Self::Unavailable => {
                "something is out of reach or in use: a server, a node, the supervisor, the \
                 store, an address to listen on; a later try may work"
            }
            Self::Fault => "a part of the program failed, or failed again and again",
            Self::Undecided => "a deadline passed, and the outcome is open",
            Self::Config => {
                "the environment, the settings file, a file with a secret, or settings that do not \
                 go together; nothing was started, and another try ends the same"
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}
