//! What leaders tell each other by events: who leads, and which ticks were sent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use celeriac::App;
use celeriac_protocol::event::{Event, EventKind};
use celeriac_protocol::{Table, Value};

use super::book::Sent;

/// What a leader says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) name: String,
    /// Where its API is, if it says so.
    pub(crate) url: Option<String>,
    pub(crate) term: u64,
    /// Which store it has.
    pub(crate) store: Option<String>,
    /// Since when it leads.
    pub(crate) since: SystemTime,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    Leads(Leader),
    Sent(String, Sent),
}

const LEADS: &str = "beat-leader";
const SENT: &str = "beat-tick";
/// Texts of others are cut to this many bytes.
const TEXT: usize = 512;

impl News {
    /// Reads an event; `None` when it is about something else.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        let EventKind::Other { kind, fields } = &event.kind else {
            return None;
        };
        let text = |name: &str| {
            let text = fields.get(name).and_then(Value::as_str);
            text.filter(|text| text.len() <= TEXT).map(str::to_owned)
        };
        let number = |name: &str| fields.get(name).and_then(Value::as_i64);
        let moment = |name: &str| {
            let micros = u64::try_from(number(name)?).ok()?;
            UNIX_EPOCH.checked_add(Duration::from_micros(micros))
        };
        let term = u64::try_from(number("term")?).ok()?;
        match kind.as_str() {
            LEADS => Some(Self::Leads(Leader {
                name: event.hostname.chars().take(TEXT).collect(),
                url: text("url"),
                term,
                store: text("store"),
                since: moment("since")?,
            })),
            SENT => {
                let sent = Sent {
                    tick: moment("tick")?,
                    at: moment("at")?,
                    task_id: text("uuid")?,
                    term,
                };
                Some(Self::Sent(text("entry")?, sent))
            }
            _ => None,
        }
    }

    /// Tells everybody. Nothing depends on its arrival.
    pub(crate) async fn tell(self, app: &App, name: &str) {
        let mut fields = Table::new();
        let micros = |at: SystemTime| {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            Value::Int(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
        };
        let number = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
        let kind = match self {
            Self::Leads(leader) => {
                for (name, text) in [("url", leader.url), ("store", leader.store)] {
                    if let Some(text) = text {
                        fields.insert(name, text);
                    }
                }
                fields.insert("since", micros(leader.since));
                fields.insert("term", number(leader.term));
                LEADS
            }
            Self::Sent(entry, sent) => {
                fields.insert("entry", entry);
                fields.insert("uuid", sent.task_id);
                fields.insert("tick", micros(sent.tick));
                fields.insert("at", micros(sent.at));
                fields.insert("term", number(sent.term));
                SENT
            }
        };
        let kind = kind.to_owned();
        let event = EventKind::Other { kind, fields };
        if let Err(error) = app.send_event(name, event).await {
            tracing::debug!(%error, "other supervisors do not hear of a tick");
        }
    }
}
