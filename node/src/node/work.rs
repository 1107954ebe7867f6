//! The runtime that user code runs on.

use celeriac::{Error, Result};
use tokio::runtime::{Builder, Handle, Runtime};

/// So many threads more are there for what else blocks: names that a client of a server
/// looks up, files and calls of asynchronous tasks. As many as tokio has by itself; they
/// start when they are needed. Blocking tasks cannot take them.
const SPARE_THREADS: usize = 512;

/// The stack of a thread that runs tasks, in bytes: the usual one, whatever a program
/// took for its own threads.
const STACK: usize = 2 * 1024 * 1024;

/// The work-stealing runtime of user code and the data plane. Its threads are not those
/// that keep the broker's heartbeat, nor those of the actors.
pub(super) struct Work(Option<Runtime>, Handle);

impl Work {
    pub(super) fn new(blocking_threads: usize) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("celeriac-work")
            .thread_stack_size(STACK)
            .max_blocking_threads(blocking_threads.saturating_add(SPARE_THREADS))
            .enable_all()
            .build()
            .map_err(|error| Error::unavailable("runtime", error))?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    pub(super) const fn handle(&self) -> &Handle {
        &self.1
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed on a runtime's thread, and may take for
        // ever.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
