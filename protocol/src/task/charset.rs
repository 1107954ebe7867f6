//! Character sets of text bodies.

use bytes::Bytes;

use crate::{DecodeError, error::Fault};

/// Returns `bytes` as UTF-8. Whether they really are is left to the serializer's
/// parser, which has to look at each of them anyway.
pub(super) fn decode(encoding: Option<&str>, bytes: Bytes) -> Result<Bytes, DecodeError> {
    let name = encoding.unwrap_or("utf-8");
    let known = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    if known(&[
        "utf-8",
        "utf8",
        "utf_8",
        "us-ascii",
        "ascii",
        "binary",
        "ascii-8bit",
    ]) {
        Ok(bytes)
    } else if known(&["latin-1", "latin1", "latin_1", "iso-8859-1", "iso8859-1"]) {
        if bytes.is_ascii() {
            return Ok(bytes);
        }
        // The first 256 characters of Unicode are those of Latin-1.
        Ok(bytes
            .iter()
            .copied()
            .map(char::from)
            .collect::<String>()
            .into())
    } else {
        let expected = "utf-8, latin-1, us-ascii or binary";
        Err(DecodeError::new(
            Fault::Content,
            "content encoding",
            expected,
            format!("{name:?}"),
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn latin_1_becomes_utf_8() {
        let bytes = Bytes::from_static(b"\"\xe9\"");
        assert_eq!(decode(Some("Latin-1"), bytes).unwrap(), "\"é\"");
    }

    #[test]
    fn an_unknown_charset_is_refused_by_name() {
        let error = decode(Some("utf-16"), Bytes::from_static(b"{}")).unwrap_err();
        assert_eq!(error.fault, Fault::Content);
        assert_eq!(
            error.to_string(),
            "content encoding: expected utf-8, latin-1, us-ascii or binary, found \"utf-16\""
        );
    }
}
