//! The stored outcome of a task.

use crate::{State, Timestamp, value::{Table, Value}};

/// The stored outcome of a task, or its state on the way there.
///
/// Every result backend but SQL stores this object; the rpc backend sends it.
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

/// An exception in the form that Celery's clients rebuild.
///
/// They look `exc_type` up in `exc_module`; a class they do not know becomes a
/// stand-in of that name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exception {
    /// The class name, such as `ValueError`.
    pub exc_type: String,
    /// The constructor's arguments.
    pub exc_message: Vec<Value>,
    /// The module, such as `builtins`; `None` in documents of old versions.
    pub exc_module: Option<String>,
}

/// `Type: message`, as Python prints an exception.
impl std::fmt::Display for Exception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.exc_type)?;
        for (at, argument) in self.exc_message.iter().enumerate() {
            f.write_str(if at == 0 { ": " } else { ", " })?;
            match argument.as_str() {
                Some(text) => f.write_str(text)?,
                None => f.write_str(argument.kind())?,
            }
        }
        Ok(())
    }
}
