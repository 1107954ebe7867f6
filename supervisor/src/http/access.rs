//! Access over HTTP: who asks, and what is written down of it.

mod audit;
mod doorman;
mod extract;
mod hide;

pub(super) use self::audit::{AuditLog, Outcome};
pub(super) use self::doorman::Doorman;
