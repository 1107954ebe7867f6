//! Answers to workers that stand for election.

use std::sync::Arc;

use celeriac::broker::{Consumer, Exchange, ExchangeKind};
use celeriac::health::Pulse;
use celeriac::protocol::event::{Event, EventKind};
use celeriac::protocol::naming::{self, defaults};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::private_queue::PrivateQueue;
use crate::shared::Shared;

/// How many events are taken at once.
const BATCH: usize = 32;

/// Answers every candidate until it is stopped.
///
/// Celery's workers count each node whose heartbeat they hear, and an election among
/// them ends when as many answers have come. A node does not stand itself; and since
/// Celery compares candidates in pairs, nobody is elected where fewer than two Python
/// workers stand.
pub(crate) async fn answer(shared: Arc<Shared>, stop: CancellationToken, pulse: Pulse) {
    let queue = PrivateQueue {
        purpose: "answers to elections",
        name: naming::event_queue(&Uuid::new_v4().to_string()),
        exchange: Exchange::new(naming::EVENT_EXCHANGE, ExchangeKind::Topic),
        routing_key: naming::event_routing_key("worker-elect"),
        expires: defaults::EVENT_QUEUE_EXPIRES,
        message_ttl: defaults::EVENT_TTL,
        exclusive: false,
    };
    while let Some(consumer) = queue.subscribe(&shared, &stop, &pulse).await {
        answer_all(&shared, consumer, &stop, &pulse).await;
    }
}

async fn answer_all(
    shared: &Shared,
    mut consumer: Box<dyn Consumer>,
    stop: &CancellationToken,
    pulse: &Pulse,
) {
    loop {
        let deliveries = tokio::select! {
            () = stop.cancelled() => None,
            deliveries = pulse.during(consumer.next(BATCH)) => deliveries,
        };
        let Some(deliveries) = deliveries else { break };
        for delivery in deliveries {
            delivery.receipt.acknowledge();
            // Somebody else's words: what cannot be read is no candidate.
            for event in Event::decode_batch(&delivery.message.body).unwrap_or_default() {
                shared.app.clock().adjust(event.clock);
                if let EventKind::WorkerElect { id, .. } = event.kind {
                    super::say(shared, EventKind::WorkerElectAck { id }).await;
                }
            }
        }
    }
    if let Err(error) = consumer.cancel().await {
        tracing::debug!(%error, "cannot stop hearing of elections");
    }
}
