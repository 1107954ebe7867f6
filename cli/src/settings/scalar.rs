//! What somebody said of a setting, as text.

use std::convert::Infallible;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// What somebody said of a setting, as the text that a flag would be. A settings file may write
/// a number, a flag or a list.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Text(String);

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromStr for Text {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.into())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a text, a number, true, false or a list of texts"
        )]
        enum Scalar {
            Bool(bool),
            Int(i64),
            Float(f64),
            Text(String),
            List(Vec<String>),
        }
        Ok(Self(match Scalar::deserialize(deserializer)? {
            Scalar::Bool(flag) => flag.to_string(),
            Scalar::Int(number) => number.to_string(),
            Scalar::Float(number) => number.to_string(),
            Scalar::Text(text) => text,
            Scalar::List(items) => items.join(","),
        }))
    }
}
