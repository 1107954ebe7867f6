//! A value of any of the wire's formats.

use std::collections::HashMap;

use bytes::Bytes;

pub mod binary;
mod de;
mod mismatch;
pub(crate) mod ser;
mod visit;

pub use mismatch::Mismatch;

/// A value of any of the wire's formats: JSON, MessagePack, YAML, AMQP tables.
///
/// Numbers keep what the sender wrote: integers stay integers, and an integer
/// beyond 64 bits keeps its digits. Floats may be infinite or not a number, as
/// Python's JSON may be.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Nothing: JSON `null`, AMQP void.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer of up to 64 bits.
    Int(i64),
    /// An integer beyond `i64`, as decimal digits with an optional minus sign.
    BigInt(String),
    /// A float; may be infinite or not a number.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes, of formats that tell them from text.
    Bytes(Bytes),
    /// A list.
    Array(Vec<Value>),
    /// A map with text keys, in the sender's order.
    Map(Table),
}

/// A map from text to values that keeps the order of insertion.
///
/// Tables on this wire are small (some twenty headers), so look-up is a scan.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table(Vec<(String, Value)>);

impl Table {
    /// Makes an empty table.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Makes an empty table with room for `capacity` entries.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Returns the value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Returns the value of `key` for change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.iter_mut().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Sets `key`, in its old place if it was there, else at the end.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        match self.get_mut(&key) {
            Some(old) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    /// Adds at the end without looking for an earlier entry of that key.
    pub fn push(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.0.push((key.into(), value.into()));
    }

    /// Takes `key` out and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(at).1)
    }

    /// Makes a table of entries of which some may repeat a key: the last value wins,
    /// in the first one's place, as in Python.
    pub(crate) fn from_repeating(entries: Vec<(String, Value)>) -> Self {
        // A scan per entry is the fastest way for few entries, and an attack for many.
        if entries.len() <= 16 {
            let mut table = Self::with_capacity(entries.len());
            for (key, value) in entries {
                table.insert(key, value);
            }
            return table;
        }
        let mut places = HashMap::with_capacity(entries.len());
        let mut table = Self::with_capacity(entries.len());
        for (key, value) in entries {
            match places.get(&key) {
                Some(&at) => table.0[at] = (key, value),
                None => {
                    places.insert(key.clone(), table.len());
                    table.0.push((key, value));
                }
            }
        }
        table
    }

    /// Returns the entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Table {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(String, Value)> for Table {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl Value {
    /// Returns the text of a [`Value::Str`].
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the number of a [`Value::Int`].
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the number of a [`Value::Float`] or [`Value::Int`] as a float.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float(number) => Some(*number),
            Self::Int(number) => Some(*number as f64),
            _ => None,
        }
    }

    /// Returns the truth value of a [`Value::Bool`].
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// Returns the elements of a [`Value::Array`].
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the table of a [`Value::Map`].
    pub fn as_map(&self) -> Option<&Table> {
        match self {
            Self::Map(table) => Some(table),
            _ => None,
        }
    }

    /// Tells whether this is [`Value::Null`].
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Names the kind for error messages: `an integer`, `a list`, ...
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::BigInt(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Str(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

macro_rules! value_from {
    ($($from:ty => |$x:ident| $to:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($x: $from) -> Self {
                $to
            }
        }
    )*};
}

value_from! {
    bool => |x| Value::Bool(x);
    i64 => |x| Value::Int(x);
    i32 => |x| Value::Int(x.into());
    u32 => |x| Value::Int(x.into());
    u8 => |x| Value::Int(x.into());
    u64 => |x| i64::try_from(x).map_or_else(|_| Value::BigInt(x.to_string()), Value::Int);
    f64 => |x| Value::Float(x);
    &str => |x| Value::Str(x.to_owned());
    String => |x| Value::Str(x);
    Bytes => |x| Value::Bytes(x);
    Table => |x| Value::Map(x);
    Vec<Value> => |x| Value::Array(x);
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::error::Fault;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Point,
        Circle(f64),
        Line(i8, i8),
        Box { width: u64, name: Option<String> },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Everything {
        shapes: Vec<Shape>,
        counts: BTreeMap<u16, bool>,
        flags: BTreeMap<bool, char>,
        huge: u128,
        low: i128,
        unit: (),
        pair: (String, f32),
        absent: Option<i32>,
    }

    fn everything() -> Everything {
        Everything {
            shapes: vec![
                Shape::Point,
                Shape::Circle(0.5),
                Shape::Line(-1, 1),
                Shape::Box {
                    width: u64::MAX,
                    name: Some("b".into()),
                },
            ],
            counts: BTreeMap::from([(1, true), (20, false)]),
            flags: BTreeMap::from([(true, 'x')]),
            huge: u128::MAX,
            low: i128::MIN,
            unit: (),
            pair: ("é".into(), 1.5),
            absent: None,
        }
    }

    #[test]
    fn any_type_goes_in_and_comes_out() {
        let value = Value::from_serialize(&everything()).unwrap();
        assert_eq!(value.to::<Everything>(), Ok(everything()));
        assert_eq!(value.to::<Value>(), Ok(value.clone()));
        assert_eq!(Value::from_serialize(&value), Ok(value));
    }

    #[test]
    fn digits_beyond_128_bits_stay() {
        let value = Value::BigInt("9".repeat(60));
        assert_eq!(value.to::<Value>(), Ok(value.clone()));
        assert_eq!(Value::from_serialize(&value), Ok(value.clone()));
        assert_eq!(value.to::<f64>(), Ok(1e60));
        assert!(value.to::<i64>().is_err());
    }

    #[test]
    fn a_mismatch_says_where() {
        let mut table = Table::new();
        table.push("shapes", vec![Value::from("Point"), Value::from("Blob")]);
        let error = Value::Map(table).to::<Everything>().unwrap_err();
        assert_eq!(error.fault, Fault::Arguments);
        assert_eq!(
            error.to_string(),
            "value.shapes[1]: expected one of Point, Circle, Line, Box, found Blob"
        );
        let error = Value::from(vec![Value::from("x")])
            .to::<Vec<u8>>()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "value[0]: expected u8, found string \"x\""
        );
        let three = Value::from(vec![Value::Int(1), Value::Int(2), Value::Int(3)]);
        let error = three.to::<(u8, u8)>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "value: expected a list of 2 elements, found 3 elements"
        );
    }

    #[test]
    fn only_plain_keys_become_text() {
        let keys = BTreeMap::from([(vec![1], 2)]);
        let error = Value::from_serialize(&keys).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot encode map key: expected text, an integer or a boolean, found a list"
        );
    }

    #[test]
    fn of_repeated_keys_the_last_wins_in_the_first_place() {
        for count in [3, 40] {
            let entry = |at: i64| ((at % count).to_string(), Value::Int(at));
            let table = Table::from_repeating((0..2 * count).map(entry).collect());
            let expected: Table = (0..count)
                .map(|at| (at.to_string(), Value::Int(at + count)))
                .collect();
            assert_eq!(table, expected);
        }
    }
}
