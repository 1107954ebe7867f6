//! Tasks with a process of their own.
//!
//! A node starts child processes of its own program and has them run the bodies of
//! isolated tasks. Everything else stays with the node: the broker, the backend, limits,
//! outcomes. A child needs no connection of its own: what its task sends and stores goes
//! through the node.
//!
//! | what | module | kind |
//! |---|---|---|
//! | a run, from the node's side | `run` | I/O |
//! | which process runs it | `pool` | state machine |
//! | one process | `process` | state machine |
//! | the threads that do this | `supervision` | I/O |
//! | whether it lives | `silence` | pure |
//! | what its task asks for | `service` | I/O |
//! | what both sides say | `frame`, `wire`, `fault` | data |
//! | why it is gone | `loss` | pure |
//! | the other side | `child` | I/O |

mod child;
mod config;
mod fault;
mod frame;
mod loss;
mod memory;
mod output;
mod pool;
mod process;
pub(crate) mod run;
mod service;
mod silence;
mod supervision;
mod wire;

pub(crate) use self::child::is_marked;
pub use self::child::{enter, is_child};
pub use self::config::Isolation;
pub(crate) use self::pool::Pool;

/// The variable that tells a process whose child it is: the node's process id. A process
/// that the child starts inherits it, and lacks the line to the node.
pub const VARIABLE: &str = "CELERIAC_ISOLATED_BY";
