//! Queues of a node's own, beside those of its tasks.

use std::sync::Arc;
use std::time::Duration;

use celeriac::broker::{Binding, Consumer, Exchange, Queue, Subscription, Topology};
use celeriac::health::Pulse;
use celeriac::protocol::naming::argument;
use celeriac::retry::Backoff;
use celeriac::{Error, Result};
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

/// How long to wait before a consumer that could not start is tried again.
const RETRY: Backoff = Backoff::new(Duration::from_millis(100))
    .max(Duration::from_secs(5))
    .exact();

/// A queue that is there for as long as the node hears it.
///
/// ```text
/// Subscribing --consumer is up--> Listening --stream ended--> Subscribing ...
///     ^  |
///     +--+ failed: wait, doubling up to 5 s, for ever
/// ```
#[derive(Debug)]
pub(crate) struct PrivateQueue {
    /// What does not work without it, for the log.
    pub(crate) purpose: &'static str,
    pub(crate) name: String,
    pub(crate) exchange: Exchange,
    pub(crate) routing_key: String,
    /// It goes after so long without a consumer.
    pub(crate) expires: Duration,
    /// Messages wait so long at most.
    pub(crate) message_ttl: Duration,
    /// No other connection may consume it.
    pub(crate) exclusive: bool,
}

impl PrivateQueue {
    /// Declares and consumes the queue, trying for ever; `None` when the node stops or the
    /// broker is closed. The consumer lives through reconnects by itself.
    pub(crate) async fn subscribe(
        &self,
        shared: &Shared,
        stop: &CancellationToken,
        pulse: &Pulse,
    ) -> Option<Box<dyn Consumer>> {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let subscribed = tokio::select! {
                subscribed = pulse.during(self.consume(shared)) => subscribed,
                () = stop.cancelled() => return None,
            };
            match subscribed {
                Ok(consumer) => return Some(consumer),
                Err(Error::Closed(_)) => return None,
                // The operator is told once; what follows says the same.
                Err(error) if failures == 0 => {
                    tracing::warn!(%error, "no {}; trying again", self.purpose);
                }
                Err(error) => tracing::debug!(%error, "no {}; trying again", self.purpose),
            }
            let wait = RETRY.delay(failures, 0.0);
            failures = failures.saturating_add(1);
            tokio::select! {
                () = pulse.during(tokio::time::sleep(wait)) => {}
                () = stop.cancelled() => {}
            }
        }
        None
    }

    async fn consume(&self, shared: &Shared) -> Result<Box<dyn Consumer>> {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let queue = Queue::private(&self.name)
            .argument(argument::EXPIRES, millis(self.expires))
            .argument(argument::MESSAGE_TTL, millis(self.message_ttl));
        let topology = Topology {
            bindings: vec![Binding::new(
                &self.exchange.name,
                &self.name,
                &self.routing_key,
            )],
            exchanges: vec![self.exchange.clone()],
            queues: vec![queue],
        };
        let broker = Arc::clone(shared.app.broker());
        broker.declare(&topology).await?;
        let subscription = Subscription {
            exclusive: self.exclusive,
            ..Subscription::unacknowledged(self.name.clone())
        };
        broker.consume(subscription).await
    }
}
