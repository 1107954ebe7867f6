//! The keys of a result document: their order, and which may be missing.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap as _,
};

use super::{Extended, ResultDocument};
use crate::{
    DecodeError, State, Timestamp,
    error::Fault,
    typed::DateTime,
    value::{Table, Value},
};

impl Serialize for ResultDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let extended = self.extended.as_ref();
        let keys = 6
            + usize::from(self.group_id.is_some())
            + usize::from(self.parent_id.is_some())
            + extended.map_or(0, |extended| 6 + extended.stamps.len());
        let mut map = serializer.serialize_map(Some(keys))?;
        map.serialize_entry("status", &self.status)?;
        map.serialize_entry("result", &self.result)?;
        map.serialize_entry("traceback", &self.traceback)?;
        map.serialize_entry("children", &self.children)?;
        map.serialize_entry("date_done", &self.date_done)?;
        if let Some(group_id) = &self.group_id {
            map.serialize_entry("group_id", group_id)?;
        }
        if let Some(parent_id) = &self.parent_id {
            map.serialize_entry("parent_id", parent_id)?;
        }
        if let Some(extended) = extended {
            map.serialize_entry("name", &extended.name)?;
            map.serialize_entry("args", &extended.args)?;
            map.serialize_entry("kwargs", &extended.kwargs)?;
            map.serialize_entry("worker", &extended.worker)?;
            map.serialize_entry("retries", &extended.retries)?;
            map.serialize_entry("queue", &extended.queue)?;
            for (key, value) in extended.stamps.iter() {
                map.serialize_entry(key, value)?;
            }
        }
        map.serialize_entry("task_id", &self.task_id)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for ResultDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        Self::from_value(Value::Map(table)).map_err(D::Error::custom)
    }
}

impl ResultDocument {
    /// Reads a document from a value.
    ///
    /// Only `status` and `task_id` must be there. Keys beyond the protocol's are the
    /// stamps of an extended result, and are dropped when it is not extended.
    ///
    /// # Errors
    ///
    /// [`Fault::Malformed`] when one of the two is missing or a key has a wrong type.
    pub fn from_value(value: Value) -> Result<Self, DecodeError> {
        let Value::Map(table) = value else {
            return Err(DecodeError::new(
                Fault::Malformed,
                "result document",
                "a map",
                value.kind(),
            ));
        };
        let mut document = Self {
            children: None,
            ..Self::new("", State::Pending, Value::Null)
        };
        let mut extended = Extended::default();
        let (mut status, mut task_id, mut is_extended) = (None, None, false);
        for (key, value) in table {
            let key = key.as_str();
            match key {
                "status" => status = text(key, value)?,
                "result" => document.result = value,
                "traceback" => document.traceback = text(key, value)?,
                "children" => document.children = list(key, value)?,
                "date_done" => document.date_done = moment(key, value)?,
                "group_id" => document.group_id = text(key, value)?,
                "parent_id" => document.parent_id = text(key, value)?,
                "task_id" => task_id = text(key, value)?,
                "name" => {
                    is_extended = true;
                    extended.name = text(key, value)?;
                }
                "args" => extended.args = value,
                "kwargs" => extended.kwargs = value,
                "worker" => extended.worker = text(key, value)?,
                "retries" => extended.retries = count(key, value)?,
                "queue" => extended.queue = text(key, value)?,
                stamp => extended.stamps.push(stamp, value),
            }
        }
        let missing =
            |key: &str| DecodeError::new(Fault::Malformed, place(key), "a string", "none");
        document.status = State::from(status.ok_or_else(|| missing("status"))?.as_str());
        document.task_id = task_id.ok_or_else(|| missing("task_id"))?;
        document.extended = is_extended.then_some(extended);
        Ok(document)
    }
}

fn place(key: &str) -> String {
    format!("result document, {key}")
}

fn wrong(key: &str, expected: &str, found: &Value) -> DecodeError {
    DecodeError::new(Fault::Malformed, place(key), expected, found.kind())
}

fn text(key: &str, value: Value) -> Result<Option<String>, DecodeError> {
    match value {
        Value::Null => Ok(None),
        Value::Str(text) => Ok(Some(text)),
        other => Err(wrong(key, "a string", &other)),
    }
}

fn list(key: &str, value: Value) -> Result<Option<Vec<Value>>, DecodeError> {
    match value {
        Value::Null => Ok(None),
        Value::Array(items) => Ok(Some(items)),
        other => Err(wrong(key, "a list", &other)),
    }
}

fn count(key: &str, value: Value) -> Result<Option<u32>, DecodeError> {
    match value {
        Value::Null => Ok(None),
        Value::Int(number) if u32::try_from(number).is_ok() => Ok(u32::try_from(number).ok()),
        other => Err(wrong(key, "a count", &other)),
    }
}

fn moment(key: &str, value: Value) -> Result<Option<Timestamp>, DecodeError> {
    match value {
        Value::Null => Ok(None),
        value => match value.to::<DateTime>() {
            Ok(DateTime(moment)) => Ok(Some(moment)),
            Err(error) => Err(DecodeError::new(
                Fault::Malformed,
                place(key),
                error.expected,
                error.found,
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{Codec, Exception};

    fn read(text: &str) -> Result<ResultDocument, DecodeError> {
        ResultDocument::decode(Codec::Json, text.as_bytes())
    }

    #[test]
    fn keys_appear_in_order_and_only_when_they_say_something() {
        let mut document = ResultDocument::retry("i", None, Some("t\n".into()));
        document.group_id = Some("g".into());
        document.parent_id = Some("p".into());
        let stamps = Table::from_iter([("stamped_headers".to_owned(), vec!["s".into()].into())]);
        document.extended = Some(Extended {
            retries: Some(1),
            stamps,
            ..Extended::default()
        });
        let text = concat!(
            r#"{"status": "RETRY", "result": null, "traceback": "t\n", "children": [], "#,
            r#""date_done": null, "group_id": "g", "parent_id": "p", "name": null, "#,
            r#""args": null, "kwargs": null, "worker": null, "retries": 1, "queue": null, "#,
            r#""stamped_headers": ["s"], "task_id": "i"}"#,
        );
        assert_eq!(
            String::from_utf8(document.encode(Codec::Json).unwrap()).unwrap(),
            text
        );
        assert_eq!(read(text), Ok(document));
    }

    #[test]
    fn old_and_short_documents_are_read() {
        let document = read(
            r#"{"status": "FAILURE", "task_id": "i", "stray": 1,
            "result": {"exc_type": "ValueError", "exc_message": "boom"}}"#,
        );
        let document = document.unwrap();
        assert_eq!((&document.children, &document.extended), (&None, &None));
        let exception = document.exception().unwrap();
        assert_eq!(exception.exc_message, [Value::from("boom")]);
        assert_eq!(
            (exception.exc_module.as_deref(), exception.repr().as_str()),
            (None, "ValueError('boom')")
        );
    }

    #[test]
    fn says_which_key_is_wrong() {
        let cases = [
            ("1", "result document: expected a map, found an integer"),
            (
                "{}",
                "result document, status: expected a string, found none",
            ),
            (
                r#"{"status": "SUCCESS"}"#,
                "result document, task_id: expected a string, found none",
            ),
            (
                r#"{"status": 1}"#,
                "result document, status: expected a string, found an integer",
            ),
            (
                r#"{"date_done": "soon"}"#,
                "result document, date_done: expected an ISO 8601 time such as 2030-01-02T03:04:05+00:00, found 'soon'",
            ),
        ];
        for (text, message) in cases {
            let error = read(text).unwrap_err();
            assert_eq!(
                (error.fault, error.to_string().as_str()),
                (Fault::Malformed, message)
            );
        }
    }

    #[test]
    fn every_kind_of_outcome_comes_back() {
        let now = Timestamp::from_micros(1_795_335_705_169_016);
        let error = Exception::python("ValueError", "boom");
        let documents = [
            ResultDocument::pending("i"),
            ResultDocument::started("i", 7, "w@h"),
            ResultDocument::progress("i", "PROGRESS", 50),
            ResultDocument::success("i", vec![Value::Null, 1.into()], now),
            ResultDocument::failure("i", error.clone(), Some("t\n".into()), now),
            ResultDocument::retry("i", Some(error), None),
            ResultDocument::revoked("i", "terminated", now),
        ];
        for document in documents {
            for codec in [Codec::Json, Codec::Msgpack] {
                let bytes = document.encode(codec).unwrap();
                assert_eq!(ResultDocument::decode(codec, &bytes), Ok(document.clone()));
                let is_done = document.date_done.is_some();
                assert_eq!(is_done, document.status.is_ready());
            }
        }
    }
}
