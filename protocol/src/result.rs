//! The stored outcome of a task.

use crate::{
    Codec, DecodeError, EncodeError, State, Timestamp,
    value::{Table, Value},
};

mod document;
mod exception;
mod tuple;

pub use exception::Exception;
pub use tuple::ResultTuple;

/// The stored outcome of a task, or its state on the way there.
///
/// Every result backend but SQL stores this object; the rpc backend sends it.
///
/// ```
/// use celeriac_protocol::{Codec, ResultDocument, Timestamp};
///
/// let done = ResultDocument::success("an-id", 5, Timestamp::from_micros(0));
/// let bytes = done.encode(Codec::Json)?;
/// assert_eq!(
///     bytes,
///     br#"{"status": "SUCCESS", "result": 5, "traceback": null, "children": [], "date_done": "1970-01-01T00:00:00+00:00", "task_id": "an-id"}"#,
/// );
/// assert_eq!(ResultDocument::decode(Codec::Json, &bytes)?, done);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ResultDocument {
    /// The task it belongs to.
    pub task_id: String,
    /// Where the task stands.
    pub status: State,
    /// The value of a success, an [`Exception`] as value, or metadata.
    pub result: Value,
    /// Python's traceback text, ending in a newline.
    pub traceback: Option<String>,
    /// The tasks it sent, as result tuples; `None` writes null.
    pub children: Option<Vec<Value>>,
    /// When it became ready; null until then.
    pub date_done: Option<Timestamp>,
    /// The group it belongs to.
    pub group_id: Option<String>,
    /// The task that sent it.
    pub parent_id: Option<String>,
    /// Name, arguments, worker and so on, when asked for (`result_extended`).
    pub extended: Option<Extended>,
}

/// What a result says of its task when the deployment asks for extended results.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Extended {
    /// The task's name.
    pub name: Option<String>,
    /// Its positional arguments.
    pub args: Value,
    /// Its keyword arguments.
    pub kwargs: Value,
    /// The worker that ran it.
    pub worker: Option<String>,
    /// How many times it was retried.
    pub retries: Option<u32>,
    /// The routing key it came by.
    pub queue: Option<String>,
    /// The stamps: `stamped_headers` and one key each.
    pub stamps: Table,
}

impl ResultDocument {
    /// Makes a document of any state: no children, not done.
    pub fn new(task_id: impl Into<String>, status: State, result: impl Into<Value>) -> Self {
        Self {
            task_id: task_id.into(),
            status,
            result: result.into(),
            traceback: None,
            children: Some(Vec::new()),
            date_done: None,
            group_id: None,
            parent_id: None,
            extended: None,
        }
    }

    /// Makes the document of a task that nobody knows anything of. Never stored.
    pub fn pending(task_id: impl Into<String>) -> Self {
        Self {
            children: None,
            ..Self::new(task_id, State::Pending, Value::Null)
        }
    }

    /// Makes the document of a task that began in a process of a node.
    pub fn started(task_id: impl Into<String>, pid: u32, hostname: &str) -> Self {
        let mut meta = Table::with_capacity(2);
        meta.push("pid", pid);
        meta.push("hostname", hostname);
        Self::new(task_id, State::Started, meta)
    }

    /// Makes the document of a task that reports `meta` under a state of its own, such
    /// as `PROGRESS`.
    pub fn progress(task_id: impl Into<String>, state: &str, meta: impl Into<Value>) -> Self {
        Self::new(task_id, State::from(state), meta)
    }

    /// Makes the document of a task that returned.
    pub fn success(
        task_id: impl Into<String>,
        result: impl Into<Value>,
        now: impl Into<Timestamp>,
    ) -> Self {
        Self {
            date_done: Some(now.into()),
            ..Self::new(task_id, State::Success, result)
        }
    }

    /// Makes the document of a task that failed for good.
    pub fn failure(
        task_id: impl Into<String>,
        exception: Exception,
        traceback: Option<String>,
        now: impl Into<Timestamp>,
    ) -> Self {
        Self {
            traceback,
            date_done: Some(now.into()),
            ..Self::new(task_id, State::Failure, exception.to_value())
        }
    }

    /// Makes the document of a task that will run again: not done, and null as result
    /// when no exception was the cause.
    pub fn retry(
        task_id: impl Into<String>,
        cause: Option<Exception>,
        traceback: Option<String>,
    ) -> Self {
        let cause = cause.map(|exception| exception.to_value());
        Self {
            traceback,
            ..Self::new(task_id, State::Retry, cause)
        }
    }

    /// Makes the document of a task that was called off: `revoked`, `terminated` or
    /// `expired`.
    pub fn revoked(task_id: impl Into<String>, reason: &str, now: impl Into<Timestamp>) -> Self {
        let exception = Exception::task_revoked(reason);
        Self {
            date_done: Some(now.into()),
            ..Self::new(task_id, State::Revoked, exception.to_value())
        }
    }

    /// Returns the exception of a failure, a retry with a cause, or a revocation.
    pub fn exception(&self) -> Option<Exception> {
        match self.status {
            State::Failure | State::Retry | State::Revoked => {
                Exception::from_value(&self.result).ok()
            }
            _ => None,
        }
    }

    /// Writes the document.
    ///
    /// # Errors
    ///
    /// As [`Codec::to_vec`].
    pub fn encode(&self, codec: Codec) -> Result<Vec<u8>, EncodeError> {
        codec.to_vec(self)
    }

    /// Reads a document.
    ///
    /// # Errors
    ///
    /// [`Fault::Malformed`](crate::error::Fault) for bytes that are not a map with
    /// `status` and `task_id`, or keys of wrong types; else as [`Codec::to_value`].
    pub fn decode(codec: Codec, bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::from_value(codec.to_value(bytes, "result document")?)
    }
}
