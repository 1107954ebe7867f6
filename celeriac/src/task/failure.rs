//! What an errback is told.

use celeriac_protocol::{Exception, Value};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// A task that failed: what an errback is told, and a hook.
///
/// The first parameter of a task with `#[task(errback)]`. Where the task failed on a node
/// that has the errback, the node calls it at once and tells all it knows. Elsewhere the
/// errback gets a message, which carries the id alone, as Celery's old errbacks do.
///
/// # Example
///
/// ```
/// use celeriac::task;
/// use celeriac::task::Failure;
///
/// #[task(errback)]
/// async fn notify(failure: Failure, label: String) {
///     println!("{label}: {} failed", failure.id);
///     if let Some(exception) = failure.exception {
///         println!("with {}", exception.repr());
///     }
/// }
///
/// #[task]
/// async fn add(x: i64, y: i64) -> i64 {
///     x + y
/// }
///
/// // What the node adds comes first, as the result does in a chain.
/// let call = add.call(2, 3).link_error(notify.partial().arg("sums"));
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// The id of the task that failed; of a chord whose header failed, that of its body.
    pub id: String,
    /// The name of the task.
    pub task: Option<String>,
    /// The first task of its workflow.
    pub root_id: Option<String>,
    /// What went wrong.
    pub exception: Option<Exception>,
    /// In Python's look.
    pub traceback: Option<String>,
}

impl Failure {
    /// Makes the failure of a task of which nothing else is known.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            ..Self::default()
        }
    }

    /// Says which task failed.
    #[must_use]
    pub fn of_task(mut self, task: impl Into<String>, root_id: Option<String>) -> Self {
        self.task = Some(task.into());
        self.root_id = root_id;
        self
    }

    /// Says what went wrong.
    #[must_use]
    pub fn because(mut self, exception: Exception, traceback: Option<String>) -> Self {
        self.exception = Some(exception);
        self.traceback = traceback;
        self
    }
}

impl<'de> Deserialize<'de> for Failure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        match Value::deserialize(deserializer)? {
            Value::Str(id) => Ok(Self::new(id)),
            Value::Map(table) => {
                let exception = table.get("exception").filter(|value| !value.is_null());
                let exception = exception.map(Exception::from_value).transpose();
                Ok(Self {
                    id: text(table.get("id"))
                        .ok_or_else(|| D::Error::custom("expected a failure with an id"))?,
                    task: text(table.get("task")),
                    root_id: text(table.get("root_id")),
                    exception: exception.map_err(D::Error::custom)?,
                    traceback: text(table.get("traceback")),
                })
            }
            other => {
                let found = other.kind();
                let text = format!("expected a failure or the id of a task, found {found}");
                Err(D::Error::custom(text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use celeriac_protocol::json;

    use super::*;

    #[test]
    fn it_is_read_from_all_that_is_known_or_from_an_id() {
        let whole = Failure::new("i")
            .of_task("t", Some("r".to_owned()))
            .because(Exception::python("ValueError", "boom"), None);
        let text = json::to_string(&whole).unwrap();
        let read = |text: &str| json::from_slice::<Failure>(text.as_bytes(), "failure");
        assert_eq!(read(&text), Ok(whole));
        assert_eq!(read(r#""i""#), Ok(Failure::new("i")));
        assert!(read("7").is_err());
        assert!(read("{}").is_err());
    }
}
