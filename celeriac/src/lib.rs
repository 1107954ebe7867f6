//! A task queue for Rust that speaks Celery.

pub mod backend;
pub mod broker;
pub mod clock;
pub mod error;

pub use celeriac_protocol as protocol;

pub use crate::error::{Error, Result};
