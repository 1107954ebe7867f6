//! A serializer that writes what Python's `json.dumps` writes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::ser::{self, Serialize, Serializer};

use super::float_text;
use crate::{
    EncodeError,
    value::ser::{BIG_INT, key_text},
};

/// Appends JSON to `out`.
pub(super) struct Writer<'a> {
    pub(super) out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn integer(self, number: impl itoa::Integer) -> Result<(), EncodeError> {
        self.out
            .extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.out.push(b'"');
        let mut from = 0;
        for (at, char) in text.char_indices() {
            if matches!(char, ' '..='~') && char != '"' && char != '\\' {
                continue;
            }
            self.out.extend_from_slice(&text.as_bytes()[from..at]);
            from = at + char.len_utf8();
            self.escape(char);
        }
        self.out.extend_from_slice(&text.as_bytes()[from..]);
        self.out.push(b'"');
    }

    fn escape(&mut self, char: char) {
        let short = match char {
            '"' | '\\' => char as u8,
            '\n' => b'n',
            '\r' => b'r',
            '\t' => b't',
            '\u{8}' => b'b',
            '\u{c}' => b'f',
            _ => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    self.out
                        .extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
                return;
            }
        };
        self.out.extend_from_slice(&[b'\\', short]);
    }

    fn raw(self, text: &str) -> Result<(), EncodeError> {
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn again(&mut self) -> Writer<'_> {
        Writer { out: self.out }
    }
}

impl<'a> Writer<'a> {
    fn open(self, bracket: &str, close: &'static [u8]) -> Items<'a> {
        self.out.extend_from_slice(bracket.as_bytes());
        Items {
            out: self.out,
            first: true,
            close,
        }
    }
}

/// Digits come from a public field, so they are checked before they go out bare.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A list or map that is being written.
pub(super) struct Items<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
    close: &'static [u8],
}

impl Items<'_> {
    fn next(&mut self) -> Writer<'_> {
        if !std::mem::take(&mut self.first) {
            self.out.extend_from_slice(b", ");
        }
        Writer { out: self.out }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self.next())
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), EncodeError> {
        self.next().text(key);
        self.value(value)
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.out.extend_from_slice(b": ");
        value.serialize(Writer { out: self.out })
    }

    fn finish(self) -> Result<(), EncodeError> {
        self.out.extend_from_slice(self.close);
        Ok(())
    }
}

macro_rules! integers {
    ($($method:ident($from:ty))*) => {$(
        fn $method(self, number: $from) -> Result<(), EncodeError> {
            self.integer(number)
        }
    )*};
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Items<'a>;
    type SerializeStruct = Items<'a>;
    type SerializeStructVariant = Items<'a>;

    integers! {
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_i128(i128) serialize_u8(u8) serialize_u16(u16) serialize_u32(u32)
        serialize_u64(u64) serialize_u128(u128)
    }

    fn serialize_bool(self, flag: bool) -> Result<(), EncodeError> {
        self.raw(if flag { "true" } else { "false" })
    }

    fn serialize_f32(self, number: f32) -> Result<(), EncodeError> {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<(), EncodeError> {
        self.raw(&float_text(number))
    }

    fn serialize_char(self, char: char) -> Result<(), EncodeError> {
        self.serialize_str(char.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(mut self, text: &str) -> Result<(), EncodeError> {
        self.text(text);
        Ok(())
    }

    /// As kombu does: UTF-8 as `bytes`, all else as `base64`.
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), EncodeError> {
        let mut object = self.open("{", b"}");
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                object.field("__type__", "bytes")?;
                object.field("__value__", text)?;
            }
            Err(_) => {
                object.field("__type__", "base64")?;
                object.field("__value__", &STANDARD.encode(bytes))?;
            }
        }
        object.finish()
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.raw("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        self.raw("null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        self.raw("null")
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        if name != BIG_INT {
            return value.serialize(self);
        }
        match key_text(value)? {
            digits if is_integer(&digits) => self.raw(&digits),
            other => Err(EncodeError::new(
                "integer",
                format!("expected decimal digits, found {other:?}"),
            )),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        let mut object = self.open("{", b"}");
        object.field(variant, value)?;
        object.finish()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a>, EncodeError> {
        Ok(self.open("[", b"]"))
    }

    fn serialize_tuple(self, len: usize) -> Result<Items<'a>, EncodeError> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Items<'a>, EncodeError> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_variant(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'a>, EncodeError> {
        self.out.push(b'{');
        self.text(variant);
        Ok(self.open(": [", b"]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Items<'a>, EncodeError> {
        Ok(self.open("{", b"}"))
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Items<'a>, EncodeError> {
        self.serialize_map(Some(len))
    }

    fn serialize_struct_variant(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'a>, EncodeError> {
        self.out.push(b'{');
        self.text(variant);
        Ok(self.open(": {", b"}}"))
    }
}

macro_rules! sequences {
    ($($trait:ident::$method:ident)*) => {$(
        impl ser::$trait for Items<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.element(value)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.finish()
            }
        }
    )*};
}

sequences! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}

impl ser::SerializeMap for Items<'_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        let mut writer = self.next();
        let from = writer.out.len();
        // Nearly every key is text and already right; others get quotes or are refused.
        key.serialize(writer.again())?;
        if writer.out.get(from) != Some(&b'"') {
            writer.out.truncate(from);
            writer.text(&key_text(key)?);
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.value(value)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

macro_rules! structs {
    ($($trait:ident)*) => {$(
        impl ser::$trait for Items<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), EncodeError> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.finish()
            }
        }
    )*};
}

structs! { SerializeStruct SerializeStructVariant }
