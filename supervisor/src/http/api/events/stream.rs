//! One client's stream of events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use tokio::time::Interval;

use super::filter::{Filter, kind};
use crate::feed::{Change, Numbered};
use crate::http::Desk;
use crate::http::api::overview;
use crate::http::view::moment;

/// One client's stream: what it is owed, and what comes.
pub(super) struct Listener {
    desk: Desk,
    filter: Filter,
    /// Events that are due before those that come.
    due: VecDeque<Event>,
    changes: broadcast::Receiver<Arc<Numbered>>,
    overview: Interval,
    closing: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

/// How often the overview is told.
const OVERVIEW: Duration = Duration::from_secs(2);

impl Listener {
    pub(super) fn new(
        desk: Desk,
        filter: Filter,
        last: Option<Last>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let known = match last {
            Some(Last::Number(number)) => Some(number),
            _ => None,
        };
        let subscription = desk.board.feed.subscribe(known);
        let mut due = VecDeque::new();
        if matches!(last, Some(Last::BeforeStart)) {
            // How many there were died with the process that counted them.
            due.push_back(missed(None));
        }
        if subscription.missed > 0 {
            due.push_back(missed(Some(subscription.missed)));
        }
        let epoch = desk.live.epoch();
        let before = subscription.before.iter();
        let wanted = before.filter(|change| filter.takes(&change.change));
        due.extend(wanted.map(|change| event(epoch, change)));
        let mut overview = tokio::time::interval(OVERVIEW);
        overview.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self {
            closing: desk.live.closing(),
            desk,
            filter,
            due,
            changes: subscription.changes,
            overview,
            _place: place,
        }
    }

    /// Returns the next event; `None` when the stream ends.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.due.pop_front() {
                return Some(event);
            }
            tokio::select! {
                biased;
                // The sender lives in the desk that this stream holds.
                _ = self.closing.wait_for(|closing| *closing) => return None,
                change = self.changes.recv() => match change {
                    Ok(change) if self.filter.takes(&change.change) => {
                        return Some(event(self.desk.live.epoch(), &change));
                    }
                    Ok(_) => {}
                    Err(RecvError::Lagged(count)) => return Some(missed(Some(count))),
                    Err(RecvError::Closed) => return None,
                },
                _ = self.overview.tick(), if self.filter.takes_overview() => {
                    let view = overview::now(&self.desk);
                    let event = Event::default().event("overview");
                    return Some(event.json_data(view).unwrap_or_else(|_| missed(None)));
                }
            }
        }
    }
}

/// What a client says it got last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Number(u64),
    /// An event of a process that is gone.
    BeforeStart,
}

/// Reads the id of an event.
pub(super) fn number(id: &str, epoch: u64) -> Option<Last> {
    let (start, number) = id.split_once('-')?;
    let (start, number) = (start.parse::<u64>().ok()?, number.parse().ok()?);
    Some(if start == epoch {
        Last::Number(number)
    } else {
        Last::BeforeStart
    })
}

fn event(epoch: u64, change: &Numbered) -> Event {
    let event = Event::default()
        .event(kind(&change.change))
        .id(format!("{epoch}-{}", change.number));
    // JSON has no line ends of its own, and data of one line cannot be refused.
    event.data(data(change).to_string())
}

fn missed(count: Option<u64>) -> Event {
    let data = json!({ "count": count });
    Event::default().event("missed").data(data.to_string())
}

fn data(change: &Numbered) -> Value {
    let at = moment::of(change.at);
    match &change.change {
        Change::Task { id, name, state } => {
            json!({ "at": at, "id": &**id, "name": &**name, "state": state })
        }
        Change::Node { name, state } => json!({ "at": at, "name": name, "state": state }),
        Change::Queue { name, what } | Change::Schedule { name, what } => {
            json!({ "at": at, "name": name, "what": what })
        }
        Change::Letter { id, what } => json!({ "at": at, "id": id, "what": what }),
        Change::Audit { action, target } => {
            json!({ "at": at, "action": action, "target": target })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_this_process_are_told_from_others() {
        assert_eq!(number("7-12", 7), Some(Last::Number(12)));
        assert_eq!(number("6-12", 7), Some(Last::BeforeStart));
        for wrong in ["", "7", "7-", "-7", "x-1", "7-x"] {
            assert_eq!(number(wrong, 7), None, "{wrong}");
        }
    }
}
