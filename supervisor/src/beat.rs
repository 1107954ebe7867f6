//! Beat: sends the tasks of schedule entries when their ticks are due.
//!
//! | part | does |
//! |---|---|
//! | `book` | decides which ticks are due |
//! | `plan` | puts together which entries there are |
//! | `runner`, `job` | the loop: follows a leader, or leads; what it has others do |
//! | `news` | what leaders tell each other |
//! | `desk` | what others see of it |

mod actor;
mod book;
mod desk;
mod job;
mod metrics;
mod news;
mod plan;
mod runner;

pub(crate) use self::actor::{Beat, Station};
pub(crate) use self::book::{Line, Mark, Sent};
pub(crate) use self::desk::{BeatDesk, View};
pub(crate) use self::metrics::BeatMetrics;
pub(crate) use self::news::News;
pub(crate) use self::plan::{Origin, Stored};

/// What leaders of the beat are elected for: the name of their terms.
pub(crate) const BEAT: &str = "beat";
