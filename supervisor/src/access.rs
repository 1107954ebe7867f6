//! Who asks, and what they may do. Pure: nothing here reads a socket or a clock.

mod identity;
mod origin;
mod proxy;
mod redaction;
pub(crate) mod rules;
mod secret;
mod settings;
mod throttle;

pub use self::identity::Role;
pub(crate) use self::identity::{Identity, Via};
pub(crate) use self::origin::Provenance;
pub use self::proxy::{Network, TrustedProxy};
pub(crate) use self::redaction::HIDDEN;
pub use self::redaction::Redaction;
pub(crate) use self::secret::{LONGEST_PASSWORD, digest, keyed_digest, verify};
pub use self::secret::{Token, User, hash_password};
pub use self::settings::Access;
pub(crate) use self::throttle::Throttle;
