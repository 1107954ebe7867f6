//! A stored value: a document or another one, whatever codec and compression wrote it.

use std::borrow::Cow;

use celeriac_protocol::compression::Compression;
use celeriac_protocol::error::{DecodeError, Fault};
use celeriac_protocol::naming::keys::COMPRESSED;
use celeriac_protocol::{Codec, ResultDocument, Value};

/// Reads a document.
pub(super) fn decode(bytes: &[u8], limit: usize) -> Result<ResultDocument, DecodeError> {
    let plain = unpack(bytes, limit)?;
    ResultDocument::decode(codec(&plain), &plain)
}

/// Reads a list or map that is no document; `what` names it in errors.
pub(super) fn value(bytes: &[u8], limit: usize, what: &str) -> Result<Value, DecodeError> {
    let plain = unpack(bytes, limit)?;
    codec(&plain).to_value(&plain, what)
}

/// Returns the bytes of the codec, which Celery may have compressed.
fn unpack(bytes: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, DecodeError> {
    let Some(packed) = bytes.strip_prefix(COMPRESSED) else {
        return Ok(Cow::Borrowed(bytes));
    };
    let end = packed.iter().position(|&byte| byte == 0);
    let (mime, packed) = end
        .map(|end| (&packed[..end], &packed[end + 1..]))
        .ok_or_else(|| {
            DecodeError::new(
                Fault::Malformed,
                "stored result",
                "the name of a compression and a zero byte",
                "no zero byte",
            )
        })?;
    let method = Compression::from_header(&String::from_utf8_lossy(mime))
        .map_err(|error| error.within("stored result"))?;
    let plain = method
        .decompress(packed, limit)
        .map_err(|error| error.within("stored result"))?;
    Ok(Cow::Owned(plain))
}

/// Returns the codec of a list or map: the first byte tells.
fn codec(bytes: &[u8]) -> Codec {
    match bytes.first() {
        Some(b'{' | b'[') => Codec::Json,
        Some(0x80..=0x9f | 0xdc..=0xdf) => Codec::Msgpack,
        _ => Codec::Yaml,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use celeriac_protocol::{State, Value};

    use super::*;

    /// What Celery 5.7 stored for `add.delay(2, 3)` with `result_compression="gzip"`.
    const GZIP: &[u8] =
        b"\x00celery-compressed\x00application/x-gzip\x00x\x9c\x15\x8d\xcb\x0a\xc20\x10E\
        \x7f\xa5d\xab\x91I2\xcdk[\xfc\x82\xeaJ\xa4\xc4d\xc0\xd2P\xa1IW\xe2\xbf\x9b.\
        \xcf\xe1r\xee\x97\x95\x1a\xea^\x98\xef\xd8x\x1f\x86\xeb8\xb2s\xc76*{\xaeM\xf6\
        \x0d\xea\x16\x22\xbdB\x5c\x1a\xaf{\xceM\xc5\xf7\x9c\xd3Fk3\x8fg\xe3\x14*M\xe9\
        \xb3\xd2\xd1\x91 5\x17\x82Ky\x03\xebQ{\x81\x17k\x9c\xb3p\x02\xf0\x00\xc7A\x0de\
        \x99\xe6t\xcc\x91l\xec\xa3\x11\xdc\xf4Jrt&q\x8bH\x5c\xc5d\x9cR\xa4Q'\xf6\xfb\
        \x03\x0b\xb3-\xe8";

    /// The same with `result_serializer="msgpack"`.
    const MSGPACK: &[u8] =
        b"\x86\xa6status\xa7SUCCESS\xa6result\x05\xa9traceback\xc0\xa8children\x90\xa9da\
        te_done\xd9 2026-11-22T08:46:25.557339+00:00\xa7task_id\xd9$94ad527c-639b-49b4\
        -a1f6-909ae249c9bf";

    #[test]
    fn what_celery_stored_is_read() {
        for bytes in [GZIP, MSGPACK] {
            let document = decode(bytes, 1000).unwrap();
            assert_eq!(document.status, State::Success);
            assert_eq!(document.result, Value::Int(5));
            assert!(document.date_done.is_some());
        }
    }

    #[test]
    fn a_damaged_value_says_so() {
        for bytes in [
            &GZIP[..30],
            COMPRESSED,
            b"",
            b"{",
            b"\0celery-compressed\0x\0y",
        ] {
            let error = decode(bytes, 1000).unwrap_err();
            assert!(!error.to_string().is_empty());
        }
        assert_eq!(decode(GZIP, 10).unwrap_err().fault, Fault::TooLarge);
    }
}
