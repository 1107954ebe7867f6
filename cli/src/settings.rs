//! Settings: flags, then environment, then a file, then defaults.
//!
//! One struct, [`Layer`], is the flags (by clap), the file (by serde) and the
//! environment (by name), so a setting is written down once. Layers are merged, and
//! only the merged whole is turned into the configuration of a component.

mod layer;
mod people;
mod resolve;
mod scalar;
mod tables;

pub(crate) use self::layer::Layer;
pub use self::resolve::{Settings, Source};
