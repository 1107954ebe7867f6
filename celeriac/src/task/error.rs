//! How a task says that it has no value.

use celeriac_protocol::{Exception, Signature, Value};
use serde::{Deserialize, Serialize};

use super::{Retry, SoftTimeLimitExceeded};

/// How a task says that it has no value.
///
/// Any error converts into a failure by `?`, named by its own type; the other kinds
/// are asked for. It is no [`std::error::Error`] itself, so that the conversion can
/// exist.
///
/// # Example
///
/// ```
/// use celeriac::task::TaskError;
///
/// fn parse(text: &str) -> Result<i64, TaskError> {
///     if text.is_empty() {
///         return Err(TaskError::python("ValueError", "text is empty"));
///     }
///     Ok(text.parse()?)
/// }
///
/// assert_eq!(parse("x").unwrap_err().to_string(), "ParseIntError('invalid digit found in string')");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TaskError {
    /// It failed. Retried when the task's options say so.
    Failure {
        /// In the form that clients rebuild.
        exception: Exception,
        /// The chain of causes, one line each.
        causes: Vec<String>,
        /// Whether the task's automatic retry applies.
        retryable: bool,
    },
    /// It wants to run again. Boxed, because every `Result` of a task is as large as
    /// its error.
    Retry(Box<Retry>),
    /// Something else runs in its place, under its id; made by [`TaskError::replace`].
    Replace(Box<Signature>),
    /// The message is unusable: rejected, or given back.
    Reject {
        /// Why.
        reason: String,
        /// Whether the broker shall deliver it again.
        requeue: bool,
    },
    /// Nothing shall be stored and nothing shall follow.
    Ignore,
}

impl TaskError {
    /// Fails with an exception of Python's own, such as `ValueError`.
    pub fn python(exc_type: &str, message: impl Into<String>) -> Self {
        Self::raise("builtins", exc_type, message)
    }

    /// Fails with an exception that clients look up in a Python module.
    pub fn raise(module: &str, exc_type: &str, message: impl Into<String>) -> Self {
        Self::Failure {
            exception: Exception {
                exc_type: exc_type.to_owned(),
                exc_message: vec![Value::Str(message.into())],
                exc_module: Some(module.to_owned()),
            },
            causes: Vec::new(),
            retryable: true,
        }
    }

    /// Fails with a text.
    pub fn message(text: impl Into<String>) -> Self {
        Self::python("RuntimeError", text)
    }

    /// Asks to run again with the task's own delay.
    pub fn retry() -> Self {
        Retry::default().into()
    }

    /// Lets a call or workflow run in the task's place. Its result is the task's: the id
    /// stays, and so do group, chord, callbacks and the rest of the chain. The task
    /// itself stores nothing. Of a group the result is the list of its results.
    ///
    /// A chord, and so a group, needs a result backend that counts.
    ///
    /// # Delivery guarantee
    ///
    /// The task's message is acknowledged after those that replace it are published.
    pub fn replace(with: impl Into<Signature>) -> Self {
        Self::Replace(Box::new(with.into()))
    }

    /// Refuses the message for good: it goes to the dead-letter exchange.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject {
            reason: reason.into(),
            requeue: false,
        }
    }

    /// Gives the message back to be delivered again, here or elsewhere.
    pub fn requeue(reason: impl Into<String>) -> Self {
        Self::Reject {
            reason: reason.into(),
            requeue: true,
        }
    }

    /// Keeps a failure from being retried by the task's automatic retry.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        if let Self::Failure { retryable, .. } = &mut self {
            *retryable = false;
        }
        self
    }
}

impl<E: std::error::Error> From<E> for TaskError {
    fn from(error: E) -> Self {
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        let name = std::any::type_name::<E>();
        let exception = if name == std::any::type_name::<SoftTimeLimitExceeded>() {
            // Clients know it by the name that Celery's pool gave it.
            Exception::soft_time_limit_exceeded()
        } else {
            let (module, exc_type) = python_path(name);
            Exception::new(module, exc_type, [error.to_string().into()])
        };
        Self::Failure {
            exception,
            causes,
            retryable: true,
        }
    }
}

impl std::fmt::Display for TaskError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failure { exception, .. } => exception.fmt(f),
            Self::Retry(retry) => match &retry.exception {
                Some(exception) => write!(f, "retry: {exception}"),
                None => f.write_str("retry"),
            },
            Self::Replace(with) => write!(f, "replace: {}", with.task),
            Self::Reject { reason, requeue } => write!(f, "reject requeue={requeue}: {reason}"),
            Self::Ignore => f.write_str("ignore"),
        }
    }
}

/// Splits a Rust type path into what Python calls module and class:
/// `core::num::error::ParseIntError` to `core.num.error` and `ParseIntError`.
fn python_path(type_name: &str) -> (String, String) {
    // Generic arguments hold paths of their own.
    let plain = type_name.split('<').next().unwrap_or(type_name);
    match plain.rsplit_once("::") {
        Some((module, name)) => (module.replace("::", "."), name.to_owned()),
        None => ("builtins".to_owned(), plain.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rust_error_becomes_a_class_of_its_name() {
        let error = TaskError::from("x".parse::<i64>().unwrap_err());
        let TaskError::Failure { exception, .. } = error else {
            panic!("a failure")
        };
        assert_eq!(exception.exc_type, "ParseIntError");
        assert_eq!(exception.exc_module.as_deref(), Some("core.num.error"));
    }

    #[test]
    fn generic_errors_lose_their_arguments() {
        assert_eq!(
            python_path("a::b::Error<c::D>"),
            ("a.b".to_owned(), "Error".to_owned())
        );
    }
}
