//! Who asks, and what they may do. Pure: nothing here reads a socket or a clock.

mod identity;
mod redaction;

pub use self::identity::Role;
pub(crate) use self::identity::{Identity, Via};
pub use self::redaction::Redaction;
