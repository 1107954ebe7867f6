//! What the API shows of schedules.

use std::time::{Instant, SystemTime};

use celeriac::Entry;
use serde::Serialize;
use utoipa::ToSchema;

use crate::beat::{Line, View};
use crate::http::Desk;

/// A schedule entry.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct ScheduleView {
    pub(in crate::http) name: String,
    pub(in crate::http) task: String,
    /// When it runs, in words.
    pub(in crate::http) schedule: String,
    pub(in crate::http) description: String,
    /// `config` or `api`: of the former only the switch can be edited here.
    pub(in crate::http) origin: &'static str,
    pub(in crate::http) enabled: bool,
    /// Counts the edits; to be given back as `revision` or `If-Match`.
    pub(in crate::http) revision: i64,
    /// When it is sent next, its jitter included; nothing for one that is disabled or has no
    /// ticks any more.
    pub(in crate::http) next_run: Option<String>,
    /// The last tick that was sent.
    pub(in crate::http) last_tick: Option<String>,
    /// When the broker had it.
    pub(in crate::http) last_run: Option<String>,
    pub(in crate::http) last_task_id: Option<String>,
    /// What became of that task, if it is known.
    pub(in crate::http) last_state: Option<String>,
    /// How many ticks were sent.
    pub(in crate::http) sent: u64,
    /// How many ticks were dropped by its rules for missed ones.
    pub(in crate::http) missed: u64,
    /// How late its next tick is, in seconds; 0 when none is due.
    pub(in crate::http) lag_seconds: f64,
    /// Why its ticks cannot be sent at the moment.
    pub(in crate::http) trouble: Option<String>,
    /// The whole entry, as in the settings file, without what is hidden of its arguments.
    /// What comes back as it was shown stays as it is.
    #[schema(value_type = Object)]
    pub(in crate::http) entry: serde_json::Value,
}

/// When an entry runs next.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct Preview {
    /// When it runs, in words.
    pub(in crate::http) schedule: String,
    /// The zone of its civil times, if it has any.
    pub(in crate::http) zone: Option<String>,
    pub(in crate::http) next: Vec<NextRun>,
}

/// A tick to come.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct NextRun {
    pub(in crate::http) tick: String,
    /// The tick with the jitter.
    pub(in crate::http) sent: String,
}

/// Which supervisor leads.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct LeaderView {
    /// How the one that answers is called.
    pub(in crate::http) me: String,
    /// Whether it leads.
    pub(in crate::http) leads: bool,
    /// How a leader is elected: `broker` or `none`.
    pub(in crate::http) election: &'static str,
    /// Who leads; nothing when nobody is known to.
    pub(in crate::http) leader: Option<String>,
    /// Where the leader's API is, if it says so.
    pub(in crate::http) url: Option<String>,
    /// The leader's term: grows with each leader.
    pub(in crate::http) term: Option<u64>,
    pub(in crate::http) since: Option<String>,
    /// Whether the leader has the same store, so that edits can be made here as well.
    pub(in crate::http) same_store: bool,
    /// Why there is no leader, or what hinders it.
    pub(in crate::http) trouble: Option<String>,
}

impl ScheduleView {
    pub(super) fn of(desk: &Desk, line: &Line, now: SystemTime) -> Self {
        let (entry, mark) = (&line.planned.entry, &line.mark);
        let next = line.next().filter(|_| entry.enabled);
        let late = next.and_then(|next| now.duration_since(next).ok());
        let last = mark.last.as_ref();
        let task = last.and_then(|sent| desk.board.history.get(&sent.task_id));
        Self {
            name: entry.name.clone(),
            task: entry.task.clone(),
            schedule: entry.schedule.to_string(),
            description: entry.description.clone(),
            origin: line.planned.origin.as_str(),
            enabled: entry.enabled,
            revision: line.planned.revision,
            next_run: next.map(text),
            last_tick: last.map(|sent| text(sent.tick)),
            last_run: last.map(|sent| text(sent.at)),
            last_task_id: last.map(|sent| sent.task_id.clone()),
            last_state: task.map(|task| task.state().to_string()),
            sent: mark.sent,
            missed: mark.missed,
            lag_seconds: late.unwrap_or_default().as_secs_f64(),
            trouble: line.trouble.as_ref().map(|trouble| trouble.reason.clone()),
            entry: serde_json::to_value(super::hidden(&desk.config.redaction, entry))
                .unwrap_or_default(),
        }
    }
}

impl LeaderView {
    pub(super) fn of(view: &View, now: Instant) -> Self {
        let leader = view.leader(now);
        let same =
            leader.is_some_and(|leader| leader.store.is_some() && leader.store == view.store);
        Self {
            me: view.me.clone(),
            leads: view.leads,
            election: view.election,
            leader: leader.map(|leader| leader.name.clone()),
            url: leader.and_then(|leader| leader.url.clone()),
            term: leader.map(|leader| leader.term),
            since: leader.map(|leader| text(leader.since)),
            same_store: view.leads || same,
            trouble: view.trouble.clone(),
        }
    }
}

/// Returns when an entry runs after a moment.
pub(in crate::http) fn next(entry: &Entry, after: SystemTime, count: usize) -> Preview {
    let ticks = entry.schedule.upcoming(after, count).into_iter();
    let next = ticks.map(|tick| NextRun {
        tick: text(tick),
        sent: text(entry.jittered(tick)),
    });
    Preview {
        schedule: entry.schedule.to_string(),
        zone: entry.schedule.zone().map(ToString::to_string),
        next: next.collect(),
    }
}

fn text(at: SystemTime) -> String {
    celeriac::schedule::text(at)
}
