//! One child process, from the node's side.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac::App;
use celeriac::protocol::EncodeError;
use celeriac::protocol::control::Signal;
use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::frame::{End, ToChild, ToNode, VERSION, Welcome};
use super::loss::{self, Loss};
use super::output::{self, Label};
use super::service::{ASKS, Service};
use super::{VARIABLE, wire};

/// So many frames wait for a child at most.
const FRAMES: usize = 256;

/// So much of what a child says waits for the run that wants it.
const NEWS: usize = 8;

/// How long a process that closed its line, or was killed, may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// How long a process that is let go may take to end by itself.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// One child process. Dropping it kills it with all that it started.
///
/// ```text
/// Starting --Hello--> Idle --Run--> Busy --End--> Idle ... --Leave--> Draining --> Dead
///    |                 |             |                                   |           ^
///    +-----------------+-------------+------ exit, kill -----------------+-----------+
/// ```
///
/// Only an idle process is let go, and so recycled; a busy one ends by its run's limits,
/// or by itself.
pub(super) struct Process {
    child: Child,
    pid: u32,
    frames: mpsc::Sender<Vec<u8>>,
    max_frame: usize,
    news: mpsc::Receiver<News>,
    heard: watch::Receiver<Instant>,
    closed: watch::Receiver<bool>,
    service: Service,
    label: Label,
    /// What keeps its line.
    line: [AbortHandle; 2],
    /// How many tasks it has run.
    pub(super) tasks: u32,
    /// That of the pool when it started.
    pub(super) generation: u64,
}

/// What a child says to the run that waits for it.
pub(super) enum News {
    Hello(u32),
    Broken(String),
    Started(u64),
    End(Box<End>),
    /// Nothing more comes.
    Closed(Option<String>),
}

impl Process {
    /// Starts a process of this program.
    ///
    /// # Errors
    ///
    /// When the system gives none.
    pub(super) fn spawn(app: &App, welcome: &Welcome, generation: u64) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut words = std::env::args_os();
        let name = words.next().unwrap_or_else(|| OsString::from("celeriac"));
        let mut child = Command::new(program()?)
            .arg0(name)
            .args(words)
            .env(VARIABLE, std::process::id().to_string())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A terminal's Ctrl-C is for the node, which drains.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        // There until it is waited for.
        let pid = child.id().unwrap_or_default();
        let label = Label::default();
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(output::log(stdout, "stdout", pid, label.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(output::log(stderr, "stderr", pid, label.clone()));
        }
        let (read, write) = UnixStream::from_std(ours)?.into_split();
        let (frames, queue) = mpsc::channel(FRAMES);
        let (tell, news) = mpsc::channel(NEWS);
        let (hear, heard) = watch::channel(Instant::now());
        let (close, closed) = watch::channel(false);
        let service = Service::new(app.clone(), welcome, frames.clone());
        let forwards = tokio::spawn(forward(queue, write)).abort_handle();
        let ears = Ears {
            service: service.clone(),
            max_frame: welcome.max_frame,
            tell,
            hear,
            close,
        };
        let listens = tokio::spawn(ears.listen(read)).abort_handle();
        Ok(Self {
            child,
            pid,
            frames,
            max_frame: welcome.max_frame,
            news,
            heard,
            closed,
            service,
            label,
            line: [forwards, listens],
            tasks: 0,
            generation,
        })
    }

    /// Waits until it is ready for its first run.
    ///
    /// # Errors
    ///
    /// Why it will not be.
    pub(super) async fn ready(&mut self, welcome: Welcome, within: Duration) -> Result<(), String> {
        let hint = "a program that runs isolated tasks calls celeriac_node::isolation::enter \
                    first in its main";
        self.say(&ToChild::Welcome(Box::new(welcome)));
        match timeout(within, self.news.recv()).await {
            Ok(Some(News::Hello(VERSION))) => Ok(()),
            Ok(Some(News::Hello(other))) => Err(format!(
                "expected a child that speaks version {VERSION}, found version {other}"
            )),
            Ok(Some(News::Broken(reason))) => Err(reason),
            Ok(_) => {
                let status = self.end().await;
                let status = status.map_or_else(|| "no exit status".to_owned(), loss::exit);
                Err(format!(
                    "it ended with {status} before it said hello; {hint}"
                ))
            }
            Err(_) => Err(format!("it did not say hello within {within:?}; {hint}")),
        }
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Tells whether it can be spoken to.
    pub(super) fn is_alive(&self) -> bool {
        !*self.closed.borrow()
    }

    /// Waits until it cannot be spoken to.
    pub(super) fn closed(&self) -> impl Future<Output = ()> + use<> {
        let mut closed = self.closed.clone();
        async move {
            // A sender that is gone has nothing to listen to either.
            let _ = closed.wait_for(|closed| *closed).await;
        }
    }

    /// Returns how long it has been silent.
    pub(super) fn silence(&self) -> Duration {
        self.heard.borrow().elapsed()
    }

    /// Names the task whose output comes from now on.
    pub(super) fn label(&self, id: &str, task: &str) {
        self.label.set(id, task);
    }

    /// Tells whether it has ended. What it forked may hold its line open for longer.
    pub(super) fn has_ended(&self) -> bool {
        // It is left to be waited for: until then its number is nobody else's.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.group()
            .is_some_and(|pid| matches!(waitid(WaitId::Pid(pid), options), Ok(Some(_))))
    }

    /// Returns when it was heard last.
    pub(super) fn heard(&self) -> Instant {
        *self.heard.borrow()
    }

    /// Writes a frame, to be posted.
    ///
    /// # Errors
    ///
    /// When it is too large.
    pub(super) fn encode(&self, frame: &ToChild) -> Result<Vec<u8>, EncodeError> {
        wire::encode(frame, self.max_frame)
    }

    /// Waits until there is room for a frame; one for a process that is gone is dropped.
    pub(super) fn post(&self, frame: Vec<u8>) -> impl Future<Output = ()> + use<> {
        let frames = self.frames.clone();
        async move { drop(frames.send(frame).await) }
    }

    /// Says something, unless more waits than it could have read.
    pub(super) fn say(&self, frame: &ToChild) -> bool {
        wire::encode(frame, self.max_frame).is_ok_and(|bytes| self.frames.try_send(bytes).is_ok())
    }

    /// Waits for what it says next.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> News {
        self.news.recv().await.unwrap_or(News::Closed(None))
    }

    /// Ends what the node did for the last run.
    pub(super) fn end_run(&mut self) {
        self.tasks = self.tasks.saturating_add(1);
        self.service.end_run();
    }

    /// Sends it a signal; what it started hears nothing.
    pub(super) fn signal(&self, signal: Signal) {
        let number = i32::from(signal.number());
        match (
            self.group(),
            rustix::process::Signal::from_named_raw(number),
        ) {
            (Some(pid), Some(signal)) => drop(kill_process(pid, signal)),
            // Real-time signals have no safe way; by default they end a process too.
            (Some(pid), None) => drop(kill_process(pid, rustix::process::Signal::KILL)),
            (None, _) => {}
        }
    }

    /// Kills it with all that it started, and waits until it is gone.
    pub(super) async fn end(&mut self) -> Option<ExitStatus> {
        self.kill_group();
        let status = timeout(GONE_WITHIN, self.child.wait()).await;
        status.ok().and_then(Result::ok)
    }

    /// Finds out how a process ended that said nothing more.
    pub(super) async fn loss(&mut self, garbled: Option<String>) -> Loss {
        let status = self.end().await;
        match garbled {
            Some(what) => Loss::Garbled(what),
            None => Loss::Ended(status),
        }
    }

    /// Lets an idle process end by itself.
    pub(super) async fn leave(mut self) {
        if self.say(&ToChild::Leave) {
            let _ = timeout(LEAVE_WITHIN, self.closed()).await;
        }
        self.end().await;
        tracing::debug!(
            pid = self.pid,
            tasks = self.tasks,
            "process of isolated tasks ended"
        );
    }

    /// The process group, of which it is the first, for as long as nobody else can be
    /// meant by its number.
    fn group(&self) -> Option<Pid> {
        let pid = i32::try_from(self.child.id()?).ok()?;
        Pid::from_raw(pid)
    }

    fn kill_group(&self) {
        if let Some(group) = self.group() {
            // An error means that nobody is left.
            let _ = kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group();
        self.service.end_run();
        self.line.iter().for_each(AbortHandle::abort);
    }
}

/// Returns this program. A file that was replaced since is not meant.
fn program() -> io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe()
}

/// Writes frames in their order.
async fn forward(mut frames: mpsc::Receiver<Vec<u8>>, mut to: OwnedWriteHalf) {
    while let Some(bytes) = frames.recv().await {
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Reads what a child says, and sees to it that it is answered.
struct Ears {
    service: Service,
    max_frame: usize,
    tell: mpsc::Sender<News>,
    hear: watch::Sender<Instant>,
    close: watch::Sender<bool>,
}

impl Ears {
    async fn listen(self, mut from: OwnedReadHalf) {
        // Twice as many: it hears an answer before its place here is free.
        let asks = Arc::new(Semaphore::new(2 * ASKS));
        let garbled = loop {
            let frame = match wire::receive(&mut from, self.max_frame).await {
                Ok(Some(frame)) => frame,
                Ok(None) => break None,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::error!(%error, "process of isolated tasks said what is no frame");
                    break Some("what is no frame".to_owned());
                }
                Err(_) => break None,
            };
            self.hear.send_replace(Instant::now());
            let news = match frame {
                ToNode::Beat => continue,
                ToNode::Ask(number, ask) => {
                    let service = self.service.clone();
                    let Ok(permit) = Arc::clone(&asks).try_acquire_owned() else {
                        break Some(format!("to do more than {ASKS} things at once"));
                    };
                    tokio::spawn(async move {
                        service.serve(number, ask).await;
                        drop(permit);
                    });
                    continue;
                }
                ToNode::Hello { version } => News::Hello(version),
                ToNode::Broken(reason) => News::Broken(reason),
                ToNode::Started(run) => News::Started(run),
                ToNode::End(end) => News::End(end),
            };
            if self.tell.send(news).await.is_err() {
                break None;
            }
        };
        self.close.send_replace(true);
        let _ = self.tell.send(News::Closed(garbled)).await;
    }
}
