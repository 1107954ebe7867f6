//! Celery's native delayed delivery: the server holds messages until their time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use celeriac_protocol::naming::delay;

use super::topology::Remembered;
use crate::broker::{Binding, ExchangeKind, Publication, Topology};
use crate::error::{Error, Result};

/// How long a binding counts as there. Somebody may delete the queue and make it
/// again, and nothing tells; what is delayed without a binding is lost in the end.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// The most routes kept in mind.
const MOST: usize = 16_384;

/// Which ways out of the stair were made, and when.
#[derive(Debug, Default)]
pub(super) struct Routes(Mutex<HashMap<(String, String), Instant>>);

impl Routes {
    /// Tells whether the way to a target was made lately.
    pub(super) fn is_known(&self, publication: &Publication) -> bool {
        let routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        routes
            .get(&target(publication))
            .is_some_and(|made| made.elapsed() < GOOD_FOR)
    }

    /// Notes that it was made.
    pub(super) fn note(&self, publication: &Publication) {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if routes.len() >= MOST {
            routes.retain(|_, made| made.elapsed() < GOOD_FOR);
        }
        if routes.len() < MOST {
            routes.insert(target(publication), Instant::now());
        }
    }

    /// Forgets all, because a queue is gone.
    pub(super) fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

fn target(publication: &Publication) -> (String, String) {
    (
        publication.exchange.clone(),
        publication.routing_key.clone(),
    )
}

/// Returns for how many whole seconds the server is to hold a publication. The rest
/// of a second is for who receives it, and so is what exceeds the longest delay.
pub(super) fn seconds(not_before: Option<SystemTime>, now: SystemTime) -> Option<u32> {
    let left = not_before?.duration_since(now).ok()?.as_secs();
    let left = u32::try_from(left)
        .unwrap_or(u32::MAX)
        .min(delay::MAX_SECONDS);
    (left > 0).then_some(left)
}

/// Sends a publication into the stair instead.
pub(super) fn redirect(publication: &mut Publication, seconds: u32) {
    publication.routing_key = delay::delay_routing_key(seconds, &publication.routing_key);
    publication.exchange = delay::entry_exchange();
    publication.not_before = None;
}

/// Returns the way out of the stair to where a publication is meant to go.
///
/// A queue is bound to the way out itself, which works whatever its own exchange is.
/// What lies behind another exchange is for topic and fanout exchanges as Celery has
/// it; of a direct one the queues must be known, because the long routing key would
/// mean nothing to it.
///
/// # Errors
///
/// [`Error::Unsupported`] when nothing here was declared behind a direct exchange.
pub(super) fn way_out(publication: &Publication, remembered: &Remembered) -> Result<Topology> {
    let Publication {
        exchange,
        routing_key,
        ..
    } = publication;
    let way = |queue: &str| Binding::new(delay::DELIVERY_EXCHANGE, queue, exactly(routing_key));
    let mut bindings = Vec::new();
    if exchange.is_empty() {
        bindings.push(way(routing_key));
    } else {
        let (kind, queues) = remembered.of_exchange(exchange, routing_key);
        match kind {
            Some(ExchangeKind::Direct) if queues.is_empty() => {
                return Err(Error::Unsupported {
                    what: "a delayed message",
                    with: format!(
                        "the direct exchange {exchange:?} behind which no queue was declared here"
                    ),
                    instead: "declare the queue, or send to it by its name",
                });
            }
            Some(ExchangeKind::Direct) => bindings.extend(queues.iter().map(|queue| way(queue))),
            _ => {
                bindings.push(to_exchange(
                    delay::DELIVERY_EXCHANGE,
                    exchange,
                    delay::delivery_binding(routing_key),
                ));
                let second = |queue: &String| Binding::new(exchange, queue, exactly(routing_key));
                bindings.extend(queues.iter().map(second));
            }
        }
    }
    Ok(Topology {
        bindings,
        ..Topology::default()
    })
}

/// The pattern of a delayed routing key: every digit is a word. Unlike `#.<key>` it
/// does not also take what is meant for a key that ends the same after a dot.
fn exactly(routing_key: &str) -> String {
    format!("{}{routing_key}", "*.".repeat(delay::TOP as usize + 1))
}

fn to_exchange(from: &str, to: &str, key: String) -> Binding {
    Binding {
        to_exchange: true,
        ..Binding::new(from, to, key)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use celeriac_protocol::Message;

    use super::*;
    use crate::broker::Exchange;

    #[test]
    fn delays_are_cut_to_whole_seconds() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let after = |millis| seconds(Some(now + Duration::from_millis(millis)), now);
        assert_eq!(after(5_900), Some(5));
        assert_eq!(after(999), None);
        assert_eq!(after(u64::from(u32::MAX) * 2_000), Some(delay::MAX_SECONDS));
        assert_eq!(seconds(Some(now - Duration::from_secs(5)), now), None);
        assert_eq!(seconds(None, now), None);
    }

    #[test]
    fn a_queue_is_bound_to_the_way_out_itself() {
        let publication = Publication::to_queue("a.b", Message::default());
        let way = way_out(&publication, &Remembered::default()).unwrap();
        assert_eq!(way.bindings[0].destination, "a.b");
        assert!(way.bindings[0].key.ends_with("*.*.a.b"));
    }

    #[test]
    fn a_direct_exchange_needs_its_queues_known() {
        let publication = Publication::to_exchange("work", "key", Message::default());
        let mut remembered = Remembered::default();
        assert!(way_out(&publication, &remembered).unwrap().bindings[0].to_exchange);
        remembered.add(&Topology {
            exchanges: vec![Exchange::new("work", ExchangeKind::Direct)],
            ..Topology::default()
        });
        assert!(matches!(
            way_out(&publication, &remembered),
            Err(Error::Unsupported { .. })
        ));
        remembered.add(&Topology {
            bindings: vec![Binding::new("work", "q", "key")],
            ..Topology::default()
        });
        let way = way_out(&publication, &remembered).unwrap();
        assert_eq!(
            (way.bindings.len(), way.bindings[0].destination.as_str()),
            (1, "q")
        );
    }
}
