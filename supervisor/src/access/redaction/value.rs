//! Hides in values: results, decoded messages, details of the audit log.

use celeriac_protocol::{Table, Value};

use super::{HIDDEN, Redaction, prose};

impl Redaction {
    /// Hides in arguments, or in one of them.
    pub(crate) fn argument_value(&self, task: Option<&str>, value: Value) -> Value {
        if self.hides_arguments_of(task) {
            return HIDDEN.into();
        }
        self.value(value)
    }

    /// Hides in a result.
    pub(crate) fn result_value(&self, task: Option<&str>, value: Value) -> Value {
        if self.hides_result_of(task) {
            return HIDDEN.into();
        }
        self.value(value)
    }

    /// Hides the values of telling keywords.
    pub(crate) fn value(&self, value: Value) -> Value {
        if self.keys.is_empty() {
            return value;
        }
        self.inside(value, &mut Vec::new())
    }

    fn inside(&self, value: Value, path: &mut Vec<String>) -> Value {
        match value {
            Value::Str(text) if prose::tells(&self.keys, &text) => HIDDEN.into(),
            Value::Array(items) => {
                let items = items.into_iter().map(|item| self.inside(item, path));
                Value::Array(items.collect())
            }
            Value::Map(table) => {
                let entries = table.into_iter().map(|(key, value)| {
                    path.push(key);
                    let keys: Vec<_> = path.iter().map(String::as_str).collect();
                    let hidden = self.keys.iter().any(|known| known.matches(&keys));
                    let value = if hidden {
                        HIDDEN.into()
                    } else {
                        self.inside(value, path)
                    };
                    (path.pop().unwrap_or_default(), value)
                });
                Value::Map(entries.collect::<Table>())
            }
            other => other,
        }
    }
}
