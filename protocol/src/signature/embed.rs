//! The third element of a body.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap as _,
};

use super::{Signature, mismatch, options::is_present};
use crate::{
    DecodeError,
    value::{Table, Value},
};

/// What a message carries on to the next call: the third element of its body.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Embed {
    /// Called with the result on success.
    pub callbacks: Option<Vec<Signature>>,
    /// Called with the id on failure.
    pub errbacks: Option<Vec<Signature>>,
    /// The rest of the chain, reversed: the next step is the last element. An empty
    /// list, which the last step of a chain carries, stays told apart from `None`.
    pub chain: Option<Vec<Signature>>,
    /// Called with the results of the whole group.
    pub chord: Option<Box<Signature>>,
}

impl Embed {
    /// Tells whether nothing follows, whatever the outcome.
    pub fn is_empty(&self) -> bool {
        let none = |list: &Option<Vec<Signature>>| list.as_ref().is_none_or(Vec::is_empty);
        none(&self.callbacks) && none(&self.errbacks) && none(&self.chain) && self.chord.is_none()
    }

    /// Reads an embed from a value; null counts as empty, unknown keys are ignored.
    ///
    /// # Errors
    ///
    /// When the value is not a map, or one of the four keys holds anything but
    /// signatures.
    pub fn from_value(value: Value) -> Result<Self, DecodeError> {
        match value {
            Value::Null => Ok(Self::default()),
            Value::Map(table) => Self::from_table(table),
            other => Err(mismatch("embed", "a map or null", &other)),
        }
    }

    pub(crate) fn from_table(table: Table) -> Result<Self, DecodeError> {
        let mut embed = Self::default();
        for (key, value) in table {
            let within = |error: DecodeError| error.within(&format!("embed, {key}"));
            match key.as_str() {
                "callbacks" => embed.callbacks = many(value).map_err(within)?,
                "errbacks" => embed.errbacks = many(value).map_err(within)?,
                "chain" => embed.chain = many(value).map_err(within)?,
                "chord" if is_present(&value) => {
                    embed.chord = Some(Box::new(Signature::from_value(value).map_err(within)?));
                }
                _ => {}
            }
        }
        Ok(embed)
    }
}

/// Reads a list of signatures; a single one counts as a list of one.
pub(super) fn many(value: Value) -> Result<Option<Vec<Signature>>, DecodeError> {
    match value {
        Value::Null => Ok(None),
        Value::Array(items) => items
            .into_iter()
            .map(Signature::from_value)
            .collect::<Result<_, _>>()
            .map(Some),
        one => Ok(Some(vec![Signature::from_value(one)?])),
    }
}

impl Serialize for Embed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("callbacks", &self.callbacks)?;
        map.serialize_entry("errbacks", &self.errbacks)?;
        map.serialize_entry("chain", &self.chain)?;
        map.serialize_entry("chord", &self.chord)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Embed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Option::<Table>::deserialize(deserializer)?.unwrap_or_default();
        Self::from_table(table).map_err(D::Error::custom)
    }
}
