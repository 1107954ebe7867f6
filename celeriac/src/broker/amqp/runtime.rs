//! The thread on which a broker's own tasks run.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::error::{Error, Result};

/// How long tasks may take to say good-bye when the broker closes.
const GRACE: Duration = Duration::from_secs(2);

/// The stack of the thread. What a server sends is dropped here, header tables among
/// it, which nest as deep as a frame is long and are dropped by recursion. Only what is
/// used of it takes memory.
const STACK: usize = 16 << 20;

/// The thread on which a broker's own tasks run.
///
/// The client's heartbeats are tasks; on the user's runtime a blocking call of the
/// user's would stop them, and with them the connection.
///
/// ```text
/// running --close--> closing (tasks end, at most GRACE) --> finished (thread ends)
/// ```
#[derive(Debug)]
pub(super) struct Runtime {
    handle: Handle,
    closed: watch::Sender<bool>,
    finished: watch::Receiver<bool>,
    /// Every task holds a clone, so the thread sees when the last one ended.
    alive: Mutex<Option<mpsc::Sender<()>>>,
}

impl Runtime {
    /// Starts the thread.
    pub(super) fn start() -> Result<Self> {
        let failed = |error| Error::unavailable("the broker's own thread", error);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let (alive, mut ended) = mpsc::channel::<()>(1);
        let (closed, mut closing) = watch::channel(false);
        let (finish, finished) = watch::channel(false);
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("celeriac-amqp".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                runtime.block_on(async {
                    // An error means that the broker was dropped, which closes it as well.
                    let _ = closing.wait_for(|&closed| closed).await;
                    let _ = tokio::time::timeout(GRACE, ended.recv()).await;
                });
                runtime.shutdown_timeout(Duration::from_millis(100));
                finish.send_replace(true);
            })
            .map_err(failed)?;
        Ok(Self {
            handle,
            closed,
            finished,
            alive: Mutex::new(Some(alive)),
        })
    }

    /// Runs a task until it ends, or until a while after the broker was closed.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let alive = self
            .alive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(alive) = alive {
            self.handle.spawn(async move {
                task.await;
                drop(alive);
            });
        }
    }

    /// Returns a view of whether the broker is closed.
    pub(super) fn closed(&self) -> Closed {
        Closed(self.closed.subscribe())
    }

    /// Tells everything to end, without waiting.
    pub(super) fn close(&self) {
        self.alive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.closed.send_replace(true);
    }

    /// Waits until everything ended.
    pub(super) async fn finished(&self) {
        let mut finished = self.finished.clone();
        let wait = finished.wait_for(|&finished| finished);
        // An error means that the thread is gone, which is what is waited for.
        let _ = tokio::time::timeout(GRACE + Duration::from_secs(1), wait).await;
    }
}

/// A view of whether the broker is closed.
#[derive(Debug, Clone)]
pub(super) struct Closed(watch::Receiver<bool>);

impl Closed {
    /// Tells whether it is.
    pub(super) fn now(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits until it is.
    pub(super) async fn wait(&mut self) {
        let _ = self.0.wait_for(|&closed| closed).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use lapin::types::{AMQPValue, FieldArray};

    use super::*;

    /// Fails by ending the process.
    #[test]
    fn the_deepest_table_of_a_frame_is_dropped() {
        const FRAME: usize = 131_072;
        const LEVEL: usize = 5;
        let deep = (0..FRAME / LEVEL).fold(AMQPValue::Void, |value, _| {
            AMQPValue::FieldArray(FieldArray::from(vec![value]))
        });
        let runtime = Runtime::start().unwrap();
        let (done, dropped) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            drop(deep);
            done.send(()).unwrap();
        });
        dropped.recv_timeout(Duration::from_secs(30)).unwrap();
        runtime.close();
    }
}
