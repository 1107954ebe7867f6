//! The task events with many fields.

/// The fields of `task-sent`, which a client sends.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskSent {
    /// The task's id.
    pub uuid: String,
    /// The first task of the workflow.
    pub root_id: Option<String>,
    /// The task that sent it.
    pub parent_id: Option<String>,
    /// The task's name.
    pub name: String,
    /// The arguments as text for display.
    pub args: Option<String>,
    /// The keyword arguments as text for display.
    pub kwargs: Option<String>,
    /// How many times it was retried.
    pub retries: u32,
    /// Not before, ISO 8601.
    pub eta: Option<String>,
    /// Not after, ISO 8601.
    pub expires: Option<String>,
    /// The queue it went to.
    pub queue: Option<String>,
    /// The exchange it was published to; empty for the default one.
    pub exchange: Option<String>,
    /// The routing key it was published with.
    pub routing_key: Option<String>,
}

/// The fields of `task-received`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskReceived {
    /// The task's id.
    pub uuid: String,
    /// The name to show: the shadow if the task has one.
    pub name: String,
    /// The header `argsrepr`, unchanged.
    pub args: Option<String>,
    /// The header `kwargsrepr`, unchanged.
    pub kwargs: Option<String>,
    /// The first task of the workflow.
    pub root_id: Option<String>,
    /// The task that sent it.
    pub parent_id: Option<String>,
    /// How many times it was retried.
    pub retries: u32,
    /// Not before, ISO 8601.
    pub eta: Option<String>,
    /// Not after, ISO 8601.
    pub expires: Option<String>,
}
