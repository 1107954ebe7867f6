//! `[args, kwargs, embed]`, kept as bytes until somebody asks.

use std::{borrow::Cow, collections::HashSet};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::{Codec, DecodeError, Embed, EncodeError, Value, error::Fault, value::Table};

mod split;

pub(crate) use split::Shape;

/// A decompressed body: bytes of one serializer.
///
/// Nothing is parsed until [`Body::parts`] splits it, and no argument until the
/// task's own type asks for it.
///
/// ```
/// use celeriac_protocol::{Body, Codec, Embed, Value, value::Table};
///
/// let body = Body::encode(Codec::Json, &[Value::Int(2)], &Table::new(), &Embed::default())?;
/// let parts = body.parts()?;
/// assert_eq!(parts.args[0].decode::<u8>()?, 2);
/// assert!(parts.embed.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Who made the bytes.
    pub codec: Codec,
    /// The serialized text or bytes.
    pub bytes: Bytes,
}

/// The parts of a body, arguments still as bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts<'a> {
    /// Positional arguments.
    pub args: Vec<Raw<'a>>,
    /// Keyword arguments, in the sender's order.
    pub kwargs: Vec<(Cow<'a, str>, Raw<'a>)>,
    /// What follows.
    pub embed: Embed,
}

/// One value as the bytes of its serializer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw<'a> {
    /// Who made the bytes.
    pub codec: Codec,
    /// The serialized value; owned only where the serializer's text cannot be cut into
    /// values, as with YAML.
    pub bytes: Cow<'a, [u8]>,
}

impl Body {
    /// Takes serialized bytes for a body.
    pub fn new(codec: Codec, bytes: impl Into<Bytes>) -> Self {
        Self {
            codec,
            bytes: bytes.into(),
        }
    }

    /// Serializes arguments and what follows.
    ///
    /// # Errors
    ///
    /// As [`Codec::to_vec`].
    pub fn encode(
        codec: Codec,
        args: &[Value],
        kwargs: &Table,
        embed: &Embed,
    ) -> Result<Self, EncodeError> {
        Ok(Self::new(codec, codec.to_vec(&(args, kwargs, embed))?))
    }

    /// Splits the body without reading the arguments.
    ///
    /// Takes the list of protocol 2 and the object of protocol 1 alike; a message may
    /// have the headers of the one and the body of the other.
    ///
    /// # Errors
    ///
    /// [`Fault::Malformed`] for bytes that are not of their serializer, another number
    /// of elements than three, or an embed of wrong types; `Arguments` when the
    /// arguments are not a list and a map; `TooLarge` for more than 65,536 arguments.
    pub fn parts(&self) -> Result<Parts<'_>, DecodeError> {
        let whole = Raw {
            codec: self.codec,
            bytes: Cow::Borrowed(&self.bytes),
        };
        let found = match whole.split("body")? {
            Shape::Map { entries, .. } => return Parts::of_object(entries),
            Shape::List { items, len } => match <[Raw<'_>; 3]>::try_from(items) {
                Ok([args, kwargs, embed]) => {
                    return Ok(Parts {
                        args: args.list()?,
                        kwargs: kwargs.map()?,
                        embed: embed.embed()?,
                    });
                }
                Err(_) => format!("{len} elements"),
            },
            Shape::Other(kind) => kind,
        };
        let expected = "a list of 3 elements: args, kwargs, embed";
        Err(DecodeError::new(Fault::Malformed, "body", expected, found))
    }
}

impl<'a> Parts<'a> {
    /// Reads the parts out of an object of protocol 1.
    fn of_object(entries: Vec<(Cow<'a, str>, Raw<'a>)>) -> Result<Self, DecodeError> {
        let mut parts = Self {
            args: Vec::new(),
            kwargs: Vec::new(),
            embed: Embed::default(),
        };
        let mut follows = Table::new();
        for (key, raw) in entries {
            match key.as_ref() {
                "args" => parts.args = raw.list()?,
                "kwargs" => parts.kwargs = raw.map()?,
                "callbacks" | "errbacks" | "chain" | "chord" if !raw.is_null() => {
                    follows.insert(key, raw.value_at("body")?);
                }
                _ => {}
            }
        }
        parts.embed = Embed::from_table(follows).map_err(|error| error.within("body"))?;
        Ok(parts)
    }
}

impl<'a> Raw<'a> {
    /// Reads the value as a type.
    ///
    /// # Errors
    ///
    /// [`Fault::Arguments`] when it is not what `T` wants, else as [`Codec::from_slice`].
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.codec.from_slice(&self.bytes, "argument")
    }

    /// Reads the value whatever it is.
    ///
    /// # Errors
    ///
    /// As [`Codec::to_value`].
    pub fn to_value(&self) -> Result<Value, DecodeError> {
        self.value_at("argument")
    }

    pub(crate) fn value_at(&self, place: &str) -> Result<Value, DecodeError> {
        self.codec.to_value(&self.bytes, place)
    }

    fn list(self) -> Result<Vec<Raw<'a>>, DecodeError> {
        if self.is_null() {
            return Ok(Vec::new());
        }
        let kind = match self.split("body, args")? {
            Shape::List { items, len } if items.len() == len => return Ok(items),
            Shape::Map { .. } => "a map".to_owned(),
            Shape::List { len, .. } => return Err(too_many("body, args", len)),
            Shape::Other(kind) => kind,
        };
        Err(DecodeError::new(
            Fault::Arguments,
            "body, args",
            "a list",
            kind,
        ))
    }

    fn map(self) -> Result<Vec<(Cow<'a, str>, Raw<'a>)>, DecodeError> {
        if self.is_null() {
            return Ok(Vec::new());
        }
        let kind = match self.split("body, kwargs")? {
            Shape::Map { entries, len } if entries.len() == len => return Ok(last_wins(entries)),
            Shape::Map { len, .. } => return Err(too_many("body, kwargs", len)),
            Shape::List { .. } => "a list".to_owned(),
            Shape::Other(kind) => kind,
        };
        Err(DecodeError::new(
            Fault::Arguments,
            "body, kwargs",
            "a map",
            kind,
        ))
    }

    fn embed(self) -> Result<Embed, DecodeError> {
        if self.is_null() || self.is_empty_embed() {
            return Ok(Embed::default());
        }
        Embed::from_value(self.value_at("body, embed")?).map_err(|error| error.within("body"))
    }
}

/// Drops entries whose key comes again, as Python's maps do.
fn last_wins<'a>(entries: Vec<(Cow<'a, str>, Raw<'a>)>) -> Vec<(Cow<'a, str>, Raw<'a>)> {
    let mut seen = HashSet::with_capacity(entries.len());
    let last: Vec<bool> = entries
        .iter()
        .rev()
        .map(|(key, _)| seen.insert(key.as_ref()))
        .collect();
    if seen.len() == entries.len() {
        return entries;
    }
    let pairs = entries.into_iter().zip(last.into_iter().rev());
    pairs
        .filter_map(|(entry, last)| last.then_some(entry))
        .collect()
}

fn too_many(place: &str, found: usize) -> DecodeError {
    let expected = format!("at most {} arguments", split::MAX_ARGS);
    DecodeError::new(Fault::TooLarge, place, expected, found.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Signature;

    fn json(text: &str) -> Body {
        Body::new(Codec::Json, text.to_owned())
    }

    fn error(text: &str) -> String {
        json(text).parts().unwrap_err().to_string()
    }

    fn example() -> (Vec<Value>, Table, Embed) {
        let args = vec![
            Value::Null,
            Value::Float(f64::INFINITY),
            Value::from("],{\"\\"),
            Value::Array(vec![Table::from_iter([("k".to_owned(), 1.into())]).into()]),
        ];
        let kwargs =
            Table::from_iter([("é".to_owned(), true.into()), ("b".to_owned(), 2.5.into())]);
        let next = Signature::new("demo.mul").arg(3);
        let embed = Embed {
            chain: Some(vec![next]),
            errbacks: Some(vec![]),
            ..Embed::default()
        };
        (args, kwargs, embed)
    }

    #[test]
    fn parts_are_what_was_encoded() {
        let (args, kwargs, embed) = example();
        let mut codecs = vec![Codec::Json, Codec::Msgpack];
        codecs.extend(cfg!(feature = "yaml").then_some(Codec::Yaml));
        for codec in codecs {
            let body = Body::encode(codec, &args, &kwargs, &embed).unwrap();
            let parts = body.parts().unwrap();
            let read: Vec<Value> = parts
                .args
                .iter()
                .map(|raw| raw.to_value().unwrap())
                .collect();
            assert_eq!(read, args, "{codec:?}");
            let read: Table = parts
                .kwargs
                .iter()
                .map(|(name, raw)| (name.to_string(), raw.to_value().unwrap()))
                .collect();
            assert_eq!(read, kwargs, "{codec:?}");
            assert_eq!(parts.embed, embed, "{codec:?}");
        }
    }

    #[test]
    fn an_embed_of_nothing_is_empty_however_it_is_written() {
        let shapes = [
            "null",
            "{}",
            r#"{"callbacks": null, "errbacks": null, "chain": null, "chord": null}"#,
            r#"{"chord":null,"other":[1]}"#,
        ];
        for shape in shapes {
            let body = json(&format!("[[], {{}}, {shape}]"));
            assert_eq!(body.parts().unwrap().embed, Embed::default(), "{shape}");
        }
        let body = json(r#"[[], {}, {"chain": []}]"#);
        assert_eq!(body.parts().unwrap().embed.chain, Some(vec![]));
    }

    #[test]
    fn the_object_of_protocol_1_is_read_too() {
        let body = json(r#"{"task": "t", "args": [1], "kwargs": {"a": 2}, "callbacks": null}"#);
        let parts = body.parts().unwrap();
        assert_eq!(parts.args[0].decode::<u8>(), Ok(1));
        assert_eq!(parts.kwargs[0].1.decode::<u8>(), Ok(2));
        assert_eq!(json(r#"{"task": "t"}"#).parts().unwrap().args, []);
    }

    #[test]
    fn other_shapes_are_errors_that_say_what_was_found() {
        let three = "body: expected a list of 3 elements: args, kwargs, embed, found";
        assert_eq!(error("[]"), format!("{three} 0 elements"));
        assert_eq!(error("[1, 2, 3, 4]"), format!("{three} 4 elements"));
        assert_eq!(error("7"), format!("{three} an integer"));
        assert_eq!(
            error("[{}, {}, null]"),
            "body, args: expected a list, found a map"
        );
        assert_eq!(
            error("[[], 1, null]"),
            "body, kwargs: expected a map, found an integer"
        );
        assert_eq!(
            error("[[], {}, 1]"),
            "body, embed: expected a map or null, found an integer"
        );
        assert_eq!(
            error(r#"[[], {}, {"callbacks": [{"args": []}]}]"#),
            "body, embed, callbacks, signature, task: expected a task name, found none"
        );
    }

    #[test]
    fn arguments_are_limited_in_number() {
        let many = |count: usize| format!("[[{}], {{}}, null]", vec!["0"; count].join(","));
        assert_eq!(
            json(&many(split::MAX_ARGS)).parts().unwrap().args.len(),
            split::MAX_ARGS
        );
        let error = json(&many(split::MAX_ARGS + 1)).parts().unwrap_err();
        assert_eq!(error.fault, Fault::TooLarge);
        assert_eq!(
            error.to_string(),
            "body, args: expected at most 65536 arguments, found 65537"
        );
    }

    #[test]
    fn of_repeated_keyword_arguments_the_last_wins() {
        let body = json(r#"[[], {"a": 1, "b": 2, "a": 3}, null]"#);
        let parts = body.parts().unwrap();
        let names: Vec<_> = parts.kwargs.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(parts.kwargs[1].1.decode::<u8>(), Ok(3));
    }

    #[test]
    fn an_argument_of_another_type_is_the_callers_fault() {
        let body = json(r#"[["x"], {}, null]"#);
        let error = body.parts().unwrap().args[0].decode::<i64>().unwrap_err();
        assert_eq!(error.fault, Fault::Arguments);
        assert_eq!(
            error.to_string(),
            "argument: expected i64, found string \"x\""
        );
    }
}
