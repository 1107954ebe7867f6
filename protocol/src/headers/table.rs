//! Task headers to and from the table of a message.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{TaskHeaders, TimeLimits};
use crate::{
    DecodeError, Timestamp,
    error::Fault,
    value::{Table, Value},
};

impl TaskHeaders {
    /// Reads the headers of a task message.
    ///
    /// Absent and null mean the same. Ids given as numbers or bytes, and counts given
    /// as text, are taken as what they mean. Unknown headers are kept in
    /// [`TaskHeaders::extra`].
    ///
    /// # Errors
    ///
    /// [`Fault::NotATask`] without `task` or `id`, [`Fault::Malformed`] for a header of
    /// another type than the protocol's, also for an `eta` or `expires` that is not a
    /// time in ISO 8601.
    pub fn from_table(table: Table) -> Result<Self, DecodeError> {
        Self::read(table)
    }

    /// Reads the headers of a task message that somebody else keeps; copies only what
    /// they hold, not their names.
    ///
    /// # Errors
    ///
    /// As [`TaskHeaders::from_table`].
    pub fn from_ref(table: &Table) -> Result<Self, DecodeError> {
        Self::read(table.iter().map(|(name, value)| (name, value.clone())))
    }

    fn read<N>(entries: impl IntoIterator<Item = (N, Value)>) -> Result<Self, DecodeError>
    where
        N: AsRef<str> + Into<String>,
    {
        let mut headers = Self::default();
        let (mut task, mut id) = (None, None);
        for (name, value) in entries {
            if value.is_null() {
                if !KNOWN.contains(&name.as_ref()) {
                    headers.extra.push(name, value);
                }
                continue;
            }
            let header = Header {
                name: name.as_ref(),
            };
            match name.as_ref() {
                "task" => task = Some(header.text(value)?),
                "id" => id = Some(header.id(value)?),
                "lang" => headers.lang = Some(header.text(value)?),
                "shadow" => headers.shadow = Some(header.text(value)?),
                "eta" => headers.eta = Some(header.moment(&value)?),
                "expires" => headers.expires = Some(header.moment(&value)?),
                "group" => headers.group = Some(header.id(value)?),
                "group_index" => headers.group_index = Some(header.count(&value)?),
                "retries" => headers.retries = header.count(&value)?,
                "timelimit" => headers.timelimit = header.limits(&value)?,
                "root_id" => headers.root_id = Some(header.id(value)?),
                "parent_id" => headers.parent_id = Some(header.id(value)?),
                "argsrepr" => headers.argsrepr = Some(header.text(value)?),
                "kwargsrepr" => headers.kwargsrepr = Some(header.text(value)?),
                "origin" => headers.origin = Some(header.text(value)?),
                "ignore_result" => headers.ignore_result = Some(header.flag(&value)?),
                "replaced_task_nesting" => {
                    headers.replaced_task_nesting = header.count(&value)?;
                }
                "stamped_headers" => headers.stamped_headers = Some(header.texts(value)?),
                "stamps" => headers.stamps = header.map(value)?,
                "compression" => headers.compression = Some(header.text(value)?),
                _ => headers.extra.push(name, value),
            }
        }
        headers.task = task.ok_or_else(|| missing("task", "a task name"))?;
        headers.id = id.ok_or_else(|| missing("id", "a task id"))?;
        Ok(headers)
    }

    /// Writes the headers as Celery's clients do: every one of the protocol's, in their
    /// order, null where there is nothing; then the extra ones; `compression` last and
    /// only when there is one.
    pub fn into_table(self) -> Table {
        let mut table = Table::with_capacity(KNOWN.len() + self.extra.len());
        table.push("lang", self.lang);
        table.push("task", self.task);
        table.push("id", self.id);
        table.push("shadow", self.shadow);
        table.push("eta", self.eta.map(|eta| eta.to_string()));
        table.push("expires", self.expires.map(|expires| expires.to_string()));
        table.push("group", self.group);
        table.push("group_index", self.group_index);
        table.push("retries", self.retries);
        table.push(
            "timelimit",
            vec![seconds(self.timelimit.hard), seconds(self.timelimit.soft)],
        );
        table.push("root_id", self.root_id);
        table.push("parent_id", self.parent_id);
        table.push("argsrepr", self.argsrepr);
        table.push("kwargsrepr", self.kwargsrepr);
        table.push("origin", self.origin);
        table.push("ignore_result", self.ignore_result);
        table.push("replaced_task_nesting", self.replaced_task_nesting);
        let names = self.stamped_headers;
        table.push(
            "stamped_headers",
            names.map(|n| n.into_iter().map(Value::Str).collect::<Vec<_>>()),
        );
        table.push("stamps", self.stamps);
        // A caller's own header may replace one of the protocol's, as with Celery.
        for (name, value) in self.extra {
            table.insert(name, value);
        }
        if let Some(compression) = self.compression {
            table.push("compression", compression);
        }
        table
    }
}

/// As the table of a message.
impl Serialize for TaskHeaders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.clone().into_table().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TaskHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_table(Table::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The protocol's own headers.
pub(crate) const KNOWN: [&str; 20] = [
    "lang",
    "task",
    "id",
    "shadow",
    "eta",
    "expires",
    "group",
    "group_index",
    "retries",
    "timelimit",
    "root_id",
    "parent_id",
    "argsrepr",
    "kwargsrepr",
    "origin",
    "ignore_result",
    "replaced_task_nesting",
    "stamped_headers",
    "stamps",
    "compression",
];

/// Celery's clients write whole seconds as integers.
fn seconds(limit: Option<f64>) -> Value {
    match limit {
        Some(limit) if limit.fract() == 0.0 && limit.abs() < 9e15 => Value::Int(limit as i64),
        other => other.into(),
    }
}

fn missing(name: &str, expected: &str) -> DecodeError {
    DecodeError::new(Fault::NotATask, format!("header {name}"), expected, "none")
}

/// Reads the value of one header.
struct Header<'a> {
    name: &'a str,
}

impl Header<'_> {
    fn wrong(&self, expected: &str, found: impl Into<String>) -> DecodeError {
        DecodeError::new(
            Fault::Malformed,
            format!("header {}", self.name),
            expected,
            found,
        )
    }

    fn text(&self, value: Value) -> Result<String, DecodeError> {
        match value {
            Value::Str(text) => Ok(text),
            Value::Bytes(bytes) => String::from_utf8(bytes.into())
                .map_err(|_| self.wrong("a string", "bytes that are not UTF-8")),
            other => Err(self.wrong("a string", other.kind())),
        }
    }

    fn id(&self, value: Value) -> Result<String, DecodeError> {
        match value {
            Value::Int(number) => Ok(number.to_string()),
            Value::BigInt(digits) => Ok(digits),
            other => self.text(other),
        }
    }

    fn moment(&self, value: &Value) -> Result<Timestamp, DecodeError> {
        let expected = "a time in ISO 8601, such as 2030-01-02T03:04:05+00:00";
        match value {
            Value::Str(text) => {
                Timestamp::parse(text).map_err(|_| self.wrong(expected, format!("{text:?}")))
            }
            other => Err(self.wrong(expected, other.kind())),
        }
    }

    fn count(&self, value: &Value) -> Result<u32, DecodeError> {
        let count = match value {
            Value::Int(number) => u32::try_from(*number).ok(),
            Value::Float(number) if number.fract() == 0.0 && (0.0..4e9).contains(number) => {
                Some(*number as u32)
            }
            Value::Str(text) => text.trim().parse().ok(),
            _ => None,
        };
        count.ok_or_else(|| match value {
            Value::Int(number) => self.wrong("a count", number.to_string()),
            Value::Str(text) => self.wrong("a count", format!("{text:?}")),
            other => self.wrong("a count", other.kind()),
        })
    }

    fn flag(&self, value: &Value) -> Result<bool, DecodeError> {
        match value {
            Value::Bool(flag) => Ok(*flag),
            Value::Int(number @ (0 | 1)) => Ok(*number == 1),
            other => Err(self.wrong("a boolean", other.kind())),
        }
    }

    fn limits(&self, value: &Value) -> Result<TimeLimits, DecodeError> {
        let expected = "a list of a hard and a soft limit in seconds";
        let items = value
            .as_array()
            .ok_or_else(|| self.wrong(expected, value.kind()))?;
        let limit = |at: usize| match items.get(at) {
            None | Some(Value::Null) => Ok(None),
            Some(item) => match item.as_f64().filter(|seconds| *seconds >= 0.0) {
                Some(seconds) => Ok(Some(seconds)),
                None => Err(self.wrong(expected, format!("{} in it", item.kind()))),
            },
        };
        Ok(TimeLimits {
            hard: limit(0)?,
            soft: limit(1)?,
        })
    }

    fn texts(&self, value: Value) -> Result<Vec<String>, DecodeError> {
        match value {
            Value::Array(items) => items.into_iter().map(|item| self.text(item)).collect(),
            one => Ok(vec![self.text(one)?]),
        }
    }

    fn map(&self, value: Value) -> Result<Table, DecodeError> {
        match value {
            Value::Map(table) => Ok(table),
            other => Err(self.wrong("a map", other.kind())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn table(entries: &[(&str, Value)]) -> Table {
        let required = [("task", Value::from("demo.add")), ("id", Value::from("i"))];
        let entries = required.iter().chain(entries);
        let mut table = Table::new();
        for (name, value) in entries {
            table.insert(*name, value.clone());
        }
        table
    }

    fn read(entries: &[(&str, Value)]) -> TaskHeaders {
        TaskHeaders::from_table(table(entries)).unwrap()
    }

    fn error(name: &str, value: impl Into<Value>) -> String {
        let error = TaskHeaders::from_table(table(&[(name, value.into())])).unwrap_err();
        assert_eq!(error.fault, Fault::Malformed);
        error.to_string()
    }

    #[test]
    fn only_task_and_id_must_be_there() {
        let headers = read(&[]);
        assert_eq!(
            (headers.task.as_str(), headers.id.as_str()),
            ("demo.add", "i")
        );
        let nulls: Vec<(&str, Value)> = KNOWN
            .into_iter()
            .skip(3)
            .map(|name| (name, Value::Null))
            .collect();
        assert_eq!(read(&nulls), headers);
        for name in ["task", "id"] {
            let mut table = table(&[]);
            table.insert(name, Value::Null);
            let error = TaskHeaders::from_table(table).unwrap_err();
            assert_eq!(error.fault, Fault::NotATask);
            assert_eq!(error.place, format!("header {name}"));
        }
    }

    #[test]
    fn writes_every_header_in_order_and_compression_last() {
        let names = |headers: TaskHeaders| -> Vec<String> {
            headers
                .into_table()
                .into_iter()
                .map(|(name, _)| name)
                .collect()
        };
        assert_eq!(names(read(&[])), KNOWN[..19]);
        let headers = read(&[
            ("compression", "application/zstd".into()),
            ("x", Value::Null),
        ]);
        assert_eq!(names(headers)[19..], ["x", "compression"]);
    }

    #[test]
    fn takes_what_means_the_same() {
        let headers = read(&[
            ("id", 7.into()),
            ("retries", "3".into()),
            ("group_index", 2.0.into()),
            ("root_id", bytes::Bytes::from_static(b"r").into()),
            ("timelimit", vec![Value::Int(30)].into()),
            ("stamped_headers", "one".into()),
            ("ignore_result", 1.into()),
        ]);
        assert_eq!((headers.id.as_str(), headers.root()), ("7", "r"));
        assert_eq!((headers.retries, headers.group_index), (3, Some(2)));
        assert_eq!(
            headers.timelimit,
            TimeLimits {
                hard: Some(30.0),
                soft: None
            }
        );
        assert_eq!(headers.stamped_headers, Some(vec!["one".to_owned()]));
        assert_eq!(headers.ignore_result, Some(true));
    }

    #[test]
    fn time_limits_keep_their_look() {
        let limits: Value = vec![Value::Int(30), Value::Float(1.5)].into();
        let again = read(&[("timelimit", limits.clone())]).into_table();
        assert_eq!(again.get("timelimit"), Some(&limits));
    }

    #[test]
    fn names_the_header_that_is_wrong() {
        assert_eq!(
            error("retries", -1),
            "header retries: expected a count, found -1"
        );
        assert_eq!(
            error("retries", "x"),
            "header retries: expected a count, found \"x\""
        );
        assert_eq!(
            error("shadow", 1),
            "header shadow: expected a string, found an integer"
        );
        assert_eq!(
            error("stamps", "x"),
            "header stamps: expected a map, found a string"
        );
        assert_eq!(
            error("timelimit", 3),
            "header timelimit: expected a list of a hard and a soft limit in seconds, found an integer"
        );
        assert_eq!(
            error("eta", 1_700_000_000),
            "header eta: expected a time in ISO 8601, such as 2030-01-02T03:04:05+00:00, found an integer"
        );
        assert_eq!(
            error("ignore_result", "no"),
            "header ignore_result: expected a boolean, found a string"
        );
    }
}
