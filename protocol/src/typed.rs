//! Typed JSON values of kombu.
//!
//! JSON has no dates, decimals, UUIDs or bytes, so Python's side of the wire writes
//! them as `{"__type__": "date", "__value__": "2030-01-02"}`. The types here read that
//! form and the plain one (`"2030-01-02"`), and write the typed one, as arguments and
//! results of tasks.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap as _,
};

use crate::{DecodeError, Timestamp, Value, error::Fault};

mod clock;
mod decimal;

pub use clock::{Date, Time};
pub use decimal::Decimal;

/// The names that kombu knows.
const KNOWN: [&str; 7] = [
    "datetime", "date", "time", "decimal", "uuid", "bytes", "base64",
];

/// A date and time, Python's `datetime`: aware with its offset, or naive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime(pub Timestamp);

/// A UUID, Python's `uuid.UUID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uuid(pub uuid::Uuid);

/// Bytes, Python's `bytes`: the typed form in JSON, `bin` in MessagePack.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Bytes(pub bytes::Bytes);

/// A type with a typed form.
trait Typed: Sized {
    /// What `__type__` may say.
    const NAMES: &'static [&'static str];

    /// Reads the plain form, or what `__value__` holds under `name`.
    fn read(name: &str, value: &Value) -> Result<Self, DecodeError>;
}

fn deserialize<'de, T: Typed, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let typed = value
        .as_map()
        .filter(|table| table.len() == 2)
        .and_then(|table| Some((table.get("__type__")?.as_str()?, table.get("__value__")?)));
    let name = T::NAMES[0];
    let read = match typed {
        None => T::read(name, &value),
        Some((name, value)) if T::NAMES.contains(&name) => T::read(name, value),
        Some((other, _)) => {
            let found = match KNOWN.contains(&other) {
                true => format!("a value of type {other}"),
                false => format!("the unknown type {other:?}"),
            };
            Err(wrong(&format!("a value of type {name}"), found))
        }
    };
    // The place is the caller's to name.
    read.map_err(|error| {
        D::Error::custom(format_args!(
            "expected {}, found {}",
            error.expected, error.found
        ))
    })
}

fn serialize<S: Serializer>(
    serializer: S,
    name: &str,
    value: &(impl Serialize + ?Sized),
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("__type__", name)?;
    map.serialize_entry("__value__", value)?;
    map.end()
}

fn wrong(expected: &str, found: impl Into<String>) -> DecodeError {
    DecodeError::new(Fault::Arguments, "value", expected, found)
}

fn text<'a>(expected: &str, value: &'a Value) -> Result<&'a str, DecodeError> {
    value.as_str().ok_or_else(|| wrong(expected, value.kind()))
}

macro_rules! typed_serde {
    ($($type:ty)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize(deserializer)
            }
        }
    )*};
}

typed_serde! { DateTime Date Time Decimal Uuid Bytes }

impl Typed for DateTime {
    const NAMES: &'static [&'static str] = &["datetime"];

    fn read(_: &str, value: &Value) -> Result<Self, DecodeError> {
        Timestamp::parse(text("a date and time in ISO 8601", value)?).map(Self)
    }
}

impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(serializer, "datetime", &self.0.to_string())
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Timestamp> for DateTime {
    fn from(moment: Timestamp) -> Self {
        Self(moment)
    }
}

impl From<DateTime> for Timestamp {
    fn from(moment: DateTime) -> Self {
        moment.0
    }
}

impl Typed for Uuid {
    const NAMES: &'static [&'static str] = &["uuid"];

    /// Newer kombu writes `{"hex": ...}`, older the text alone.
    fn read(_: &str, value: &Value) -> Result<Self, DecodeError> {
        let expected = "the hexadecimal digits of a UUID";
        let digits = match value {
            Value::Map(table) => table.get("hex").unwrap_or(&Value::Null),
            plain => plain,
        };
        let digits = text(expected, digits)?;
        let uuid = uuid::Uuid::try_parse(digits);
        uuid.map(Self)
            .map_err(|_| wrong(expected, format!("{digits:?}")))
    }
}

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = self.0.simple().to_string();
        serialize(
            serializer,
            "uuid",
            &std::collections::BTreeMap::from([("hex", digits)]),
        )
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Typed for Bytes {
    const NAMES: &'static [&'static str] = &["bytes", "base64"];

    fn read(name: &str, value: &Value) -> Result<Self, DecodeError> {
        match (name, value) {
            (_, Value::Bytes(bytes)) => Ok(Self(bytes.clone())),
            ("base64", value) => {
                let digits = text("bytes in base64", value)?;
                let bytes = STANDARD.decode(digits.as_bytes());
                let bytes = bytes.map_err(|_| wrong("bytes in base64", format!("{digits:?}")))?;
                Ok(Self(bytes.into()))
            }
            (_, value) => Ok(Self(text("bytes", value)?.to_owned().into())),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<T: Into<bytes::Bytes>> From<T> for Bytes {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use super::*;
    use crate::json;

    /// Reads both forms, and checks that the typed one is written.
    fn both<T: DeserializeOwned + Serialize + PartialEq + Debug>(typed: &str, plain: &str) -> T {
        let read: T = json::from_slice(typed.as_bytes(), "text").unwrap();
        assert_eq!(json::to_string(&read).unwrap(), typed);
        assert_eq!(
            json::from_slice::<T>(plain.as_bytes(), "text").unwrap(),
            read
        );
        read
    }

    fn typed(name: &str, value: &str) -> String {
        format!(r#"{{"__type__": "{name}", "__value__": {value}}}"#)
    }

    #[test]
    fn both_forms_are_read_and_the_typed_one_is_written() {
        let moments = [
            r#""2030-01-02T03:04:05.678901+00:00""#,
            r#""2030-01-02T03:04:05""#,
            r#""2030-01-02T03:04:05+05:30""#,
        ];
        for moment in moments {
            both::<DateTime>(&typed("datetime", moment), moment);
        }
        both::<Date>(&typed("date", r#""2030-01-02""#), r#""2030-01-02""#);
        for time in [
            r#""03:04:05""#,
            r#""03:04:05.000007+00:00""#,
            r#""00:00:00-11:00""#,
        ] {
            both::<Time>(&typed("time", time), time);
        }
        both::<Decimal>(&typed("decimal", r#""1.50""#), r#""1.50""#);
        let digits = r#""12345678123456781234567812345678""#;
        both::<Uuid>(&typed("uuid", &format!(r#"{{"hex": {digits}}}"#)), digits);
        let old: Uuid = json::from_slice(typed("uuid", digits).as_bytes(), "text").unwrap();
        assert_eq!(old.to_string(), "12345678-1234-5678-1234-567812345678");
        assert_eq!(
            *both::<Bytes>(&typed("bytes", r#""abc""#), r#""abc""#).0,
            *b"abc"
        );
        let raw: Bytes = json::from_slice(typed("base64", r#""/wA=""#).as_bytes(), "text").unwrap();
        assert_eq!(*raw.0, *b"\xff\0");
        assert_eq!(json::to_string(&raw).unwrap(), typed("base64", r#""/wA=""#));
    }

    #[test]
    fn messagepack_has_bytes_of_its_own() {
        let bytes = Bytes::from(vec![0xff, 0]);
        let packed = crate::msgpack::to_vec(&bytes).unwrap();
        assert_eq!(packed, b"\xc4\x02\xff\x00");
        assert_eq!(
            crate::msgpack::from_slice::<Bytes>(&packed, "bytes"),
            Ok(bytes)
        );
    }

    #[test]
    fn other_types_and_texts_are_refused() {
        fn error<T: DeserializeOwned + Debug>(text: &str) -> String {
            json::from_slice::<T>(text.as_bytes(), "x")
                .unwrap_err()
                .to_string()
        }
        assert_eq!(
            error::<Date>(&typed("decimal", "\"1\"")),
            "x: expected a value of type date, found a value of type decimal"
        );
        assert_eq!(
            error::<Date>(&typed("money", "\"1\"")),
            "x: expected a value of type date, found the unknown type \"money\""
        );
        for text in [
            "2030-02-30",
            "2030-1-2",
            "2030-01-02T00:00:00",
            "+030-01-02",
        ] {
            assert_eq!(
                error::<Date>(&format!("{text:?}")),
                format!("x: expected a date such as 2030-01-02, found {text:?}")
            );
        }
        assert_eq!(
            error::<Time>("\"25:00\""),
            "x: expected a time such as 03:04:05, found \"25:00\""
        );
        assert_eq!(
            error::<Uuid>("\"xyz\""),
            "x: expected the hexadecimal digits of a UUID, found \"xyz\""
        );
        assert_eq!(
            error::<Bytes>(&typed("base64", "\"*\"")),
            "x: expected bytes in base64, found \"*\""
        );
    }

    #[test]
    fn decimals_are_what_python_takes() {
        for good in [
            "1",
            "-1.50",
            "+.5",
            "5.",
            "1E-7",
            "NaN",
            "-Infinity",
            "sNaN12",
            "0E+10",
        ] {
            assert_eq!(good.parse::<Decimal>().unwrap().as_str(), good);
        }
        for bad in ["", "-", ".", "1e", "e5", "1.2.3", "0x1", "1_0", " 1"] {
            assert!(bad.parse::<Decimal>().is_err(), "{bad}");
        }
        assert_eq!(
            json::from_slice::<Decimal>(b"2", "x").unwrap().as_str(),
            "2"
        );
        assert_eq!(
            json::from_slice::<Decimal>(b"0.1", "x").unwrap().as_str(),
            "0.1"
        );
    }
}
