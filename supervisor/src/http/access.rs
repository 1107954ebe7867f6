//! Access over HTTP: who asks, and what is written down of it.

mod audit;
mod doorman;
mod extract;

pub(super) use self::audit::Outcome;
pub(super) use self::doorman::Doorman;
