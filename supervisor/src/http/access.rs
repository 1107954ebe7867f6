//! Access over HTTP: who asks, and what is written down of it.

mod audit;
mod extract;

pub(super) use self::audit::Outcome;
