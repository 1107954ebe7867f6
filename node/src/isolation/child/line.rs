//! The line to the node.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use celeriac::backend::Waiters;
use celeriac::protocol::EncodeError;
use celeriac::task::Context;
use celeriac::{App, Error, Result};
use rustix::process::{Signal, getpgrp, getpid, kill_process, kill_process_group};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc as queue, oneshot};

use crate::isolation::fault::Fault;
use crate::isolation::frame::{Answer, Ask, Run, ToChild, ToNode, Welcome};
use crate::isolation::service::ASKS;
use crate::isolation::wire;

/// Enough to read a frame, whose depth is bounded.
const STACK: usize = 1 << 20;

/// No frame before the welcome, which says how large one may be, is larger.
const FIRST: usize = 1 << 16;

/// The line to the node. It works while a task keeps every thread of the runtime: the
/// node is read on a thread of its own, and so are signs of life sent.
pub(super) struct Line {
    read: UnixStream,
    write: Mutex<UnixStream>,
    max_frame: usize,
    next: AtomicU64,
    /// Who waits for which answer.
    asked: Mutex<HashMap<u64, Asked>>,
    /// So much more may be asked now.
    room: Arc<Semaphore>,
    /// The present run.
    current: Mutex<Option<(u64, Context)>>,
}

/// What the node does: even when nobody waits for the answer any more, it does it.
struct Asked {
    tell: oneshot::Sender<Result<Answer, Fault>>,
    _room: OwnedSemaphorePermit,
}

/// A task to run, with its context.
pub(super) struct Started {
    pub(super) run: Run,
    pub(super) context: Context,
}

impl Line {
    /// Reads the welcome.
    ///
    /// # Errors
    ///
    /// When the node is gone, or says something else.
    pub(super) fn open(mut stream: UnixStream) -> io::Result<(Arc<Self>, Welcome)> {
        let Some(ToChild::Welcome(welcome)) = wire::read(&mut stream, FIRST)? else {
            return Err(io::Error::other("expected a welcome from the node"));
        };
        let line = Self {
            write: Mutex::new(stream.try_clone()?),
            read: stream,
            max_frame: welcome.max_frame,
            next: AtomicU64::new(0),
            asked: Mutex::default(),
            room: Arc::new(Semaphore::new(ASKS)),
            current: Mutex::default(),
        };
        Ok((Arc::new(line), *welcome))
    }

    /// Says something to the node. Waits, on this thread, while the node does not read.
    ///
    /// # Errors
    ///
    /// When it cannot be written as a frame. That the node is gone, or the line is, is no
    /// error: this process ends for it.
    pub(super) fn say(&self, frame: &ToNode) -> Result<(), EncodeError> {
        let bytes = wire::encode(frame, self.max_frame)?;
        if lock(&self.write).write_all(&bytes).is_err() {
            end_all();
        }
        Ok(())
    }

    /// Asks the node to do something and waits for the answer; waits before that while
    /// much is asked.
    ///
    /// # Errors
    ///
    /// Those of the node, and when it cannot be written as a frame.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let room = Arc::clone(&self.room).acquire_owned().await;
        // Nobody closes the semaphore.
        let _room = room.map_err(|_| Error::Closed("the node"))?;
        let (tell, told) = oneshot::channel();
        lock(&self.asked).insert(number, Asked { tell, _room });
        if let Err(error) = self.say(&ToNode::Ask(number, ask)) {
            lock(&self.asked).remove(&number);
            return Err(error.into());
        }
        match told.await {
            Ok(answer) => answer.map_err(Error::from),
            Err(_) => Err(Error::Closed("the node")),
        }
    }

    /// Starts to read what the node says; returns the tasks to run, one at a time, until
    /// there are no more.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(super) fn listen(
        self: &Arc<Self>,
        app: App,
        waiters: Waiters,
    ) -> io::Result<queue::Receiver<Started>> {
        let line = Arc::clone(self);
        let mut read = self.read.try_clone()?;
        let (runs, receive) = queue::channel(1);
        let thread = thread::Builder::new().name("celeriac-line".to_owned());
        thread.stack_size(STACK).spawn(move || {
            // Without its node the process is of no use, whatever its task does now.
            while let Ok(Some(frame)) = wire::read(&mut read, line.max_frame) {
                match frame {
                    ToChild::Leave => return,
                    frame => line.hear(frame, &app, &waiters, &runs),
                }
            }
            end_all();
        })?;
        Ok(receive)
    }

    fn hear(&self, frame: ToChild, app: &App, waiters: &Waiters, runs: &queue::Sender<Started>) {
        match frame {
            ToChild::Run(run) => {
                let context = Context::new(app.clone(), run.request.clone());
                if let Some(trace) = &run.trace {
                    context.set_trace(trace.clone());
                }
                *lock(&self.current) = Some((run.run, context.clone()));
                let started = Started { run: *run, context };
                // The process ends when nobody runs tasks.
                let _ = runs.blocking_send(started);
            }
            ToChild::SoftLimit(run) => {
                if let Some(context) = self.context(run) {
                    context.soft_limit_token().cancel();
                }
            }
            ToChild::Cancel(run) => {
                if let Some(context) = self.context(run) {
                    context.cancellation().cancel();
                }
            }
            ToChild::Answer(number, answer) => {
                if let Some(asked) = lock(&self.asked).remove(&number) {
                    // Who asked may have given up.
                    let _ = asked.tell.send(answer);
                }
            }
            ToChild::Document(document) => {
                waiters.notify(*document);
            }
            // Said out of turn.
            ToChild::Welcome(_) | ToChild::Leave => {}
        }
    }

    fn context(&self, run: u64) -> Option<Context> {
        let current = lock(&self.current);
        let (_, context) = current.as_ref().filter(|(present, _)| *present == run)?;
        Some(context.clone())
    }

    /// Starts to give signs of life, one every so many milliseconds.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(super) fn beat(self: &Arc<Self>, millis: u64) -> io::Result<()> {
        let line = Arc::clone(self);
        let every = Duration::from_millis(millis.max(10));
        let thread = thread::Builder::new().name("celeriac-beat".to_owned());
        thread.stack_size(STACK).spawn(move || {
            // Nobody sends: this is a sleep.
            let (_never, rest) = mpsc::channel::<()>();
            while rest.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let _ = line.say(&ToNode::Beat);
            }
        })?;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends this process at once, with all that it started.
fn end_all() {
    if getpgrp() == getpid() {
        let _ = kill_process_group(getpgrp(), Signal::KILL);
    }
    let _ = kill_process(getpid(), Signal::KILL);
}
