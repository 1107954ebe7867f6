//! How a task asks to run again.

use std::time::{Duration, SystemTime};

use celeriac_protocol::{Exception, Table, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::TaskError;

/// A wish to run again: `return Err(Retry::default().after(delay).into())`.
///
/// What it does not name stays as it was in the message: arguments, headers of the
/// sender's own, stamps, time limits, priority, what follows in a chain, group and
/// chord.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use celeriac::{TaskError, task};
/// use celeriac::task::Retry;
///
/// #[task(max_retries = 5)]
/// async fn fetch(url: String, #[default(0)] mirror: u32) -> Result<String, TaskError> {
///     # async fn get(_url: &str, _mirror: u32) -> std::io::Result<String> { Ok(String::new()) }
///     get(&url, mirror).await.map_err(|error| {
///         Retry::default()
///             .after(Duration::from_secs(10))
///             .because(error)
///             .kwargs([("mirror", mirror + 1)])
///             .option("queue", "slow")
///             .into()
///     })
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Retry {
    /// After this long; `None` takes the task's `retry_delay` or backoff.
    pub countdown: Option<Duration>,
    /// At this time; wins over `countdown`.
    pub eta: Option<SystemTime>,
    /// Allow so many instead of the task's `max_retries`.
    pub max_retries: Option<u32>,
    /// What went wrong, stored with the RETRY state and raised when no try is left.
    pub exception: Option<Exception>,
    /// Other positional arguments for the next try.
    pub args: Option<Vec<Value>>,
    /// Other keyword arguments for the next try.
    pub kwargs: Option<Table>,
    /// Other calling options for the next try.
    pub options: Table,
}

impl Retry {
    /// Asks to run again after a delay.
    #[must_use]
    pub fn after(mut self, countdown: Duration) -> Self {
        self.countdown = Some(countdown);
        self
    }

    /// Asks to run again at a time.
    #[must_use]
    pub fn at(mut self, eta: SystemTime) -> Self {
        self.eta = Some(eta);
        self
    }

    /// Allows so many retries instead of the task's own number. It counts for this try
    /// only.
    #[must_use]
    pub fn up_to(mut self, max_retries: u32) -> Self {
        self.max_retries = Some(max_retries);
        self
    }

    /// Says what went wrong.
    #[must_use]
    pub fn because(mut self, error: impl Into<TaskError>) -> Self {
        if let TaskError::Failure { exception, .. } = error.into() {
            self.exception = Some(exception);
        }
        self
    }

    /// Gives the next try other positional arguments. A keyword argument of before gives
    /// way to a position that names the same parameter.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<Value>>) -> Self {
        self.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// Gives the next try these keyword arguments and no other. One that names a
    /// parameter that a position filled before takes its place.
    #[must_use]
    pub fn kwargs<K: Into<String>, V: Into<Value>>(
        mut self,
        kwargs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let pairs = kwargs.into_iter();
        self.kwargs = Some(pairs.map(|(k, v)| (k.into(), v.into())).collect());
        self
    }

    /// Drops the next try when it has not started after this long, instead of when the
    /// call expires.
    #[must_use]
    pub fn expires(self, after: Duration) -> Self {
        self.option("expires", after.as_secs_f64())
    }

    /// Drops the next try when it has not started by then.
    #[must_use]
    pub fn expires_at(self, at: SystemTime) -> Self {
        self.option("expires", Timestamp::from(at).to_string())
    }

    /// Sets a calling option of the next try by the protocol's name for it: `queue`,
    /// `exchange` and `routing_key`, `priority`, `headers`, `time_limit`,
    /// `soft_time_limit`, `expires`, `shadow`, `serializer`, `compression`, `link`,
    /// `link_error`, `ignore_result`, ...
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.options.insert(name, value);
        self
    }
}

impl From<Retry> for TaskError {
    fn from(retry: Retry) -> Self {
        Self::Retry(Box::new(retry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_remembers_why() {
        let retry = Retry::default().because(TaskError::python("OSError", "gone"));
        assert_eq!(
            retry.exception.map(|e| e.exc_type).as_deref(),
            Some("OSError")
        );
    }

    #[test]
    fn what_is_said_twice_counts_as_said_last() {
        let retry = Retry::default()
            .option("queue", "a")
            .option("queue", "b")
            .args([1, 2])
            .args([3]);
        assert_eq!(retry.options.get("queue"), Some(&Value::from("b")));
        assert_eq!(retry.args, Some(vec![Value::Int(3)]));
    }
}
