//! The supervisor from outside: events in, HTTP out.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod access;
mod bad_input;
mod batches;
mod controls;
mod harness;
mod health;
mod live;
mod nodes;
mod refusals;
mod scale;
mod sending;
mod tasks;
