//! The actors: each owns state and decides; I/O runs in tasks and comes back as messages.
//!
//! ```text
//!  Root (Supervisor) -- owns the Cluster and the table of proxies
//!   |-- NodeProxy, one per remote node: asks its node about itself, pings it when silent
//!   |-- Backend: writes the task history, waits for results of tasks sent from here
//!   |-- Intake: subscribes to events, batches them to the Root
//!   `-- Survey: reads the depths of queues
//! ```
//!
//! Root, proxies and survey live on the system arbiter; Intake and Backend, which work
//! through floods, on one arbiter each, so that a flood delays neither.

mod asker;
mod backend;
mod echo;
mod intake;
mod node_proxy;
mod root;
mod survey;
mod thread;

pub(crate) use self::backend::{Awaited, Finished, Launched};
pub(crate) use self::root::Root;
pub(crate) use self::thread::ActorThread;

/// How many messages an actor's mailbox holds. Senders wait for a place.
const MAILBOX: usize = 64;
