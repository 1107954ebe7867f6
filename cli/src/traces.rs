//! Brings spans to a collector.
//!
//! The exporter has a thread and a runtime of its own: a runtime whose threads tasks keep,
//! or that has one thread only, must neither hold it up nor be held up by it.

mod convert;
mod export;
mod settings;

pub(crate) use self::export::Export;
pub(crate) use self::settings::check;
