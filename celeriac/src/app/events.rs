//! Events that an app publishes itself.

use std::sync::atomic::Ordering;
use std::time::Duration;

use celeriac_protocol::event::{Event, EventKind, TaskSent};
use celeriac_protocol::{TaskHeaders, naming};
use tokio::time::timeout;

use super::App;
use crate::broker::{Exchange, ExchangeKind, Publication, Topology};
use crate::clock;
use crate::error::{Error, Result};

/// How long the broker may take over what only monitors look at.
const PATIENCE: Duration = Duration::from_secs(1);

impl App {
    /// Publishes an event for monitors, such as Flower, under the name of a node or client.
    ///
    /// # Errors
    ///
    /// When the broker is out of reach, or does not take it within a second.
    ///
    /// # Delivery guarantee
    ///
    /// None: events may be lost.
    pub async fn send_event(&self, hostname: &str, kind: EventKind) -> Result<()> {
        let sending = async {
            if !self.0.events_declared.load(Ordering::Acquire) {
                let topology = Topology {
                    exchanges: vec![Exchange::new(naming::EVENT_EXCHANGE, ExchangeKind::Topic)],
                    ..Topology::default()
                };
                self.0.broker.declare(&topology).await?;
                self.0.events_declared.store(true, Ordering::Release);
            }
            let (pid, clock) = (std::process::id(), self.0.clock.forward());
            let event = Event::new(hostname, pid, clock, clock::now(), kind);
            let (key, message) = (event.routing_key().into_owned(), event.to_message());
            let publication = Publication::to_exchange(naming::EVENT_EXCHANGE, key, message);
            self.0.broker.publish(publication.unconfirmed()).await
        };
        timeout(PATIENCE, sending)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    /// Tells monitors what was sent. They can do without, so nothing fails by it.
    pub(super) async fn tell_sent(&self, publications: &[Publication]) {
        for publication in publications {
            let Ok(headers) = TaskHeaders::from_ref(&publication.message.headers) else {
                continue;
            };
            let kind = EventKind::TaskSent(Box::new(self.sent(publication, headers)));
            if let Err(error) = self.send_event(&self.0.defaults.origin, kind).await {
                tracing::debug!(%error, "monitors do not hear of what was sent");
                return;
            }
        }
    }

    fn sent(&self, publication: &Publication, headers: TaskHeaders) -> TaskSent {
        let exchange = &publication.exchange;
        let queue = match exchange.is_empty() {
            true => Some(publication.routing_key.clone()),
            false => {
                let mut behind = self.0.routing.queues.behind(exchange);
                behind.next().map(|queue| queue.name.clone())
            }
        };
        TaskSent {
            name: headers.display_name().to_owned(),
            root_id: Some(headers.root().to_owned()),
            eta: headers.eta.map(|eta| eta.to_string()),
            expires: headers.expires.map(|expires| expires.to_string()),
            uuid: headers.id,
            parent_id: headers.parent_id,
            args: headers.argsrepr,
            kwargs: headers.kwargsrepr,
            retries: headers.retries,
            queue,
            exchange: Some(exchange.clone()),
            routing_key: Some(publication.routing_key.clone()),
        }
    }
}

fn late() -> Error {
    Error::Timeout {
        what: "sending an event".to_owned(),
        after: PATIENCE,
    }
}
