//! Results by name, as Celery writes them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{DecodeError, error::Fault, value::Value};

/// Parents further away than this, and results nested deeper, are not written: readers
/// refuse documents that nest too deep.
const MAX_DEPTH: usize = 24;

/// A result by name, as Celery writes it: `[[id, parent], children]`.
///
/// Stands for a task's result in the children of a document, in a saved group, and as the
/// value of a task that returns the result of another one. It says where to look, and
/// nothing of the outcome.
///
/// ```
/// use celeriac_protocol::{Value, result::ResultTuple};
///
/// let sum = ResultTuple::new("sum").with_parent(ResultTuple::new("add"));
/// let value = Value::from(&sum);
/// assert_eq!(celeriac_protocol::json::to_string(&value)?, r#"[["sum", [["add", null], null]], null]"#);
/// assert_eq!(ResultTuple::from_value(&value)?, sum);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResultTuple {
    /// The task's id, or the group's.
    pub id: String,
    /// The result before it in its chain; that of a chord's body is the header.
    pub parent: Option<Box<ResultTuple>>,
    /// The members, when it is a group.
    pub children: Option<Vec<ResultTuple>>,
}

impl ResultTuple {
    /// Makes the result of a task.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            parent: None,
            children: None,
        }
    }

    /// Makes the result of a group.
    pub fn group(id: impl Into<String>, members: impl IntoIterator<Item = Self>) -> Self {
        Self {
            children: Some(members.into_iter().collect()),
            ..Self::new(id)
        }
    }

    /// Sets the result before it.
    #[must_use]
    pub fn with_parent(mut self, parent: impl Into<Option<Self>>) -> Self {
        self.parent = parent.into().map(Box::new);
        self
    }

    /// Returns the same result with nothing said of what came before it.
    #[must_use]
    pub fn without_parents(&self) -> Self {
        let members = self.children.as_ref();
        Self {
            id: self.id.clone(),
            parent: None,
            children: members.map(|members| members.iter().map(Self::without_parents).collect()),
        }
    }

    /// Returns what comes first of all that leads to this result: what a task that sends
    /// the whole has for a child, as it sends no more than that itself.
    #[must_use]
    pub fn first(&self) -> &Self {
        let mut first = self;
        while let Some(parent) = &first.parent {
            first = parent;
        }
        first
    }

    /// Tells whether a member is a group itself.
    pub fn is_nested(&self) -> bool {
        let members = self.children.as_deref().unwrap_or_default();
        members.iter().any(|member| member.children.is_some())
    }

    /// Returns the ids of the tasks in it, in order: its own, or those of all members.
    pub fn tasks(&self) -> Vec<&str> {
        fn add<'a>(result: &'a ResultTuple, ids: &mut Vec<&'a str>) {
            match &result.children {
                None => ids.push(&result.id),
                Some(members) => members.iter().for_each(|member| add(member, ids)),
            }
        }
        let mut ids = Vec::new();
        add(self, &mut ids);
        ids
    }

    /// Reads a result. A plain id counts as one too.
    ///
    /// # Errors
    ///
    /// When it is something else, or nests too deep.
    pub fn from_value(value: &Value) -> Result<Self, DecodeError> {
        Self::read(value, 0)
    }

    fn read(value: &Value, depth: usize) -> Result<Self, DecodeError> {
        if depth > 2 * MAX_DEPTH {
            let expected = format!("at most {} levels", 2 * MAX_DEPTH);
            return Err(DecodeError::new(
                Fault::TooLarge,
                "result tuple",
                expected,
                "more",
            ));
        }
        let (own, children) = match value {
            Value::Str(id) => return Ok(Self::new(id.as_str())),
            Value::Array(fields) => match fields.as_slice() {
                [own, children] => (own, children),
                _ => return Err(malformed("another number of fields")),
            },
            other => return Err(malformed(other.kind())),
        };
        let (id, parent) = match own {
            Value::Str(id) => (id, &Value::Null),
            Value::Array(own) => match own.as_slice() {
                [Value::Str(id), parent] => (id, parent),
                _ => return Err(malformed("no id and parent")),
            },
            other => return Err(malformed(other.kind())),
        };
        let parent = match parent {
            Value::Null => None,
            parent => Some(Box::new(Self::read(parent, depth + 1)?)),
        };
        let children = match children {
            Value::Null => None,
            Value::Array(members) => Some(
                members
                    .iter()
                    .map(|member| Self::read(member, depth + 1))
                    .collect::<Result<_, _>>()?,
            ),
            other => return Err(malformed(other.kind())),
        };
        Ok(Self {
            id: id.clone(),
            parent,
            children,
        })
    }

    fn write(&self, depth: usize) -> Value {
        let near = |result: &Self| result.write(depth + 1);
        let parent = self.parent.as_deref().filter(|_| depth < MAX_DEPTH);
        let children = self.children.as_ref().filter(|_| depth < MAX_DEPTH);
        Value::Array(vec![
            Value::Array(vec![
                self.id.as_str().into(),
                parent.map_or(Value::Null, near),
            ]),
            children.map_or(Value::Null, |members| {
                Value::Array(members.iter().map(near).collect())
            }),
        ])
    }
}

fn malformed(found: &str) -> DecodeError {
    let expected = "[[id, parent or null], children or null]";
    DecodeError::new(Fault::Malformed, "result tuple", expected, found)
}

impl From<&ResultTuple> for Value {
    fn from(result: &ResultTuple) -> Self {
        result.write(0)
    }
}

impl From<ResultTuple> for Value {
    fn from(result: ResultTuple) -> Self {
        result.write(0)
    }
}

impl Serialize for ResultTuple {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ResultTuple {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value(&value).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Codec;

    #[test]
    fn a_group_of_celerys_is_read_and_written_alike() {
        // Saved by Celery 5.7 for a group behind a task.
        let text = br#"[["g", [["t", null], null]], [[["a", null], null], [["h", null], [[["b", null], null]]]]]"#;
        let value = Codec::Json.to_value(text, "group").unwrap();
        let group = ResultTuple::from_value(&value).unwrap();
        assert!(group.is_nested());
        assert_eq!(group.tasks(), ["a", "b"]);
        assert_eq!(group.parent.as_ref().unwrap().id, "t");
        assert_eq!(Value::from(&group), value);
        assert_eq!(group.without_parents().parent, None);
        assert_eq!(group.first(), &ResultTuple::new("t"));
    }

    #[test]
    fn what_is_no_result_says_so() {
        for text in [
            "1",
            "[]",
            "[null, null]",
            "[[1, null], null]",
            "[[\"a\", null], 1]",
        ] {
            let value = Codec::Json.to_value(text.as_bytes(), "result").unwrap();
            assert!(ResultTuple::from_value(&value).is_err(), "{text}");
        }
    }

    #[test]
    fn a_long_chain_is_cut_where_readers_would_refuse_it() {
        let mut last = ResultTuple::new("0");
        for step in 1..1000 {
            last = ResultTuple::new(step.to_string()).with_parent(last);
        }
        let text = Codec::Json.to_vec(&Value::from(&last)).unwrap();
        let value = Codec::Json.to_value(&text, "result").unwrap();
        assert_eq!(ResultTuple::from_value(&value).unwrap().id, "999");
    }
}
