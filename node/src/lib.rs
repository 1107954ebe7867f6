//! The worker node of celeriac: takes Celery tasks from queues and runs them.
//!
//! The data plane is loops and batches through bounded channels; the control plane is
//! small actors that keep books; decisions are pure functions.

mod autoscale;
mod backend;
mod builtin;
mod config;
mod consumer;
mod counters;
mod events;
mod execution;
mod guardian;
mod handle;
mod health;
mod heart;
pub mod isolation;
mod job;
mod jobs;
mod keeper;
mod mailroom;
mod metrics;
mod node;
mod private_queue;
mod quarantine;
mod rate;
mod returned;
mod revoked;
mod shared;
mod shutdown;
mod slots;
mod timetable;

pub use self::config::{Autoscale, Config, DeadLetters, Prefetch};
pub use self::handle::{Handle, QueueSnapshot, Snapshot};
pub use self::health::paths;
pub use self::node::Node;
pub use self::shared::Phase;
pub use self::shutdown::{Reason, Shutdown, Stopped};
