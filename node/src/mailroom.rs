//! Remote control: what Celery's `inspect` and `control`, and Flower, ask of a node.

mod arguments;
mod command;
mod control;
mod inspect;
mod memory;
mod mingle;
mod report;
mod revoke;
mod stats;
mod tasks;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use celeriac::broker::{Consumer, Delivery, Exchange, ExchangeKind, Link, Publication};
use celeriac::clock;
use celeriac::health::Pulse;
use celeriac::protocol::Value;
use celeriac::protocol::control::{Reply, Request};
use celeriac::protocol::naming::{self, defaults};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub(crate) use self::memory::Samples;
use crate::private_queue::PrivateQueue;
use crate::shared::Shared;

/// How many requests are taken at once.
const BATCH: usize = 32;

/// How many replies are being sent at once; the next requests wait in the broker.
const REPLIES: usize = 256;

/// How many commands wait for a server, or are somebody's code, at once. They have places
/// of their own, so that a server that is away does not silence those who ask for signs
/// of life.
const SLOW: usize = 256;

/// A request with a larger body is not read: fifty thousand ids fit.
const MAX_BODY: usize = 4 << 20;

/// Answers remote control until it is stopped.
///
/// Runs apart from the data plane, so that it answers while tasks flood the node.
pub(crate) async fn listen(shared: Arc<Shared>, stop: CancellationToken, pulse: Pulse) {
    let queue = PrivateQueue {
        purpose: "remote control",
        name: naming::control_queue(shared.name()),
        exchange: Exchange::new(naming::CONTROL_EXCHANGE, ExchangeKind::Fanout).transient(),
        routing_key: String::new(),
        expires: defaults::CONTROL_QUEUE_EXPIRES,
        message_ttl: defaults::CONTROL_TTL,
        exclusive: true,
    };
    while let Some(consumer) = queue.subscribe(&shared, &stop, &pulse).await {
        answer_all(&shared, consumer, &stop, &pulse).await;
    }
}

async fn answer_all(
    shared: &Arc<Shared>,
    mut consumer: Box<dyn Consumer>,
    stop: &CancellationToken,
    pulse: &Pulse,
) {
    let places = Arc::new(Semaphore::new(REPLIES));
    let slow = Arc::new(Semaphore::new(SLOW));
    let mut link = shared.app.broker().link();
    let mut mingled = None;
    loop {
        // Only now that there is a consumer: what is revoked from here on arrives by
        // itself. And at each new connection, since it did not while there was none.
        let epoch = match *link.borrow_and_update() {
            Link::Up { epoch, .. } => Some(epoch),
            _ => None,
        };
        if epoch.is_some() && epoch != mingled {
            mingled = epoch;
            tokio::spawn(mingle::mingle(Arc::clone(shared)));
        }
        let deliveries = tokio::select! {
            () = stop.cancelled() => None,
            Ok(()) = link.changed() => continue,
            deliveries = pulse.during(consumer.next(BATCH)) => deliveries,
        };
        let Some(deliveries) = deliveries else { break };
        for delivery in deliveries {
            let Some((request, payload)) = answer(shared, &slow, delivery) else {
                continue;
            };
            // By itself: a caller's queue that is gone must not keep the next request
            // waiting.
            let shared = Arc::clone(shared);
            match payload {
                command::Reply::Now(payload) => {
                    let place = Arc::clone(&places).acquire_owned();
                    let Ok(place) = pulse.during(place).await else {
                        break;
                    };
                    tokio::spawn(async move {
                        tell(&shared, request, payload).await;
                        drop(place);
                    });
                }
                command::Reply::Later(payload, place) => {
                    tokio::spawn(async move {
                        tell(&shared, request, payload.await).await;
                        drop(place);
                    });
                }
            }
        }
    }
    if let Err(error) = consumer.cancel().await {
        tracing::debug!(%error, "cannot cancel remote control");
    }
}

async fn tell(shared: &Shared, request: Request, payload: Option<Value>) {
    if let Some(publication) = reply(shared, request, payload)
        && let Err(error) = shared.app.broker().publish(publication).await
    {
        tracing::debug!(%error, "cannot reply to remote control");
    }
}

/// Does what a delivery asks and returns what is to be replied, if this node is meant.
fn answer(
    shared: &Arc<Shared>,
    slow: &Arc<Semaphore>,
    delivery: Delivery,
) -> Option<(Request, command::Reply)> {
    delivery.receipt.acknowledge();
    if delivery.message.body.len() > MAX_BODY {
        let bytes = delivery.message.body.len();
        tracing::warn!(
            bytes,
            limit = MAX_BODY,
            "remote control request is too large; ignored"
        );
        return None;
    }
    let request = match Request::from_message(&delivery.message) {
        Ok(request) => request,
        Err(error) => {
            tracing::warn!(%error, "cannot read a remote control request; ignored");
            return None;
        }
    };
    shared.app.clock().adjust(request.clock);
    let now = clock::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64();
    if !request.addresses(shared.name()) || request.is_expired(now) {
        return None;
    }
    tracing::debug!(method = request.method, "remote control");
    let payload = command::run(shared, &request, slow);
    Some((request, payload))
}

/// Builds the reply, if there is something to say and somebody to say it to.
fn reply(shared: &Shared, request: Request, payload: Option<Value>) -> Option<Publication> {
    let (payload, to) = (payload?, request.reply_to?);
    let reply = Reply {
        node: shared.name().to_owned(),
        payload,
        ticket: request.ticket,
        clock: shared.app.clock().forward(),
    };
    let publication = Publication::to_exchange(to.exchange, to.routing_key, reply.to_message());
    Some(publication.unconfirmed())
}
