//! What happens to ticks that nobody was there to send.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// What happens to ticks that passed while no scheduler ran: `skip`, `once`, `all(N)`.
///
/// An entry's deadline comes first: ticks older than that are nobody's any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Misfire {
    /// They are gone.
    Skip,
    /// The last of them is sent. This is what Celery does with cron lines.
    #[default]
    Once,
    /// All are sent, oldest first.
    All {
        /// The last so many of them, 1 to 1000.
        most: u16,
    },
}

impl Misfire {
    /// The most ticks that may be made up for.
    pub const MOST: u16 = 1000;

    /// Returns how many missed ticks are sent at most, the last ones.
    pub const fn most(self) -> usize {
        match self {
            Self::Skip => 0,
            Self::Once => 1,
            Self::All { most } => most as usize,
        }
    }
}

impl fmt::Display for Misfire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skip => f.write_str("skip"),
            Self::Once => f.write_str("once"),
            Self::All { most } => write!(f, "all({most})"),
        }
    }
}

impl FromStr for Misfire {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = |text: &str| {
            let most = text.strip_prefix("all(")?.strip_suffix(')')?.trim();
            let most = most.parse().ok()?;
            (1..=Self::MOST)
                .contains(&most)
                .then_some(Self::All { most })
        };
        match text.trim() {
            "skip" => Ok(Self::Skip),
            "once" => Ok(Self::Once),
            other => all(other).ok_or_else(|| {
                Error::invalid(
                    "misfire",
                    "skip, once or all(N) with N from 1 to 1000",
                    format!("{text:?}"),
                )
            }),
        }
    }
}
