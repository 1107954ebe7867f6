//! The `celeriac` command as a library.
//!
//! A Rust worker links its own tasks, so its binary is its own; this crate gives that
//! binary the whole command line:
//!
//! ```no_run
//! use celeriac::task;
//!
//! #[task(name = "demo.add")]
//! async fn add(x: i64, y: i64) -> i64 {
//!     x + y
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     celeriac_cli::main(|app, _settings| app.task(add))
//! }
//! ```
//!
//! The stock binary `celeriac` is this with the tasks of [`tasks`].

mod api;
mod app;
mod args;
mod command;
mod confirm;
mod ending;
mod error;
mod exit;
mod init;
mod logging;
mod output;
mod panics;
mod progress;
mod schema;
mod settings;
mod signals;
mod stack;
pub mod tasks;
mod traces;
mod units;
mod web;

pub use crate::app::main;
pub use crate::settings::{Settings, Source};
