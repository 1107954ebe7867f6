//! A stored value: the document's bytes, which Celery may have compressed.

use celeriac_protocol::compression::Compression;
use celeriac_protocol::error::{DecodeError, Fault};
use celeriac_protocol::naming::keys::COMPRESSED;
use celeriac_protocol::{Codec, ResultDocument};

/// Reads a stored value, whatever codec and compression wrote it.
pub(super) fn decode(bytes: &[u8], limit: usize) -> Result<ResultDocument, DecodeError> {
    let Some(packed) = bytes.strip_prefix(COMPRESSED) else {
        return decode_plain(bytes);
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
    decode_plain(&plain)
}

fn decode_plain(bytes: &[u8]) -> Result<ResultDocument, DecodeError> {
    // All of them are maps, and the first byte of a map tells the codecs apart.
    let codec = match bytes.first() {
        Some(b'{') => Codec::Json,
        Some(0x80..=0x8f | 0xde | 0xdf) => Codec::Msgpack,
        _ => Codec::Yaml,
    };
    ResultDocument::decode(codec, bytes)
}
