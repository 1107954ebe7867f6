//! A task queue for Rust that speaks Celery.

pub mod app;
pub mod backend;
pub mod broker;
pub mod call;
pub mod canvas;
pub mod clock;
pub mod control;
pub mod error;
pub mod host;
pub mod producer;
pub mod result;
pub mod retry;
pub mod routing;
pub mod task;

pub use celeriac_macros::task;
pub use celeriac_protocol as protocol;
pub use celeriac_protocol::{Signature, State, Value};

pub use crate::app::{App, AppBuilder, Caller};
pub use crate::call::Call;
pub use crate::canvas::{chain, chord, group};
pub use crate::error::{Error, Result};
pub use crate::result::AsyncResult;
pub use crate::task::{Context, Task, TaskError};
