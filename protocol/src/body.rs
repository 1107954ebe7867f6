//! `[args, kwargs, embed]`, kept as bytes until somebody asks.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{Codec, Embed};

/// A decompressed body: bytes of one serializer.
///
/// Nothing is parsed until [`Body::parts`] splits it, and no argument until the
/// task's own type asks for it.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a> {
    /// Who made the bytes.
    pub codec: Codec,
    /// The serialized value.
    pub bytes: &'a [u8],
}
