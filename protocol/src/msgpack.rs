//! MessagePack.
