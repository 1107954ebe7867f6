//! Answers to workers that stand for election.

use std::sync::Arc;
use std::time::Duration;

use celeriac::Result;
use celeriac::broker::{Binding, Consumer, Exchange, ExchangeKind, Queue, Subscription, Topology};
use celeriac::protocol::event::{Event, EventKind};
use celeriac::protocol::naming::{self, argument, defaults};
use celeriac::retry::Backoff;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::pulse::Pulse;
use crate::shared::Shared;

/// How long to wait before a consumer that could not start is tried again.
const RETRY: Backoff = Backoff::new(Duration::from_millis(100))
    .max(Duration::from_secs(30))
    .exact();

/// How many events are taken at once.
const BATCH: usize = 32;

/// Answers every candidate until it is stopped.
///
/// Celery's workers count each node whose heartbeat they hear, and an election among
/// them ends when as many answers have come. A node does not stand itself; and since
/// Celery compares candidates in pairs, nobody is elected where fewer than two Python
/// workers stand.
pub(crate) async fn answer(shared: Arc<Shared>, stop: CancellationToken, pulse: Arc<Pulse>) {
    let mut failures = 0;
    while !stop.is_cancelled() {
        let subscribed = tokio::select! {
            subscribed = pulse.during(subscribe(&shared)) => subscribed,
            () = stop.cancelled() => return,
        };
        match subscribed {
            Ok(consumer) => {
                failures = 0;
                answer_all(&shared, consumer, &stop, &pulse).await;
            }
            Err(celeriac::Error::Closed(_)) => return,
            Err(error) => {
                tracing::debug!(%error, "no elections are heard of; trying again");
                let wait = RETRY.delay(failures, 0.0);
                failures = failures.saturating_add(1);
                tokio::select! {
                    () = pulse.during(tokio::time::sleep(wait)) => {}
                    () = stop.cancelled() => return,
                }
            }
        }
    }
}

async fn subscribe(shared: &Shared) -> Result<Box<dyn Consumer>> {
    let queue = naming::event_queue(&Uuid::new_v4().to_string());
    let key = naming::event_routing_key("worker-elect");
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let topology = Topology {
        exchanges: vec![Exchange::new(naming::EVENT_EXCHANGE, ExchangeKind::Topic)],
        queues: vec![
            Queue::private(&queue)
                .argument(argument::EXPIRES, millis(defaults::EVENT_QUEUE_EXPIRES))
                .argument(argument::MESSAGE_TTL, millis(defaults::EVENT_TTL)),
        ],
        bindings: vec![Binding::new(naming::EVENT_EXCHANGE, &queue, &key)],
    };
    let broker = shared.app.broker();
    broker.declare(&topology).await?;
    broker.consume(Subscription::unacknowledged(queue)).await
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
