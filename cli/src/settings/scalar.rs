//! Values of a settings file as the text that a flag would be.

use serde::{Deserialize, Deserializer};

/// Reads a scalar or a list of scalars of a settings file as the text a flag would be.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
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
    Ok(Some(match Scalar::deserialize(deserializer)? {
        Scalar::Bool(flag) => flag.to_string(),
        Scalar::Int(number) => number.to_string(),
        Scalar::Float(number) => number.to_string(),
        Scalar::Text(text) => text,
        Scalar::List(items) => items.join(","),
    }))
}
