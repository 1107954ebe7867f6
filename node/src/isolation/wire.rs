//! Frames as bytes: a length of four bytes, then MessagePack.

use std::io::{self, ErrorKind, Read};

use celeriac::protocol::{EncodeError, msgpack};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// No frame is larger, unless bodies are.
const MAX_FRAME: usize = 64 << 20;

/// What a frame adds to the body of a message.
const ROOM: usize = 1 << 20;

const HEAD: usize = 4;

/// Returns the largest frame where bodies have up to `max_body` bytes.
pub(super) fn max_frame(max_body: usize) -> usize {
    let largest = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
    MAX_FRAME.max(max_body.saturating_add(ROOM)).min(largest)
}

/// Writes a frame.
///
/// # Errors
///
/// When it cannot be written as MessagePack, or is larger than `max`.
pub(super) fn encode(frame: &impl Serialize, max: usize) -> Result<Vec<u8>, EncodeError> {
    let packed = msgpack::to_vec(frame)?;
    let length = u32::try_from(packed.len()).ok();
    let Some(length) = length.filter(|_| packed.len() <= max) else {
        let text = format!(
            "expected at most {max} bytes between a node and its process, found {}",
            packed.len()
        );
        return Err(EncodeError::new("frame", text));
    };
    let mut bytes = Vec::with_capacity(HEAD + packed.len());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&packed);
    Ok(bytes)
}

/// Reads a frame; `None` when the other side is gone.
///
/// # Errors
///
/// When it is larger than `max`, is cut short, or is no frame.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read, max: usize) -> io::Result<Option<T>> {
    let mut head = [0; HEAD];
    match from.read_exact(&mut head) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut bytes = vec![0; length(head, max)?];
    from.read_exact(&mut bytes)?;
    decode(&bytes).map(Some)
}

/// Reads a frame; `None` when the other side is gone.
///
/// # Errors
///
/// As [`read`].
pub(super) async fn receive<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    max: usize,
) -> io::Result<Option<T>> {
    let mut head = [0; HEAD];
    match from.read_exact(&mut head).await {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    };
    let mut bytes = vec![0; length(head, max)?];
    from.read_exact(&mut bytes).await?;
    decode(&bytes).map(Some)
}

fn length(head: [u8; HEAD], max: usize) -> io::Result<usize> {
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if length > max {
        let text = format!("expected a frame of at most {max} bytes, found {length}");
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    Ok(length)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    msgpack::from_slice(bytes, "frame")
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_frame_comes_back_either_way() {
        let frame = ("text".to_owned(), vec![1_u64, 2]);
        let bytes = encode(&frame, 100).unwrap();
        assert_eq!(read(&mut &bytes[..], 100).unwrap(), Some(frame.clone()));
        assert_eq!(receive(&mut &bytes[..], 100).await.unwrap(), Some(frame));
        assert_eq!(read::<u8>(&mut &[][..], 100).unwrap(), None);
    }

    #[test]
    fn sizes_are_bounded_on_both_sides() {
        let error = encode(&"a long text", 5).unwrap_err().to_string();
        assert!(error.contains("expected at most 5 bytes"), "{error}");
        let bytes = encode(&"a long text", 100).unwrap();
        let error = read::<String>(&mut &bytes[..], 5).unwrap_err().to_string();
        assert_eq!(error, "expected a frame of at most 5 bytes, found 12");
    }

    #[test]
    fn what_is_no_frame_is_told() {
        for bytes in [&[0, 0, 0, 2, 0xc1, 0xc1][..], &[0, 0, 0, 9, 1][..]] {
            assert!(read::<String>(&mut &bytes[..], 100).is_err(), "{bytes:?}");
        }
    }
}
