//! The supervisor of a celeriac cluster: tracks nodes, aggregates results, serves
//! health, metrics, an API and a page.
//!
//! [`Supervisor::run`] is the one way in: it takes an app and a [`Config`] and ends when
//! it is told to, or says why it could not go on.
//!
//! Nodes are known by the events that they send, Celery's workers as well as
//! celeriac's; there is nothing to register. What is known lives in memory, bounded.

mod access;
mod actor;
mod beat;
mod board;
mod cluster;
mod config;
mod error;
mod feed;
mod guardian;
mod http;
mod kubernetes;
mod leader;
mod letters;
mod management;
mod metrics;
mod pauses;
mod pods;
mod rates;
mod recorder;
mod scale;
mod store;
mod supervisor;
mod tls;
mod watchdog;

pub use crate::access::{
    Access, Network, Redaction, Role, Token, TrustedProxy, User, hash_password,
};
pub use crate::config::Config;
pub use crate::error::Error;
pub use crate::http::paths;
pub use crate::leader::LeaderElection;
pub use crate::supervisor::{Stopped, Supervisor};
