//! Any serializable type to [`Value`], and [`Value`] to any format.

use bytes::Bytes;
use serde::ser::{self, Error as _, Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

use super::{Table, Value};
use crate::EncodeError;

/// The newtype name under which digits beyond 128 bits reach a serializer of this crate.
pub(crate) const BIG_INT: &str = "$celeriac::BigInt";

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::BigInt(digits) => match digits.parse() {
                Ok(number) => serializer.serialize_u64(number),
                Err(_) if serializer.is_human_readable() => {
                    serializer.serialize_newtype_struct(BIG_INT, digits)
                }
                Err(_) => Err(S::Error::custom(format_args!(
                    "expected an integer of at most 64 bits in a binary format, found {digits}"
                ))),
            },
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Str(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Map(table) => table.serialize(serializer),
        }
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (key, value) in self.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Value {
    /// Turns any serializable value into a [`Value`].
    ///
    /// Map keys become text as in JSON: integers and booleans by their digits and
    /// names. Bytes stay bytes.
    ///
    /// # Errors
    ///
    /// When a map key is neither text, integer nor boolean, or the type's own
    /// `Serialize` fails.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, EncodeError> {
        value.serialize(ToValue)
    }
}

/// Builds a [`Value`] from what a type says of itself.
struct ToValue;

macro_rules! plain {
    ($($method:ident($from:ty) => |$x:ident| $to:expr;)*) => {$(
        fn $method(self, $x: $from) -> Result<Value, EncodeError> {
            Ok($to)
        }
    )*};
}

impl Serializer for ToValue {
    type Ok = Value;
    type Error = EncodeError;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = Tagged<List>;
    type SerializeMap = Entries;
    type SerializeStruct = Entries;
    type SerializeStructVariant = Tagged<Entries>;

    plain! {
        serialize_bool(bool) => |x| Value::Bool(x);
        serialize_i8(i8) => |x| Value::Int(x.into());
        serialize_i16(i16) => |x| Value::Int(x.into());
        serialize_i32(i32) => |x| Value::Int(x.into());
        serialize_i64(i64) => |x| Value::Int(x);
        serialize_i128(i128) => |x| integer(x, i64::try_from(x).ok());
        serialize_u8(u8) => |x| Value::Int(x.into());
        serialize_u16(u16) => |x| Value::Int(x.into());
        serialize_u32(u32) => |x| Value::Int(x.into());
        serialize_u64(u64) => |x| integer(x, i64::try_from(x).ok());
        serialize_u128(u128) => |x| integer(x, i64::try_from(x).ok());
        serialize_f32(f32) => |x| Value::Float(x.into());
        serialize_f64(f64) => |x| Value::Float(x);
        serialize_char(char) => |x| Value::Str(x.to_string());
        serialize_str(&str) => |x| Value::Str(x.to_owned());
        serialize_bytes(&[u8]) => |x| Value::Bytes(Bytes::copy_from_slice(x));
        serialize_unit_struct(&'static str) => |_name| Value::Null;
    }

    fn serialize_none(self) -> Result<Value, EncodeError> {
        Ok(Value::Null)
    }

    fn serialize_unit(self) -> Result<Value, EncodeError> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, EncodeError> {
        value.serialize(self)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, EncodeError> {
        Ok(Value::Str(variant.to_owned()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Value, EncodeError> {
        match (name, value.serialize(self)?) {
            (BIG_INT, Value::Str(digits)) => Ok(Value::BigInt(digits)),
            (_, value) => Ok(value),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, EncodeError> {
        Ok(tagged(variant, value.serialize(self)?))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<List, EncodeError> {
        Ok(List(Vec::with_capacity(len.unwrap_or(0).min(1024))))
    }

    fn serialize_tuple(self, len: usize) -> Result<List, EncodeError> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<List, EncodeError> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Tagged<List>, EncodeError> {
        Ok(Tagged(variant, self.serialize_seq(Some(len))?))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Entries, EncodeError> {
        Ok(Entries {
            entries: Vec::with_capacity(len.unwrap_or(0).min(1024)),
            key: None,
        })
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Entries, EncodeError> {
        self.serialize_map(Some(len))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Tagged<Entries>, EncodeError> {
        Ok(Tagged(variant, self.serialize_map(Some(len))?))
    }
}

fn integer(number: impl ToString, small: Option<i64>) -> Value {
    small.map_or_else(|| Value::BigInt(number.to_string()), Value::Int)
}

fn tagged(variant: &str, value: Value) -> Value {
    Value::Map(Table::from_iter([(variant.to_owned(), value)]))
}

/// Returns the text that stands for `key` as the key of a map.
pub(crate) fn key_text<T: Serialize + ?Sized>(key: &T) -> Result<String, EncodeError> {
    match key.serialize(ToValue)? {
        Value::Str(text) | Value::BigInt(text) => Ok(text),
        Value::Int(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        other => Err(EncodeError::new(
            "map key",
            format!(
                "expected text, an integer or a boolean, found {}",
                other.kind()
            ),
        )),
    }
}

struct List(Vec<Value>);

impl List {
    fn add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.0.push(value.serialize(ToValue)?);
        Ok(())
    }

    fn finish(self) -> Value {
        Value::Array(self.0)
    }
}

struct Entries {
    entries: Vec<(String, Value)>,
    key: Option<String>,
}

impl Entries {
    fn add<T: Serialize + ?Sized>(&mut self, key: String, value: &T) -> Result<(), EncodeError> {
        self.entries.push((key, value.serialize(ToValue)?));
        Ok(())
    }

    fn finish(self) -> Value {
        Value::Map(Table::from_repeating(self.entries))
    }
}

/// An enum's data under the name of its variant.
struct Tagged<T>(&'static str, T);

macro_rules! sequence {
    ($($trait:ident::$method:ident)*) => {$(
        impl ser::$trait for List {
            type Ok = Value;
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.add(value)
            }

            fn end(self) -> Result<Value, EncodeError> {
                Ok(self.finish())
            }
        }
    )*};
}

sequence! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
}

impl ser::SerializeTupleVariant for Tagged<List> {
    type Ok = Value;
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.1.add(value)
    }

    fn end(self) -> Result<Value, EncodeError> {
        Ok(tagged(self.0, self.1.finish()))
    }
}

impl ser::SerializeMap for Entries {
    type Ok = Value;
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.key = Some(key_text(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let key = self.key.take();
        let key = key.ok_or_else(|| EncodeError::new("map", "expected a key before its value"))?;
        self.add(key, value)
    }

    fn end(self) -> Result<Value, EncodeError> {
        Ok(self.finish())
    }
}

impl ser::SerializeStruct for Entries {
    type Ok = Value;
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.add(key.to_owned(), value)
    }

    fn end(self) -> Result<Value, EncodeError> {
        Ok(self.finish())
    }
}

impl ser::SerializeStructVariant for Tagged<Entries> {
    type Ok = Value;
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.1.add(key.to_owned(), value)
    }

    fn end(self) -> Result<Value, EncodeError> {
        Ok(tagged(self.0, self.1.finish()))
    }
}
