//! What a node and its child process say to each other.
//!
//! ```text
//! node                                  child
//!   | -------- Welcome ------------------> |  builds its app
//!   | <------- Hello, or Broken ---------- |
//!   | -------- Run ----------------------> |
//!   | <------- Started ------------------- |  starts the task
//!   | <------- Ask -- Answer ------------> |  what the task sends and stores
//!   | -------- SoftLimit, Cancel --------> |
//!   | <------- Beat, every second -------- |
//!   | <------- End ----------------------- |
//!   | -------- Leave --------------------> |  ends
//! ```
//!
//! A child that finds the way to its node closed ends at once, with all that it started.

use bytes::Bytes;
use celeriac::backend::{self, Joined, Member, Store, Stored};
use celeriac::broker::{self, Publication, QueueStatus, Topology};
use celeriac::protocol::{DecodeError, ResultDocument, ResultTuple, Value, value};
use celeriac::task::{Request, TaskResult};
use celeriac::trace::TraceContext;
use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// The version of these frames. Both sides are one program, unless somebody starts
/// something else by hand.
pub(super) const VERSION: u32 = 1;

/// From the node to its child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToChild {
    /// The first.
    Welcome(Box<Welcome>),
    /// Run a task; the next one comes after the end of this one.
    Run(Box<Run>),
    /// The soft time limit of a run has passed.
    SoftLimit(u64),
    /// A run shall stop.
    Cancel(u64),
    /// What was asked under this number.
    Answer(u64, Result<Answer, Fault>),
    /// News of a task that was asked for by [`Ask::Watch`].
    Document(Box<ResultDocument>),
    /// There is no more to do.
    Leave,
}

/// What a child has to know before it starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Welcome {
    pub(super) version: u32,
    pub(super) broker: broker::Capabilities,
    pub(super) broker_url: String,
    pub(super) backend: backend::Capabilities,
    pub(super) backend_url: String,
    /// Where results of calls go when they go to the caller: to the node.
    pub(super) reply_to: String,
    /// How often a sign of life is due, in milliseconds.
    pub(super) beat: u64,
    /// The largest frame.
    pub(super) max_frame: usize,
}

/// A task to run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Run {
    /// Tells the runs of a node apart.
    pub(super) run: u64,
    pub(super) request: Request,
    /// What the task's calls continue.
    pub(super) trace: Option<TraceContext>,
    /// The body is one of protocol 1.
    pub(super) first_protocol: bool,
    #[serde(with = "value::binary")]
    pub(super) body: Bytes,
    /// The largest body that is decompressed.
    pub(super) max_body: usize,
}

/// From a child to its node.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToNode {
    /// Ready for the first run.
    Hello {
        /// That of the child's frames.
        version: u32,
    },
    /// It cannot run anything, for this reason.
    Broken(String),
    /// The task of this run starts now.
    Started(u64),
    /// It lives.
    Beat,
    /// Something that only the node can do; the number is the child's own.
    Ask(u64, Ask),
    /// A run has ended.
    End(Box<End>),
}

/// The end of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) run: u64,
    pub(super) code: Code,
    /// The tasks it sent, as result tuples.
    pub(super) children: Vec<Value>,
}

/// How a task's code came to its end, where it could say so.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Code {
    Returned(TaskResult),
    Panicked(String),
    /// Its arguments are not those of the task; nothing has run.
    Unreadable(DecodeError),
}

/// What a child asks its node to do on its connections.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    Declare(Topology),
    Publish(Vec<Publication>),
    Queue(String),
    Purge(String),
    DeleteQueue(String),
    Store(Vec<Store>),
    Fetch(Vec<String>),
    /// Answered once, then followed by documents until the run ends.
    Watch(String),
    Forget(Vec<String>),
    BeginJoin(String, u32),
    Join(Member),
    /// The group, the id of what is added, and whether it is expected or withdrawn.
    ExtendJoin(String, String, bool),
    SaveGroup(ResultTuple),
    RestoreGroup(String),
    DeleteGroup(String),
    EndJoin(String),
}

/// What came of an [`Ask`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    Published(Vec<Result<(), Fault>>),
    Stored(Vec<Result<Stored, Fault>>),
    Queue(Option<QueueStatus>),
    Count(u64),
    Flag(bool),
    Documents(Vec<Option<ResultDocument>>),
    Joined(Option<Vec<Joined>>),
    Group(Option<ResultTuple>),
}
