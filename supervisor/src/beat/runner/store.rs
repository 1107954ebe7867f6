//! What the beat's loop makes of the store's answers.

use std::collections::HashMap;
use std::time::Duration;

use super::super::book::{Mark, Now};
use super::super::job::{self, Reading};
use super::super::plan;
use super::{POLL, Runner};
use crate::store::StoreError;

impl Runner {
    pub(super) fn claimed(
        &mut self,
        claimed: Result<(u64, HashMap<String, Mark>), StoreError>,
        now: Now,
    ) {
        let Some(lead) = &mut self.lead else { return };
        lead.asked = true;
        lead.claim.over(now.steady, POLL);
        match claimed {
            Ok((term, marks)) => {
                lead.term = term;
                lead.claimed = true;
                self.seen = self.seen.max(term);
                self.book.load(marks);
                self.loaded = true;
                self.trouble = None;
            }
            Err(error) => self.store_failed(&error),
        }
    }

    pub(super) fn learn(&mut self, reading: Reading, now: Now) {
        if self.lead.as_ref().is_none_or(|lead| lead.claimed) {
            self.trouble = None;
        }
        self.store = Some(reading.store);
        self.revision = Some(reading.revision);
        if let Some(stored) = reading.stored {
            let plan = plan::merge(self.app.schedules(), stored);
            self.book.plan(plan, now.wall);
        }
        if let Some(marks) = reading.marks {
            self.book.load(marks);
            self.loaded = true;
        }
        if self.lead.is_none() && self.write.begin(now.steady) {
            // Where the store is shared, the leader has written all of this.
            let heard = |(_, mark): &(_, Mark)| mark.last.is_some();
            let dirty: Vec<_> = self.book.take_dirty().into_iter().filter(heard).collect();
            match dirty.is_empty() {
                true => self.write.over(now.steady, Duration::ZERO),
                false => self.jobs.push(job::write(&self.board.store, None, dirty)),
            }
        }
    }

    pub(super) fn store_failed(&mut self, error: &StoreError) {
        let text = error.to_string();
        if self.trouble.as_ref() != Some(&text) {
            tracing::warn!(%error, "the beat cannot use the store; ticks go on from memory");
        }
        self.trouble = Some(text);
    }
}
