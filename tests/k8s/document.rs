//! One object of a rendering.

use std::any::Any;
use std::sync::Arc;

use serde_json::Value;

use crate::decode::{Fault, decode};

/// One object: as written, and decoded.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) value: Value,
    /// Kind and name.
    pub(crate) title: String,
    decoded: Arc<dyn Any + Send + Sync>,
    /// What the strict decoder refused.
    pub(crate) faults: Vec<Fault>,
}

impl Document {
    pub(crate) fn new(value: Value) -> Self {
        let (decoded, faults) = decode(&value);
        Self {
            title: format!(
                "{} {}",
                text(&value, "/kind"),
                text(&value, "/metadata/name")
            ),
            value,
            decoded,
            faults,
        }
    }

    /// Returns the object when it is of this type.
    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        self.decoded.downcast_ref()
    }

    pub(crate) fn kind(&self) -> &str {
        text(&self.value, "/kind")
    }

    pub(crate) fn api_version(&self) -> &str {
        text(&self.value, "/apiVersion")
    }

    pub(crate) fn name(&self) -> &str {
        text(&self.value, "/metadata/name")
    }

    /// Returns the namespace, which is empty where none is set.
    pub(crate) fn namespace(&self) -> &str {
        text(&self.value, "/metadata/namespace")
    }
}

/// Returns the text at a JSON pointer, empty when there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
