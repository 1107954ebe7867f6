//! Harness and conformance suites of celeriac's tests.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test says by panicking"
)]

pub mod conformance;
pub mod eventually;
pub mod flaky;
pub mod http;
pub mod ledger;
pub mod network;
pub mod program;
pub mod rabbit;
pub mod relay;
pub mod servers;

/// The first page of the project compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The guides compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/tasks.md")]
struct Tasks;

/// The guides compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/workflows.md")]
struct Workflows;

/// The guides compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/schedules.md")]
struct Schedules;

/// The guides compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/control.md")]
struct Control;

/// The guides compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/tracing.md")]
struct Tracing;
