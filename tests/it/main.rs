//! The integration tests.
#![allow(clippy::unwrap_used, reason = "a test says by panicking")]

mod amqp;
mod backend;
mod bad_input;
mod beat;
mod broker;
mod builtin;
mod cli;
mod faults;
mod house_rules;
mod isolation;
mod letters;
mod lifecycle;
mod refusals;
mod remote;
