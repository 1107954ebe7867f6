//! The threads that look after processes.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Handle, Runtime};

/// As many open files as a node with many processes may need: each takes four.
const FILES: u64 = 1 << 16;

/// A runtime of its own, where processes are started, heard and ended: code of other
/// tasks, which may keep every thread of theirs, delays no limit and no sign of life.
///
/// ```text
/// Never needed --first process--> Up --node ends--> Ended
///      |                                              ^
///      +----------------------------------------------+
/// ```
#[derive(Default)]
pub(super) struct Supervision(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Never,
    Up(Runtime),
    Ended,
}

impl Supervision {
    /// Returns the runtime; starts it when it is needed first.
    ///
    /// # Errors
    ///
    /// When the system gives no threads, or the node ends.
    pub(super) fn handle(&self) -> Result<Handle, String> {
        let mut state = self.lock();
        if matches!(*state, State::Never) {
            let runtime = start().map_err(|error| format!("cannot start threads: {error}"))?;
            *state = State::Up(runtime);
        }
        match &*state {
            State::Up(runtime) => Ok(runtime.handle().clone()),
            State::Never | State::Ended => Err("the node ends".to_owned()),
        }
    }

    /// Ends it, and with it every process that is still there.
    pub(super) fn end(&self) {
        if let State::Up(runtime) = std::mem::replace(&mut *self.lock(), State::Ended) {
            // Waiting for its threads is not allowed on a thread of another.
            runtime.shutdown_background();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Supervision {
    fn drop(&mut self) {
        self.end();
    }
}

fn start() -> io::Result<Runtime> {
    if std::process::id() == 1 {
        tracing::warn!(
            "this program is the first process of its container: run it by celeriac_cli::main or \
             under an init (docker run --init, tini), or what its isolated tasks start stays as \
             zombies when they end"
        );
    }
    let limit = getrlimit(Resource::Nofile);
    if let Some(raised) = files(&limit)
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("celeriac-isolation")
        .enable_all()
        .build()
}

/// Returns the limit to set, when it can be raised.
fn files(limit: &Rlimit) -> Option<Rlimit> {
    let soft = limit.current?;
    let wanted = limit.maximum.unwrap_or(FILES).min(FILES);
    (soft < wanted).then_some(Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn it_starts_when_needed_and_ends_for_good() {
        let supervision = Supervision::default();
        let (tell, told) = std::sync::mpsc::channel();
        let handle = supervision.handle().unwrap();
        handle.spawn(async move { tell.send(1) });
        assert_eq!(told.recv(), Ok(1));
        supervision.end();
        assert_eq!(supervision.handle().unwrap_err(), "the node ends");
    }

    #[test]
    fn files_are_raised_as_far_as_allowed() {
        let limit = |current, maximum| Rlimit { current, maximum };
        for (current, maximum, raised) in [
            (Some(1024), Some(4096), Some(4096)),
            (Some(1024), None, Some(FILES)),
            (Some(1024), Some(1 << 20), Some(FILES)),
            (Some(1 << 20), None, None),
            (Some(4096), Some(4096), None),
            (None, None, None),
        ] {
            let found = files(&limit(current, maximum)).and_then(|limit| limit.current);
            assert_eq!(found, raised, "{current:?} {maximum:?}");
        }
    }
}
