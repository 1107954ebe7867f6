//! `task-*` and `worker-*` events.
//!
//! An event is one JSON object; a message carries one of them, or a list when its
//! routing key is `task.multi`. The fields that all events have stand around those of
//! the kind, in the order that Celery writes.

mod decode;
mod encode;
mod task;
mod worker;

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

pub use task::{TaskReceived, TaskSent};
pub use worker::{Load, WorkerStatus};

use crate::{
    State, naming,
    value::{Table, Value},
};

/// Something that happened to a task or a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The node that says so, such as `w1@host`; clients are `gen<pid>@<host>`.
    pub hostname: String,
    /// Hours west of UTC of the sender's clock. This project's nodes send 0 with
    /// timestamps in UTC.
    pub utcoffset: f64,
    /// The process that says so.
    pub pid: u32,
    /// The sender's Lamport clock, which orders events better than time does.
    pub clock: u64,
    /// When, in seconds since the epoch.
    pub timestamp: f64,
    /// What happened.
    pub kind: EventKind,
}

/// What happened, with the fields that belong to it.
///
/// A field that is not listed is dropped from the task kinds, and kept in
/// [`WorkerStatus::extra`] and [`EventKind::Other`].
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// A client published a task; only when it was configured to say so.
    TaskSent(Box<TaskSent>),
    /// A worker took the message.
    TaskReceived(Box<TaskReceived>),
    /// The task runs.
    TaskStarted {
        /// The task's id.
        uuid: String,
    },
    /// The task returned.
    TaskSucceeded {
        /// The task's id.
        uuid: String,
        /// The return value as text for display, cut.
        result: String,
        /// How long it ran, in seconds.
        runtime: f64,
    },
    /// The task failed for good.
    TaskFailed {
        /// The task's id.
        uuid: String,
        /// The exception as Python's `repr` shows it.
        exception: String,
        /// The traceback's text; absent when the task is not known to the worker.
        traceback: Option<String>,
    },
    /// The task failed and will run again.
    TaskRetried {
        /// The task's id.
        uuid: String,
        /// The exception as Python's `repr` shows it; `None` as text without one.
        exception: String,
        /// The traceback's text.
        traceback: Option<String>,
    },
    /// The task was called off, or came too late.
    TaskRevoked {
        /// The task's id.
        uuid: String,
        /// Whether it was stopped while it ran.
        terminated: bool,
        /// The signal that stopped it.
        signum: Option<i32>,
        /// Whether it came too late.
        expired: bool,
    },
    /// A worker refused the message.
    TaskRejected {
        /// The task's id.
        uuid: String,
        /// Whether the broker delivers it again.
        requeue: bool,
    },
    /// The worker is up.
    WorkerOnline(WorkerStatus),
    /// The worker lives.
    WorkerHeartbeat(WorkerStatus),
    /// The worker is about to go.
    WorkerOffline(WorkerStatus),
    /// The worker stands for election.
    WorkerElect {
        /// Which election.
        id: String,
        /// What the winner is to do with `action`, such as `task`.
        topic: String,
        /// The job of the winner.
        action: Value,
        /// The version of the election protocol; 1.
        cver: i64,
    },
    /// The worker has seen a candidate.
    WorkerElectAck {
        /// Which election.
        id: String,
    },
    /// An event of the user's own, or of a later version.
    Other {
        /// The whole type, such as `task-progress` or `my-event`.
        kind: String,
        /// Every field but the common ones, in the sender's order.
        fields: Table,
    },
}

impl Event {
    /// Builds an event of now, with offset 0.
    pub fn new(
        hostname: impl Into<String>,
        pid: u32,
        clock: u64,
        now: SystemTime,
        kind: EventKind,
    ) -> Self {
        let timestamp = now
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        Self {
            hostname: hostname.into(),
            utcoffset: 0.0,
            pid,
            clock,
            timestamp,
            kind,
        }
    }

    /// Returns the type, such as `task-received`.
    pub fn type_name(&self) -> &str {
        self.kind.type_name()
    }

    /// Returns the routing key of the type, such as `task.received`.
    pub fn routing_key(&self) -> Cow<'static, str> {
        self.kind.routing_key()
    }
}

impl EventKind {
    /// Returns the type, such as `task-received`.
    pub fn type_name(&self) -> &str {
        match self {
            Self::TaskSent(_) => "task-sent",
            Self::TaskReceived(_) => "task-received",
            Self::TaskStarted { .. } => "task-started",
            Self::TaskSucceeded { .. } => "task-succeeded",
            Self::TaskFailed { .. } => "task-failed",
            Self::TaskRetried { .. } => "task-retried",
            Self::TaskRevoked { .. } => "task-revoked",
            Self::TaskRejected { .. } => "task-rejected",
            Self::WorkerOnline(_) => "worker-online",
            Self::WorkerHeartbeat(_) => "worker-heartbeat",
            Self::WorkerOffline(_) => "worker-offline",
            Self::WorkerElect { .. } => "worker-elect",
            Self::WorkerElectAck { .. } => "worker-elect-ack",
            Self::Other { kind, .. } => kind,
        }
    }

    /// Returns the routing key of the type, such as `task.received`.
    pub fn routing_key(&self) -> Cow<'static, str> {
        match self {
            // Sent every two seconds by every worker.
            Self::WorkerHeartbeat(_) => Cow::Borrowed("worker.heartbeat"),
            other => Cow::Owned(naming::event_routing_key(other.type_name())),
        }
    }

    /// Returns the id of the task that it is about.
    pub fn task_id(&self) -> Option<&str> {
        match self {
            Self::TaskSent(sent) => Some(&sent.uuid),
            Self::TaskReceived(received) => Some(&received.uuid),
            Self::TaskStarted { uuid }
            | Self::TaskSucceeded { uuid, .. }
            | Self::TaskFailed { uuid, .. }
            | Self::TaskRetried { uuid, .. }
            | Self::TaskRevoked { uuid, .. }
            | Self::TaskRejected { uuid, .. } => Some(uuid),
            Self::Other { kind, fields } if kind.starts_with("task-") => {
                fields.get("uuid")?.as_str()
            }
            _ => None,
        }
    }

    /// Returns the state that the task has by this event.
    pub fn task_state(&self) -> Option<State> {
        match self {
            Self::TaskSent(_) => Some(State::Pending),
            Self::TaskReceived(_) => Some(State::Received),
            Self::TaskStarted { .. } => Some(State::Started),
            Self::TaskSucceeded { .. } => Some(State::Success),
            Self::TaskFailed { .. } => Some(State::Failure),
            Self::TaskRetried { .. } => Some(State::Retry),
            Self::TaskRevoked { .. } => Some(State::Revoked),
            Self::TaskRejected { .. } => Some(State::Rejected),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
