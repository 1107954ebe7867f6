//! Events of a node that never came.

/// Events of a node that never came: dropped by it, or lost on the way.
///
/// Python workers do not number their events; for them nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Gaps {
    /// What the node had sent at its first report, and the clock of that.
    base: Option<(u64, u64)>,
    seen: u64,
    /// What seemed to be missing at the last report.
    open: u64,
    /// What was missing for good, of this process and of those before.
    pub(crate) missed: u64,
    /// What this process accounts for.
    settled: u64,
    /// The latest clock of an event, and which of the clocks before it came, one bit each.
    newest: u64,
    window: u128,
}

impl Gaps {
    /// Begins anew for another process; what was missing stays missing.
    pub(super) fn of_another_process(self) -> Self {
        Self {
            missed: self.missed,
            ..Self::default()
        }
    }

    /// Counts an event, unless it came already: each has its own clock.
    pub(super) fn see(&mut self, clock: u64) {
        // Sent before the first report, and overtaken by it.
        if self.base.is_some_and(|(_, first)| clock < first) {
            return;
        }
        let ahead = clock.saturating_sub(self.newest);
        if ahead > 0 {
            let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
            self.window = self.window.checked_shl(shift).unwrap_or(0) | 1;
            self.newest = clock;
        } else {
            let behind = u32::try_from(self.newest - clock).unwrap_or(u32::MAX);
            let bit = 1_u128.checked_shl(behind).unwrap_or(0);
            if self.window & bit != 0 {
                return;
            }
            self.window |= bit;
        }
        self.seen += 1;
    }

    /// Compares what came with what the node says there was, both since the first
    /// such report: what was sent before is not missing. What is still missing at the
    /// report after counts: events may have been overtaken by one report.
    pub(super) fn compare(&mut self, sent: u64, clock: u64) {
        let Some((base, _)) = self.base.filter(|(base, _)| sent >= *base) else {
            // The first report, or a counter that started again.
            *self = Self {
                base: Some((sent, clock)),
                missed: self.missed,
                newest: self.newest,
                window: self.window,
                ..Self::default()
            };
            return;
        };
        let absent = (sent - base).saturating_sub(self.seen + self.settled);
        let lost = absent.min(self.open);
        self.missed += lost;
        self.settled += lost;
        self.open = absent - lost;
    }
}
