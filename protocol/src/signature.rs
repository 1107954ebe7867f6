//! A call as data, and what a message carries on to the next call.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap as _,
};

use crate::{
    DecodeError,
    error::Fault,
    value::{Table, Value},
};

mod combine;
mod embed;
mod options;
mod stamping;

pub use embed::Embed;
pub use stamping::{Restamp, StampingVisitor};

/// A call as data: which task, which arguments, which options.
///
/// On the wire all six keys are always written; Celery's own worker fails on a
/// signature that lacks one. Missing keys are read as empty.
///
/// ```
/// use celeriac_protocol::{Signature, Value, json};
///
/// let call = Signature::new("demo.add").arg(2).arg(3).with_option("queue", "fast");
/// let text = json::to_string(&call)?;
/// assert_eq!(
///     text,
///     r#"{"task": "demo.add", "args": [2, 3], "kwargs": {}, "options": {"queue": "fast"}, "subtask_type": null, "immutable": false}"#,
/// );
/// assert_eq!(Signature::from_value(Value::from(call.clone()))?, call);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Signature {
    /// Which task.
    pub task: String,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments.
    pub kwargs: Table,
    /// Calling options: `task_id`, `queue`, `countdown`, `link`, ... A key with null
    /// counts as absent.
    pub options: Table,
    /// `chain`, `group`, `chord`, `map`, `starmap` or `chunks` for a canvas.
    pub subtask_type: Option<String>,
    /// Whether it refuses the previous result.
    pub immutable: bool,
    /// How many results a chord's header has; rarely present.
    pub chord_size: Option<u32>,
    /// Keys that are not known here, which stay as they are.
    pub extra: Table,
}

impl Signature {
    /// Makes a call without arguments.
    pub fn new(task: impl Into<String>) -> Self {
        Self {
            task: task.into(),
            ..Self::default()
        }
    }

    /// Adds a positional argument.
    #[must_use]
    pub fn arg(mut self, value: impl Into<Value>) -> Self {
        self.args.push(value.into());
        self
    }

    /// Sets a keyword argument.
    #[must_use]
    pub fn kwarg(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.kwargs.insert(name, value);
        self
    }

    /// Makes the call refuse the previous result.
    #[must_use]
    pub fn immutable(mut self) -> Self {
        self.immutable = true;
        self
    }

    /// Reads a signature from a value.
    ///
    /// # Errors
    ///
    /// When the value is not a map with the text `task`, or another key has a wrong
    /// type; links, chain and chord among the options are checked too.
    pub fn from_value(value: Value) -> Result<Self, DecodeError> {
        match value {
            Value::Map(table) => Self::from_table(table),
            other => Err(mismatch("signature", "a map", &other)),
        }
    }

    fn from_table(table: Table) -> Result<Self, DecodeError> {
        let mut signature = Self::default();
        let mut named = false;
        for (key, value) in table {
            match (key.as_str(), value) {
                ("task", Value::Str(task)) => {
                    signature.task = task;
                    named = true;
                }
                (_, Value::Null) => {}
                ("args", Value::Array(args)) => signature.args = args,
                ("kwargs", Value::Map(kwargs)) => signature.kwargs = kwargs,
                ("options", Value::Map(options)) => {
                    options::check(&options)?;
                    signature.options = options;
                }
                ("subtask_type", Value::Str(kind)) => signature.subtask_type = Some(kind),
                ("immutable", Value::Bool(flag)) => signature.immutable = flag,
                ("chord_size", Value::Int(size)) if u32::try_from(size).is_ok() => {
                    signature.chord_size = u32::try_from(size).ok();
                }
                (key, value) => {
                    let expected = match key {
                        "task" | "subtask_type" => "a string",
                        "args" => "a list",
                        "kwargs" | "options" => "a map",
                        "immutable" => "a boolean",
                        "chord_size" => "a number of results",
                        _ => {
                            signature.extra.push(key, value);
                            continue;
                        }
                    };
                    return Err(mismatch(&format!("signature, {key}"), expected, &value));
                }
            }
        }
        match named {
            true => Ok(signature),
            false => Err(DecodeError::new(
                Fault::Malformed,
                "signature, task",
                "a task name",
                "none",
            )),
        }
    }
}

fn mismatch(place: &str, expected: &str, found: &Value) -> DecodeError {
    DecodeError::new(Fault::Malformed, place, expected, found.kind())
}

impl From<Signature> for Value {
    fn from(signature: Signature) -> Self {
        let mut table = Table::with_capacity(7);
        table.push("task", signature.task);
        table.push("args", signature.args);
        table.push("kwargs", signature.kwargs);
        table.push("options", signature.options);
        table.push("subtask_type", signature.subtask_type);
        table.push("immutable", signature.immutable);
        if let Some(size) = signature.chord_size {
            table.push("chord_size", size);
        }
        for (key, value) in signature.extra {
            table.push(key, value);
        }
        Self::Map(table)
    }
}

impl TryFrom<Value> for Signature {
    type Error = DecodeError;

    fn try_from(value: Value) -> Result<Self, DecodeError> {
        Self::from_value(value)
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let keys = 6 + usize::from(self.chord_size.is_some()) + self.extra.len();
        let mut map = serializer.serialize_map(Some(keys))?;
        map.serialize_entry("task", &self.task)?;
        map.serialize_entry("args", &self.args)?;
        map.serialize_entry("kwargs", &self.kwargs)?;
        map.serialize_entry("options", &self.options)?;
        map.serialize_entry("subtask_type", &self.subtask_type)?;
        map.serialize_entry("immutable", &self.immutable)?;
        if let Some(size) = self.chord_size {
            map.serialize_entry("chord_size", &size)?;
        }
        for (key, value) in self.extra.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_table(Table::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::json;

    fn read(text: &str) -> Result<Signature, DecodeError> {
        Signature::from_value(json::from_slice(text.as_bytes(), "text").unwrap())
    }

    #[test]
    fn missing_and_null_keys_are_empty() {
        let call = Signature::new("t");
        assert_eq!(read(r#"{"task": "t"}"#), Ok(call.clone()));
        let nulls = r#"{"task": "t", "args": null, "kwargs": null, "options": null,
            "subtask_type": null, "immutable": null, "chord_size": null, "other": null}"#;
        assert_eq!(read(nulls), Ok(call));
    }

    #[test]
    fn the_size_of_a_chord_is_written_when_known() {
        let call = Signature {
            chord_size: Some(3),
            ..Signature::new("t")
        };
        let text = json::to_string(&call).unwrap();
        assert!(
            text.ends_with(r#""immutable": false, "chord_size": 3}"#),
            "{text}"
        );
        assert_eq!(read(&text), Ok(call));
    }

    #[test]
    fn unknown_keys_stay() {
        let text = r#"{"task": "t", "args": [], "kwargs": {}, "options": {}, "subtask_type": null, "immutable": false, "app": "x", "later": {"a": [1]}}"#;
        let call = read(text).unwrap();
        assert_eq!(json::to_string(&call).unwrap(), text);
        assert_eq!(json::to_string(&Value::from(call)).unwrap(), text);
    }

    #[test]
    fn says_which_key_is_wrong() {
        let cases = [
            ("[]", "signature: expected a map, found a list"),
            ("{}", "signature, task: expected a task name, found none"),
            (
                r#"{"task": 1}"#,
                "signature, task: expected a string, found an integer",
            ),
            (
                r#"{"task": "t", "args": {}}"#,
                "signature, args: expected a list, found a map",
            ),
            (
                r#"{"task": "t", "chord_size": -1}"#,
                "signature, chord_size: expected a number of results, found an integer",
            ),
            (
                r#"{"task": "t", "options": {"link": ["x"]}}"#,
                "signature, options, link: expected signatures, found a list",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(read(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn an_option_with_null_is_absent() {
        let call = Signature::new("t")
            .with_option("queue", Value::Null)
            .with_option("priority", 7)
            .with_option("countdown", 3)
            .with_option("eta", "2030-01-02T03:04:05+00:00")
            .with_option("link", Value::from(Signature::new("u")))
            .with_option("chord", Value::from(Signature::new("v").immutable()));
        assert_eq!((call.queue(), call.task_id()), (None, None));
        assert_eq!((call.priority(), call.countdown()), (Some(7), Some(3.0)));
        assert_eq!(call.eta().unwrap().to_string(), "2030-01-02T03:04:05+00:00");
        assert_eq!(call.link(), Some(vec![Signature::new("u")]));
        assert_eq!(call.chord(), Some(Signature::new("v").immutable()));
        assert_eq!(call.chain(), None);
    }

    #[test]
    fn comes_back_through_serde() {
        let call = Signature::new("t").arg(1).kwarg("k", 2.5).immutable();
        for codec in [crate::Codec::Json, crate::Codec::Msgpack] {
            let bytes = codec.to_vec(&call).unwrap();
            assert_eq!(
                codec.from_slice::<Signature>(&bytes, "signature"),
                Ok(call.clone())
            );
            assert_eq!(
                codec.to_value(&bytes, "signature"),
                Ok(Value::from(call.clone()))
            );
        }
    }
}
