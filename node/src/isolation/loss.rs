//! Why a run has no end of its own: pure functions, in the words of Celery's clients.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use celeriac::protocol::control::Signal;

/// SIGHUP, SIGINT and SIGTERM.
const ENDS: [u8; 3] = [1, 2, 15];

/// Why the process of a run is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Loss {
    /// It ended by itself, or somebody else ended it.
    Ended(Option<ExitStatus>),
    /// It held more memory than it may, in bytes.
    Memory { limit: u64, used: u64 },
    /// It gave no sign of life for so long.
    Silent(Duration),
    /// It said what nobody understands.
    Garbled(String),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebi = |bytes: &u64| bytes.div_ceil(1 << 20);
        match self {
            Self::Ended(Some(status)) => exit(*status).fmt(f),
            Self::Ended(None) => f.write_str("exit status unknown"),
            Self::Memory { limit, used } => write!(
                f,
                "signal 9 (SIGKILL), memory limit of {} MiB exceeded with {} MiB",
                mebi(limit),
                mebi(used)
            ),
            Self::Silent(time) => write!(f, "signal 9 (SIGKILL), no sign of life for {time:?}"),
            Self::Garbled(what) => write!(f, "signal 9 (SIGKILL), its node was told {what}"),
        }
    }
}

impl Loss {
    /// Tells whether somebody told the process to end, as service managers and terminals
    /// do with every process of a service.
    pub(super) fn is_told_to_end(&self) -> bool {
        let Self::Ended(Some(status)) = self else {
            return false;
        };
        let signal = status.signal().and_then(|number| u8::try_from(number).ok());
        let signal = signal.and_then(Signal::from_number);
        signal.is_some_and(|signal| ENDS.contains(&signal.number()))
    }
}

/// Says what an exit status means: `signal 9 (SIGKILL)`, `exitcode 3`.
pub(super) fn exit(status: ExitStatus) -> String {
    let signal = status.signal().and_then(|number| u8::try_from(number).ok());
    match (signal.and_then(Signal::from_number), status.code()) {
        (Some(signal), _) => format!("signal {} ({signal})", signal.number()),
        (None, Some(code)) => format!("exitcode {code}"),
        (None, None) => status.to_string(),
    }
}

/// Says what became of a run, as the text of `WorkerLostError`.
pub(super) fn text(loss: &Loss, run: u64) -> String {
    format!("Worker exited prematurely: {loss} Job: {run}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_reads_as_celery_tells_it() {
        for (raw, expected) in [
            (9, "Worker exited prematurely: signal 9 (SIGKILL) Job: 1."),
            (
                0x86,
                "Worker exited prematurely: signal 6 (SIGABRT) Job: 1.",
            ),
            (0x300, "Worker exited prematurely: exitcode 3 Job: 1."),
            (0, "Worker exited prematurely: exitcode 0 Job: 1."),
        ] {
            let loss = Loss::Ended(Some(ExitStatus::from_raw(raw)));
            assert_eq!(text(&loss, 1), expected);
        }
    }

    #[test]
    fn a_wish_to_end_is_told_from_a_crash() {
        for (raw, wish) in [(15, true), (2, true), (1, true), (9, false), (0x86, false)] {
            let loss = Loss::Ended(Some(ExitStatus::from_raw(raw)));
            assert_eq!(loss.is_told_to_end(), wish, "{raw}");
        }
        assert!(!Loss::Ended(Some(ExitStatus::from_raw(0x0f00))).is_told_to_end());
        assert!(!Loss::Ended(None).is_told_to_end());
    }

    #[test]
    fn what_the_node_did_has_its_reason() {
        let limit = 256 << 20;
        let loss = Loss::Memory {
            limit,
            used: limit + 1,
        };
        assert_eq!(
            text(&loss, 0),
            "Worker exited prematurely: signal 9 (SIGKILL), memory limit of 256 MiB exceeded with 257 MiB Job: 0."
        );
    }
}
