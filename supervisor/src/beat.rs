//! Beat: sends the tasks of schedule entries when their ticks are due.

mod book;
mod plan;

pub(crate) use self::book::{Mark, Sent};
pub(crate) use self::plan::Stored;

/// What leaders of the beat are elected for: the name of their terms.
pub(crate) const BEAT: &str = "beat";
