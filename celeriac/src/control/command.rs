//! The commands of remote control, with their arguments.

use std::time::Duration;

use celeriac_protocol::control::Signal;
use celeriac_protocol::{Table, Value};

/// A command of remote control: a method with its arguments.
///
/// Every method of Celery 5.7 has a function of its own here; [`Command::new`] makes any
/// other. What a node answers is what Celery's worker answers: mostly `{"ok": text}` or
/// `{"error": text}`, or the data itself.
///
/// # Example
///
/// ```
/// use celeriac::control::{Command, Signal};
///
/// let gently = Command::revoke(["an-id"]);
/// let at_once = Command::revoke(["an-id"]).terminate(Signal::KILL);
/// let own = Command::new("reload_prices").argument("currency", "EUR");
/// assert_eq!((gently.method(), own.method()), ("revoke", "reload_prices"));
/// # drop(at_once);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a command does nothing until it is sent"]
pub struct Command {
    method: String,
    arguments: Table,
}

impl Command {
    /// Makes a command of any name, such as one of a program's own.
    pub fn new(method: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            arguments: Table::new(),
        }
    }

    /// Sets an argument.
    pub fn argument(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    /// Sets all arguments at once.
    pub fn arguments(mut self, arguments: Table) -> Self {
        self.arguments = arguments;
        self
    }

    /// Returns the name of the method.
    pub fn method(&self) -> &str {
        &self.method
    }

    pub(super) fn into_parts(self) -> (String, Table) {
        (self.method, self.arguments)
    }

    /// Asks who is there; answered with `pong`.
    pub fn ping() -> Self {
        Self::new("ping")
    }

    /// Asks for the Lamport clock.
    pub fn clock() -> Self {
        Self::new("clock")
    }

    /// Asks for the tasks that run. `safe` shows their arguments as text.
    pub fn active(safe: bool) -> Self {
        Self::new("active").argument("safe", safe)
    }

    /// Asks for the tasks that wait for a place to run.
    pub fn reserved() -> Self {
        Self::new("reserved")
    }

    /// Asks for the tasks that wait for their time.
    pub fn scheduled() -> Self {
        Self::new("scheduled")
    }

    /// Asks where tasks are.
    pub fn query_task(ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new("query_task").argument("ids", texts(ids))
    }

    /// Asks for the ids that were revoked.
    pub fn revoked() -> Self {
        Self::new("revoked")
    }

    /// Asks for the tasks that a node knows, each with these attributes.
    pub fn registered(attributes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new("registered").argument("taskinfoitems", texts(attributes))
    }

    /// Asks for the queues that are consumed.
    pub fn active_queues() -> Self {
        Self::new("active_queues")
    }

    /// Asks for figures of the pool, the broker and the process.
    pub fn stats() -> Self {
        Self::new("stats")
    }

    /// Asks for the settings that differ from the defaults, or for all of them.
    pub fn conf(with_defaults: bool) -> Self {
        Self::new("conf").argument("with_defaults", with_defaults)
    }

    /// Asks for a text to put into a bug report.
    pub fn report() -> Self {
        Self::new("report")
    }

    /// Takes a sample of the resident memory and asks for it.
    pub fn memsample() -> Self {
        Self::new("memsample")
    }

    /// Asks for the samples of memory so far, so many at most.
    pub fn memdump(samples: u32) -> Self {
        Self::new("memdump").argument("samples", samples)
    }

    /// Calls tasks off; those that run go on unless [`Command::terminate`] is said.
    pub fn revoke(ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new("revoke")
            .argument("task_id", texts(ids))
            .argument("terminate", false)
            .argument("signal", Signal::TERM.to_string())
    }

    /// Calls off every task that carries one of the values of a stamp.
    pub fn revoke_by_stamped_headers(headers: Table) -> Self {
        Self::new("revoke_by_stamped_headers")
            .argument("headers", headers)
            .argument("terminate", false)
            .argument("signal", Signal::TERM.to_string())
    }

    /// Makes a revocation stop what runs already. A task with a process of its own gets
    /// the signal; any other is stopped as nodes stop tasks, whatever the signal.
    pub fn terminate(self, signal: Signal) -> Self {
        self.argument("terminate", true)
            .argument("signal", signal.to_string())
    }

    /// Sets how often a task may start on each node, such as `10/m`; `0` is no limit.
    pub fn rate_limit(task: impl Into<String>, limit: impl Into<String>) -> Self {
        Self::new("rate_limit")
            .argument("task_name", task.into())
            .argument("rate_limit", limit.into())
    }

    /// Sets the time limits of a task; none takes them away.
    pub fn time_limit(
        task: impl Into<String>,
        soft: Option<Duration>,
        hard: Option<Duration>,
    ) -> Self {
        let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs_f64());
        Self::new("time_limit")
            .argument("task_name", task.into())
            .argument("hard", seconds(hard))
            .argument("soft", seconds(soft))
    }

    /// Makes nodes take tasks from one more queue. [`Command::argument`] adds `exchange`,
    /// `exchange_type` and `routing_key`.
    pub fn add_consumer(queue: impl Into<String>) -> Self {
        Self::new("add_consumer").argument("queue", queue.into())
    }

    /// Makes nodes take no more tasks from a queue.
    pub fn cancel_consumer(queue: impl Into<String>) -> Self {
        Self::new("cancel_consumer").argument("queue", queue.into())
    }

    /// Adds places to run.
    pub fn pool_grow(by: u32) -> Self {
        Self::new("pool_grow").argument("n", by)
    }

    /// Takes away places to run, but not the last one; what runs is not stopped.
    pub fn pool_shrink(by: u32) -> Self {
        Self::new("pool_shrink").argument("n", by)
    }

    /// Replaces what runs tasks as it comes free, where the node was started so that it
    /// allows this.
    pub fn pool_restart() -> Self {
        Self::new("pool_restart").argument("reload", false)
    }

    /// Sets the bounds of places to run of a node that scales itself.
    pub fn autoscale(max: u32, min: u32) -> Self {
        Self::new("autoscale")
            .argument("max", max)
            .argument("min", min)
    }

    /// Turns task events on.
    pub fn enable_events() -> Self {
        Self::new("enable_events")
    }

    /// Turns task events off.
    pub fn disable_events() -> Self {
        Self::new("disable_events")
    }

    /// Makes nodes send a heartbeat at once; nobody replies.
    pub fn heartbeat() -> Self {
        Self::new("heartbeat")
    }

    /// Ends nodes as the first SIGTERM does; nobody replies.
    pub fn shutdown() -> Self {
        Self::new("shutdown")
    }
}

fn texts(items: impl IntoIterator<Item = impl Into<String>>) -> Vec<Value> {
    let items = items.into_iter().map(Into::into);
    items.map(|item: String| Value::from(item)).collect()
}
