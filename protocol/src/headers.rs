//! The headers that make a message a task.

use crate::{
    Timestamp,
    value::{Table, Value},
};

mod table;

/// The headers of a task message, protocol 2; a protocol 1 body is read into the
/// same form.
///
/// Only `task` and `id` must be there; everything else has the value that an
/// absent header means.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskHeaders {
    /// The sender's language; `py` for Celery. Nobody checks it.
    pub lang: Option<String>,
    /// Which task to run.
    pub task: String,
    /// The task's id; UUID text by custom, any text by rule.
    pub id: String,
    /// A name to show instead of `task` in logs and events.
    pub shadow: Option<String>,
    /// Not before.
    pub eta: Option<Timestamp>,
    /// Not after.
    pub expires: Option<Timestamp>,
    /// The group this call belongs to.
    pub group: Option<String>,
    /// The place in the group, from 0.
    pub group_index: Option<u32>,
    /// How many times it was retried; 0 at first.
    pub retries: u32,
    /// Hard and soft limit in seconds, in this order on the wire.
    pub timelimit: TimeLimits,
    /// The first task of the workflow.
    pub root_id: Option<String>,
    /// The task that sent this one.
    pub parent_id: Option<String>,
    /// The arguments as text, for display.
    pub argsrepr: Option<String>,
    /// The keyword arguments as text, for display.
    pub kwargsrepr: Option<String>,
    /// Who sent it, as `gen<pid>@<host>`.
    pub origin: Option<String>,
    /// Whether the result is unwanted; `None` leaves it to the task's own option.
    pub ignore_result: Option<bool>,
    /// How often the task was replaced by another.
    pub replaced_task_nesting: u32,
    /// The names of the stamps.
    pub stamped_headers: Option<Vec<String>>,
    /// Stamp name to value or list of values.
    pub stamps: Table,
    /// The MIME name of the body's compression.
    pub compression: Option<String>,
    /// Every other header, as it came; retries carry it on.
    pub extra: Table,
}

/// Limits of a run, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TimeLimits {
    /// The task is stopped after this.
    pub hard: Option<f64>,
    /// The task is asked to stop after this.
    pub soft: Option<f64>,
}

impl TaskHeaders {
    /// Returns the name to show: the shadow if there is one.
    pub fn display_name(&self) -> &str {
        self.shadow.as_deref().unwrap_or(&self.task)
    }

    /// Returns the workflow's first id: `root_id`, or the own id when it is absent.
    pub fn root(&self) -> &str {
        self.root_id.as_deref().unwrap_or(&self.id)
    }

    /// Returns a header that is not one of the protocol's own.
    pub fn extra(&self, name: &str) -> Option<&Value> {
        self.extra.get(name)
    }
}
