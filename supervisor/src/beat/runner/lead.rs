//! A time of leading.

use std::sync::Arc;
use std::time::SystemTime;

use celeriac::broker::Lock;
use uuid::Uuid;

use super::super::actor::Station;
use super::super::book::Now;
use super::super::news::Leader;
use super::turn::Turn;

/// What holds while this one leads.
pub(super) struct Lead {
    pub(super) lock: Arc<dyn Lock>,
    /// Names this time of leading among all.
    pub(super) holder: String,
    pub(super) term: u64,
    pub(super) since: SystemTime,
    /// The term is the store's: what is written under it holds.
    pub(super) claimed: bool,
    /// The store was asked once, whatever it said.
    pub(super) asked: bool,
    pub(super) claim: Turn,
    pub(super) tell: Turn,
}

impl Lead {
    /// Begins to lead: whatever has to be asked and told is due.
    pub(super) fn new(lock: Arc<dyn Lock>, station: &Station, term: u64, now: Now) -> Self {
        Self {
            lock,
            holder: format!("{} {}", station.name, Uuid::new_v4()),
            term,
            since: now.wall,
            claimed: false,
            asked: false,
            claim: Turn::at(now.steady),
            tell: Turn::at(now.steady),
        }
    }

    /// Returns what the others are told.
    pub(super) fn leader(&self, station: &Station, store: Option<String>) -> Leader {
        Leader {
            name: station.name.clone(),
            url: station.url.clone(),
            term: self.term,
            store,
            since: self.since,
        }
    }
}
