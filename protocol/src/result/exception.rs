//! Exceptions in the form that Celery's clients rebuild.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    DecodeError, State,
    error::Fault,
    repr,
    value::{Table, Value},
};

/// The module of Python's own exceptions.
const BUILTINS: &str = "builtins";
const CELERY: &str = "celery.exceptions";
const BILLIARD: &str = "billiard.exceptions";
const KOMBU: &str = "kombu.exceptions";

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

impl Exception {
    /// Makes an exception of any class.
    pub fn new(
        module: impl Into<String>,
        kind: impl Into<String>,
        args: impl Into<Vec<Value>>,
    ) -> Self {
        Self {
            exc_type: kind.into(),
            exc_message: args.into(),
            exc_module: Some(module.into()),
        }
    }

    /// Makes an exception of a class of Python's own, such as `ValueError`.
    pub fn python(kind: &str, message: impl Into<Value>) -> Self {
        Self::new(BUILTINS, kind, [message.into()])
    }

    /// The task's name is not known where the message arrived.
    pub fn not_registered(task: &str) -> Self {
        Self::new(CELERY, "NotRegistered", [task.into()])
    }

    /// The task was called off: `revoked`, `terminated` or `expired`.
    pub fn task_revoked(reason: &str) -> Self {
        Self::new(CELERY, "TaskRevokedError", [reason.into()])
    }

    /// The task ran into its hard limit of so many seconds.
    pub fn time_limit_exceeded(seconds: f64) -> Self {
        let seconds = match seconds.fract() == 0.0 && seconds.abs() < 9e15 {
            true => Value::Int(seconds as i64),
            false => Value::Float(seconds),
        };
        Self::new(BILLIARD, "TimeLimitExceeded", [seconds])
    }

    /// The task ran into its soft limit.
    pub fn soft_time_limit_exceeded() -> Self {
        Self::new(BILLIARD, "SoftTimeLimitExceeded", [])
    }

    /// What ran the task died.
    pub fn worker_lost(message: &str) -> Self {
        Self::new(BILLIARD, "WorkerLostError", [message.into()])
    }

    /// The running task was terminated by a signal.
    pub fn terminated(signal: i32) -> Self {
        Self::new(BILLIARD, "Terminated", [signal.into()])
    }

    /// The task asks to be run again. A result of state RETRY holds the cause and not
    /// this; events show this.
    pub fn retry(message: &str, cause: Option<&Exception>, when: &str) -> Self {
        let cause = cause.map(Exception::repr);
        Self::new(CELERY, "Retry", [message.into(), cause.into(), when.into()])
    }

    /// The task refuses its message.
    pub fn reject(reason: impl Into<Value>, requeue: bool) -> Self {
        Self::new(CELERY, "Reject", [reason.into(), requeue.into()])
    }

    /// The task wants no outcome to be stored.
    pub fn ignore() -> Self {
        Self::new(CELERY, "Ignore", [])
    }

    /// A chord cannot run since one of its header's tasks failed.
    pub fn chord_error(message: &str) -> Self {
        Self::new(CELERY, "ChordError", [message.into()])
    }

    /// A chord cannot run since `dependency` raised `exception`; in the words by which
    /// Celery's users know it.
    pub fn chord_dependency(dependency: &str, exception: &Exception) -> Self {
        Self::chord_error(&format!(
            "Dependency {dependency} raised {}",
            exception.repr()
        ))
    }

    /// The task asked to be run again more often than it may.
    pub fn max_retries_exceeded(task: &str, id: &str, args: &str, kwargs: &str) -> Self {
        let message = format!("Can't retry {task}[{id}] args:{args} kwargs:{kwargs}");
        Self::new(CELERY, "MaxRetriesExceededError", [message.into()])
    }

    /// The message is not a valid call.
    pub fn invalid_task(message: &str) -> Self {
        Self::new(CELERY, "InvalidTaskError", [message.into()])
    }

    /// The task's result cannot be serialized.
    pub fn encode_error(message: &str) -> Self {
        Self::new(KOMBU, "EncodeError", [message.into()])
    }

    /// The message's bytes cannot be read.
    pub fn decode_error(message: &str) -> Self {
        Self::new(KOMBU, "DecodeError", [message.into()])
    }

    /// The message's content type is not accepted.
    pub fn content_disallowed(message: &str) -> Self {
        Self::new(KOMBU, "ContentDisallowed", [message.into()])
    }

    /// Shows the exception as Python does: `ValueError('boom', 42)`.
    pub fn repr(&self) -> String {
        repr::exception(self)
    }

    /// Returns the value that a result document holds.
    pub fn to_value(&self) -> Value {
        let mut table = Table::with_capacity(3);
        table.push("exc_type", self.exc_type.clone());
        table.push("exc_message", self.exc_message.clone());
        table.push("exc_module", self.exc_module.clone());
        Value::Map(table)
    }

    /// Reads an exception from a result; a single message counts as the only argument,
    /// and the module may be missing.
    ///
    /// # Errors
    ///
    /// [`Fault::Malformed`] when the value is not a map with the text `exc_type`.
    pub fn from_value(value: &Value) -> Result<Self, DecodeError> {
        let kind = value
            .as_map()
            .and_then(|table| table.get("exc_type"))
            .and_then(Value::as_str);
        let (Some(table), Some(kind)) = (value.as_map(), kind) else {
            let expected = "a map with the text exc_type";
            return Err(DecodeError::new(
                Fault::Malformed,
                "exception",
                expected,
                value.kind(),
            ));
        };
        Ok(Self {
            exc_type: kind.to_owned(),
            exc_message: match table.get("exc_message") {
                None | Some(Value::Null) => Vec::new(),
                Some(Value::Array(args)) => args.clone(),
                Some(one) => vec![one.clone()],
            },
            exc_module: table
                .get("exc_module")
                .and_then(Value::as_str)
                .map(str::to_owned),
        })
    }

    /// Returns the state that a task ends in with this exception.
    pub fn state(&self) -> State {
        match (self.exc_module.as_deref(), self.exc_type.as_str()) {
            (Some(CELERY), "TaskRevokedError") => State::Revoked,
            _ => State::Failure,
        }
    }
}

impl std::fmt::Display for Exception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.repr())
    }
}

impl Serialize for Exception {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Exception {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn looks_like_celerys() {
        let boom = Exception::new(BUILTINS, "ValueError", ["boom".into(), 42.into()]);
        let cases = [
            (boom.clone(), "builtins", "ValueError('boom', 42)"),
            (
                Exception::not_registered("no.such"),
                CELERY,
                "NotRegistered('no.such')",
            ),
            (
                Exception::task_revoked("expired"),
                CELERY,
                "TaskRevokedError('expired')",
            ),
            (
                Exception::time_limit_exceeded(1.0),
                BILLIARD,
                "TimeLimitExceeded(1)",
            ),
            (
                Exception::time_limit_exceeded(1.5),
                BILLIARD,
                "TimeLimitExceeded(1.5)",
            ),
            (
                Exception::soft_time_limit_exceeded(),
                BILLIARD,
                "SoftTimeLimitExceeded()",
            ),
            (
                Exception::worker_lost("gone"),
                BILLIARD,
                "WorkerLostError('gone')",
            ),
            (
                Exception::reject("no reason", false),
                CELERY,
                "Reject('no reason', False)",
            ),
            (
                Exception::chord_dependency("i", &boom),
                CELERY,
                r#"ChordError("Dependency i raised ValueError('boom', 42)")"#,
            ),
            (Exception::encode_error("no"), KOMBU, "EncodeError('no')"),
        ];
        for (exception, module, repr) in cases {
            assert_eq!(
                (exception.exc_module.as_deref(), exception.repr().as_str()),
                (Some(module), repr)
            );
            assert_eq!(Exception::from_value(&exception.to_value()), Ok(exception));
        }
    }

    #[test]
    fn other_values_are_no_exceptions() {
        let error = Exception::from_value(&Value::from("boom")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "exception: expected a map with the text exc_type, found a string"
        );
    }
}
