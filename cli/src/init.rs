//! The first process of a container.
//!
//! The kernel expects two things of process 1: that it waits for processes whose parents
//! have ended, and that it handles every signal that it shall heed. Who waits for any
//! process takes the ends of those that tasks started and wait for themselves, so this is
//! not a node's work: a first process only looks after the second, which is the node.
//!
//! ```text
//! 1 celeriac node      waits for whatever ends, hands signals on
//! 2   celeriac node    the node; a child of its own, and of its tasks, stays its own
//! 3     celeriac node    a process of isolated tasks
//! ```

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode, ExitStatus};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;

/// Tells whether this process is the first of its container.
pub(crate) fn is_first() -> bool {
    std::process::id() == 1
}

/// Runs this program once more, as a child, looks after it, and ends as it does.
///
/// # Errors
///
/// When it cannot be started.
pub(crate) fn look_after_itself() -> Result<ExitCode, Error> {
    let failed = |error: std::io::Error| {
        Error::Failed(format!(
            "cannot start again as a child of process 1: {error}"
        ))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    runtime.block_on(look_after()).map_err(failed)
}

async fn look_after() -> std::io::Result<ExitCode> {
    // Before there is a child whose end could be missed.
    let mut ends = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let child = start()?;
    let mut told = None;
    loop {
        let heard = tokio::select! {
            _ = ends.recv() => None,
            _ = terminate.recv() => Some(Signal::TERM),
            _ = interrupt.recv() => Some(Signal::INT),
            _ = quit.recv() => Some(Signal::QUIT),
            _ = hangup.recv() => Some(Signal::HUP),
        };
        if let Some(signal) = heard {
            told = Some(signal);
            // It is gone when this fails, and its end is heard next.
            let _ = kill_process(child, signal);
        }
        // One signal may stand for many ends.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == child {
                return Ok(end(ExitStatus::from_raw(status.as_raw()), told));
            }
            tracing::debug!(pid = pid.as_raw_nonzero(), "a process without parent ended");
        }
    }
}

fn start() -> std::io::Result<Pid> {
    let mut words = std::env::args_os();
    let mut again = Command::new(std::env::current_exe()?);
    if let Some(name) = words.next() {
        again.arg0(name);
    }
    // A terminal's signals come to the group of process 1, which hands them on once.
    let child = again.args(words).process_group(0).spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| std::io::Error::other("it has no process id"))
}

/// Ends as the child did, and says why when it could not say so itself.
fn end(status: ExitStatus, told: Option<Signal>) -> ExitCode {
    if let Some(code) = status.code() {
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    let number = status.signal().unwrap_or_default();
    if told.is_some_and(|signal| signal.as_raw() == number) {
        // It has a handler from before it takes the first task on.
        tracing::info!("stopped while it was starting");
        return ExitCode::SUCCESS;
    }
    let named = u8::try_from(number).ok();
    let named = named.and_then(celeriac::protocol::control::Signal::from_number);
    let name = named.map_or_else(String::new, |signal| format!(" ({signal})"));
    let hint = if number == Signal::KILL.as_raw() {
        "; the system does that when memory runs out"
    } else {
        ""
    };
    tracing::error!("ended by signal {number}{name}{hint}");
    ExitCode::from(u8::try_from(128 + number).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(raw: i32, told: Option<Signal>) -> ExitCode {
        end(ExitStatus::from_raw(raw), told)
    }

    #[test]
    fn process_1_ends_as_its_child_does() {
        let code = |code: u8| format!("{:?}", ExitCode::from(code));
        for (raw, told, expected) in [
            (0, None, 0),
            (78 << 8, None, 78),
            (9, None, 137),
            (6, Some(Signal::TERM), 134),
            // Before it had a handler, it had no task either.
            (15, Some(Signal::TERM), 0),
            (15, None, 143),
        ] {
            assert_eq!(format!("{:?}", ended(raw, told)), code(expected), "{raw}");
        }
    }
}
