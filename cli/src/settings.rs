//! Settings: flags, then environment, then a file, then defaults.
//!
//! One struct, [`Layer`], is the flags (by clap), the file (by serde) and the
//! environment (by name), so a setting is written down once. Layers are merged, and
//! only the merged whole is turned into the configuration of a component.

mod blame;
mod environment;
mod file;
mod grace;
mod kind;
mod layer;
mod nearest;
mod people;
mod resolve;
mod scalar;
mod secret;
mod service_link;
mod source;
mod tables;

pub(crate) use self::environment::Environment;
pub(crate) use self::file::SettingsFile;
pub(crate) use self::grace::Grace;
pub(crate) use self::kind::Kind;
pub(crate) use self::layer::Layer;
pub use self::resolve::Settings;
pub(crate) use self::resolve::{Reader, names};
pub(crate) use self::scalar::Text;
pub(crate) use self::secret::is_secret;
pub use self::source::Source;

/// What the names of our variables begin with.
pub(crate) const PREFIX: &str = "CELERIAC_";

/// Returns the name of the variable of a setting.
pub(crate) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}

/// Returns the name of the variable that names a file with the value of a secret setting.
pub(crate) fn file_variable(name: &str) -> Option<String> {
    is_secret(name).then(|| format!("{}_FILE", variable(name)))
}
