//! A task queue for Rust that speaks Celery: define tasks, call them, read their
//! results, on RabbitMQ, Redis or in memory.
//!
//! ```
//! use std::time::Duration;
//! use celeriac::{App, task};
//!
//! /// Adds two numbers.
//! #[task(name = "demo.add", max_retries = 5)]
//! async fn add(x: i64, y: i64) -> i64 {
//!     x + y
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> celeriac::Result<()> {
//! let app = App::builder("demo")
//!     .broker("memory://") // or "amqp://localhost"
//!     .backend("memory://") // or "redis://localhost", "rpc://"
//!     .task(add)
//!     .build()?;
//!
//! let sum = add.call(2, 3).send(&app).await?;
//! # let document = celeriac::protocol::ResultDocument::new(sum.id(), celeriac::State::Success, 5);
//! # let store = celeriac::backend::Store { document, reply_to: None, correlation_id: None };
//! # app.backend().store(vec![store]).await;
//! // As soon as a node has run it:
//! assert_eq!(sum.get(Duration::from_secs(10)).await?, 5);
//! # Ok(())
//! # }
//! ```
//!
//! The messages are Celery's own: a Python client can call these tasks, and these
//! calls can run in a Python worker. Nodes, which run tasks, are the crate
//! `celeriac-node`.
//!
//! | to | see |
//! |---|---|
//! | define a task | [`task`](macro@task), [`Context`], [`TaskError`] |
//! | call it | [`Call`], [`App::call`] by name, [`routing`] |
//! | put calls together | [`canvas`] |
//! | read results | [`AsyncResult`] |
//! | steer nodes | [`control`] |
//! | run tasks at times | [`schedule`] |
//! | follow a request through tasks | [`trace`] |
//! | hear what happens | [`App::events`] |
//! | bring your own server | [`broker::Broker`], [`backend::Backend`] |

pub mod app;
pub mod backend;
pub mod broker;
pub mod call;
pub mod canvas;
pub mod clock;
pub mod control;
pub mod error;
pub mod events;
pub mod health;
pub mod host;
pub mod producer;
pub mod result;
pub mod retry;
pub mod routing;
pub mod schedule;
pub mod task;
pub mod trace;

pub use celeriac_macros::task;
pub use celeriac_protocol as protocol;
pub use celeriac_protocol::{Signature, State, Value};

pub use crate::app::{App, AppBuilder, Caller};
pub use crate::call::Call;
pub use crate::canvas::{chain, chord, group};
pub use crate::error::{Error, Result};
pub use crate::result::{AsyncResult, GroupResult, ResultSet};
pub use crate::schedule::{Entry, Schedule};
pub use crate::task::{Context, Task, TaskError};
