//! Where a call goes, and what a route may look at.

use celeriac_protocol::{Table, Value};

use crate::task::TaskOptions;

/// Where a call goes that does not say so itself, and what else it gets on the way.
///
/// A call or task that names a queue or an exchange goes there; the route's place is then
/// left aside, its further options are not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Route(Table);

impl Route {
    /// Makes a route to a queue.
    pub fn queue(name: impl Into<String>) -> Self {
        Self::default().option("queue", name.into())
    }

    /// Makes a route to an exchange with a routing key.
    pub fn exchange(name: impl Into<String>, routing_key: impl Into<String>) -> Self {
        Self::default()
            .option("exchange", name.into())
            .routing_key(routing_key)
    }

    /// Sets the routing key, for a queue behind a topic exchange. Default the queue's own.
    #[must_use]
    pub fn routing_key(self, key: impl Into<String>) -> Self {
        self.option("routing_key", key.into())
    }

    /// Sets the priority, 0 to 255, of calls that have none.
    #[must_use]
    pub fn priority(self, priority: u8) -> Self {
        self.option("priority", priority)
    }

    /// Sets any option of a call by its name, such as `serializer` or `time_limit`.
    #[must_use]
    pub fn option(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name, value);
        self
    }

    /// Returns the options that calls get.
    pub const fn options(&self) -> &Table {
        &self.0
    }
}

/// What a function that routes may look at.
#[derive(Debug, Clone, Copy)]
pub struct RouteRequest<'a> {
    /// The task's name.
    pub task: &'a str,
    /// The positional arguments.
    pub args: &'a [Value],
    /// The keyword arguments.
    pub kwargs: &'a Table,
    /// The options of the call, by their names in Celery.
    pub options: &'a Table,
    /// The options of the task, when it is known here.
    pub task_options: Option<&'a TaskOptions>,
}
