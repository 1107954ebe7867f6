//! The arguments of a remote control request.

use std::time::Duration;

use celeriac::protocol::control::Request;
use celeriac::protocol::{Exception, Table, Value, repr};

/// The arguments of a remote control request, read as its method wants them.
///
/// An argument that is null counts as absent, and one that no method knows is ignored:
/// clients of other versions send more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arguments<'a>(&'a Table);

/// Some thirty years; more is a slip of the keyboard.
const MAX_SECONDS: f64 = 1e9;

impl<'a> Arguments<'a> {
    /// Takes the arguments, if those that `required` names are there.
    ///
    /// # Errors
    ///
    /// The `TypeError` that Python raises for a call without them.
    pub(super) fn of(request: &'a Request, required: &[&str]) -> Result<Self, Exception> {
        let absent = |name: &&&str| request.arguments.get(name).is_none();
        let missing: Vec<_> = required
            .iter()
            .filter(absent)
            .map(|name| format!("'{name}'"))
            .collect();
        if missing.is_empty() {
            return Ok(Self(&request.arguments));
        }
        let (method, count) = (&request.method, missing.len());
        let s = if count == 1 { "" } else { "s" };
        let names = and(&missing);
        let text = format!("{method}() missing {count} required positional argument{s}: {names}");
        Err(Exception::python("TypeError", text))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Reads a truth value; Flower sends 0 and 1.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Exception> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::Int(number)) => Ok(*number != 0),
            Some(other) => Err(wrong(name, "a boolean", other)),
        }
    }

    /// Reads a text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Exception> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Str(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, "a string", other)),
        }
    }

    /// Reads a text that is there and not empty.
    pub(super) fn name(&self, name: &str) -> Result<&'a str, Exception> {
        match self.text(name)? {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(wrong(
                name,
                "a name",
                self.get(name).unwrap_or(&Value::Null),
            )),
        }
    }

    /// Reads a number of things, 1 when it is absent.
    pub(super) fn count(&self, name: &str) -> Result<usize, Exception> {
        match self.get(name) {
            None => Ok(1),
            Some(value) => value
                .as_i64()
                .and_then(|number| usize::try_from(number).ok())
                .filter(|count| *count <= 100_000)
                .ok_or_else(|| wrong(name, "an integer from 0 to 100000", value)),
        }
    }

    /// Reads a time in seconds.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<Duration>, Exception> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        value
            .as_f64()
            .filter(|seconds| (0.0..=MAX_SECONDS).contains(seconds))
            .map(|seconds| Some(Duration::from_secs_f64(seconds)))
            .ok_or_else(|| wrong(name, "seconds", value))
    }

    /// Reads texts: a list of them, or one alone.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Exception> {
        let text = |value: &Value| match value {
            Value::Str(text) => Ok(text.clone()),
            other => Err(wrong(name, "a list of strings", other)),
        };
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items.iter().map(text).collect(),
            Some(one) => text(one).map(|text| vec![text]),
        }
    }
}

/// Builds the error for an argument that cannot be used.
pub(super) fn wrong(name: &str, expected: &str, found: &Value) -> Exception {
    let text = format!(
        "{name}: expected {expected}, found {}",
        repr::value(found, 100)
    );
    Exception::python("TypeError", text)
}

/// Joins names as Python does: `a`, `a and b`, `a, b, and c`.
fn and(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [most @ .., last] => format!("{}, and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn request(arguments: &[(&str, Value)]) -> Request {
        let entries = arguments
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        Request {
            method: "rate_limit".to_owned(),
            arguments: entries.collect(),
            ..Request::default()
        }
    }

    #[test]
    fn missing_ones_are_told_as_python_tells_them() {
        let needed =
            |names: &[&str]| repr::exception(&Arguments::of(&request(&[]), names).unwrap_err());
        assert_eq!(
            needed(&["task_name", "rate_limit"]),
            r#"TypeError("rate_limit() missing 2 required positional arguments: 'task_name' and 'rate_limit'")"#
        );
        assert_eq!(
            needed(&["ids"]),
            r#"TypeError("rate_limit() missing 1 required positional argument: 'ids'")"#
        );
        assert!(needed(&["a", "b", "c"]).contains("'a', 'b', and 'c'"));
    }

    #[test]
    fn lists_may_be_one_alone() {
        let request = request(&[
            ("one", "a".into()),
            ("two", vec!["a".into(), "b".into()].into()),
        ]);
        let arguments = Arguments::of(&request, &["one"]).unwrap();
        assert_eq!(arguments.texts("one").unwrap(), ["a"]);
        assert_eq!(arguments.texts("two").unwrap(), ["a", "b"]);
        assert!(arguments.texts("three").unwrap().is_empty());
    }

    #[test]
    fn a_wrong_type_is_told() {
        let request = request(&[
            ("n", "x".into()),
            ("soft", Value::Int(-1)),
            ("safe", "perhaps".into()),
            ("ids", vec![Value::Int(1)].into()),
        ]);
        let arguments = Arguments::of(&request, &[]).unwrap();
        let errors = [
            arguments.count("n").unwrap_err(),
            arguments.seconds("soft").unwrap_err(),
            arguments.flag("safe").unwrap_err(),
            arguments.texts("ids").unwrap_err(),
            arguments.name("queue").unwrap_err(),
        ];
        for (error, expected) in errors
            .iter()
            .zip(["integer", "seconds", "boolean", "strings", "name"])
        {
            assert!(repr::exception(error).contains(expected), "{error:?}");
        }
    }

    #[test]
    fn numbers_are_flags_and_nothing_is_nothing() {
        let request = request(&[("terminate", Value::Int(1)), ("hard", Value::Int(0))]);
        let arguments = Arguments::of(&request, &[]).unwrap();
        assert!(arguments.flag("terminate").unwrap());
        assert_eq!(arguments.seconds("hard").unwrap(), Some(Duration::ZERO));
        assert_eq!(arguments.seconds("soft").unwrap(), None);
        assert_eq!(arguments.count("n").unwrap(), 1);
    }
}
