//! The supervisor of a celeriac cluster: tracks nodes, aggregates results, serves
//! health, metrics, an API and a page.
//!
//! [`Supervisor::run`] is the one way in: it takes an app and a [`Config`] and ends when
//! it is told to, or says why it could not go on.

mod board;
mod cluster;
mod config;
mod error;
mod guardian;
mod metrics;
mod progress;

pub use crate::config::Config;
pub use crate::error::Error;
