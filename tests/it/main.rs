//! The integration tests.

mod backend;
mod broker;
