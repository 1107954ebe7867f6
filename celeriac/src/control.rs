//! Remote control: requests to every node, and their replies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use celeriac_protocol::control::{Reply, ReplyTo, Request};
use celeriac_protocol::naming::{self, argument, defaults};
use celeriac_protocol::{Table, Value};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::app::App;
use crate::broker::{
    Binding, Broker, Exchange, ExchangeKind, Publication, Queue, Subscription, Topology,
};
use crate::error::Result;

/// No more replies than this are kept: a bound, not a limit.
const MAX_REPLIES: usize = 10_000;

/// Sends remote control requests and collects the replies.
///
/// Requests reach every node that listens, Celery's workers among them; a node that is
/// away does not hear them.
#[derive(Debug, Clone)]
pub struct Control(App);

impl Control {
    pub(crate) const fn new(app: App) -> Self {
        Self(app)
    }

    /// Sends a request to all nodes, or to those in `destination`, without replies.
    ///
    /// # Errors
    ///
    /// When the broker is out of reach.
    pub async fn cast(
        &self,
        method: &str,
        arguments: Table,
        destination: Option<Vec<String>>,
    ) -> Result<()> {
        self.send(Request {
            method: method.to_owned(),
            arguments,
            destination,
            ..Request::default()
        })
        .await
    }

    /// Sends a request and collects replies by node name, until `within` has passed or
    /// as many replied as are named in `destination`.
    ///
    /// # Errors
    ///
    /// When the broker is out of reach. No reply is no error.
    pub async fn ask(
        &self,
        method: &str,
        arguments: Table,
        destination: Option<Vec<String>>,
        within: Duration,
    ) -> Result<BTreeMap<String, Value>> {
        // A queue of this call's own: replies to an earlier call cannot be taken for
        // replies to this one, and nothing is left behind.
        let oid = Uuid::new_v4().to_string();
        let queue = naming::reply_queue(&oid);
        let topology = Topology {
            exchanges: vec![
                Exchange::new(naming::REPLY_EXCHANGE, ExchangeKind::Direct).transient(),
            ],
            queues: vec![
                Queue::private(&queue)
                    .argument(argument::EXPIRES, millis(defaults::CONTROL_QUEUE_EXPIRES))
                    .argument(argument::MESSAGE_TTL, millis(defaults::CONTROL_TTL)),
            ],
            bindings: vec![Binding::new(naming::REPLY_EXCHANGE, &queue, &oid)],
        };
        // A list without names is no destination: nodes read it so too.
        let named = destination
            .as_ref()
            .map(Vec::len)
            .filter(|count| *count > 0);
        let enough = named.unwrap_or(MAX_REPLIES).min(MAX_REPLIES);
        let ticket = Uuid::new_v4().to_string();
        let request = Request {
            method: method.to_owned(),
            arguments,
            destination,
            ticket: Some(ticket.clone()),
            reply_to: Some(ReplyTo {
                exchange: naming::REPLY_EXCHANGE.to_owned(),
                routing_key: oid,
            }),
            expires: seconds_since_epoch(crate::clock::now() + within),
            ..Request::default()
        };
        let replies = ReplyQueue::declare(self.0.broker(), &topology, &queue).await?;
        let collected = self.collect(request, &queue, &ticket, enough, within).await;
        replies.delete().await;
        collected
    }

    /// Sends a request and collects what answers its ticket on a queue.
    async fn collect(
        &self,
        request: Request,
        queue: &str,
        ticket: &str,
        enough: usize,
        within: Duration,
    ) -> Result<BTreeMap<String, Value>> {
        let subscription = Subscription::unacknowledged(queue);
        let mut consumer = self.0.broker().consume(subscription).await?;
        self.send(request).await?;
        let deadline = Instant::now() + within;
        let mut replies = BTreeMap::new();
        while replies.len() < enough {
            let Ok(Some(deliveries)) = timeout_at(deadline, consumer.next(64)).await else {
                break;
            };
            for delivery in deliveries {
                delivery.receipt.acknowledge();
                // Somebody else's words: what cannot be read is no reply.
                let Ok(reply) = Reply::from_message(&delivery.message) else {
                    continue;
                };
                self.0.clock().adjust(reply.clock);
                if reply.ticket.as_deref() == Some(ticket) {
                    replies.insert(reply.node, reply.payload);
                }
            }
        }
        if let Err(error) = consumer.cancel().await {
            tracing::warn!(queue, %error, "could not cancel the consumer of replies");
        }
        Ok(replies)
    }

    /// Calls tasks off; with `terminate` nodes stop those that run.
    ///
    /// # Errors
    ///
    /// When the broker is out of reach.
    pub async fn revoke(&self, ids: &[String], terminate: bool) -> Result<()> {
        let ids: Vec<Value> = ids.iter().map(|id| Value::from(id.as_str())).collect();
        let mut arguments = Table::new();
        arguments.push("task_id", ids);
        arguments.push("terminate", terminate);
        arguments.push("signal", "SIGTERM");
        self.cast("revoke", arguments, None).await
    }

    async fn send(&self, mut request: Request) -> Result<()> {
        request.clock = self.0.clock().forward();
        let message = request.to_message();
        let exchange = Exchange::new(naming::CONTROL_EXCHANGE, ExchangeKind::Fanout).transient();
        let topology = Topology {
            exchanges: vec![exchange],
            ..Topology::default()
        };
        let broker = self.0.broker();
        broker.declare(&topology).await?;
        broker
            .publish(Publication::to_exchange(
                naming::CONTROL_EXCHANGE,
                "",
                message,
            ))
            .await
    }
}

/// The queue of one call's replies.
///
/// The server deletes it after its consumer, but the broker's client would declare it
/// again at every reconnect. So it is deleted by name, also when the call is dropped.
struct ReplyQueue {
    broker: Arc<dyn Broker>,
    /// `None` when it is deleted already.
    name: Option<String>,
}

impl ReplyQueue {
    async fn declare(broker: &Arc<dyn Broker>, topology: &Topology, name: &str) -> Result<Self> {
        let queue = Self {
            broker: Arc::clone(broker),
            name: Some(name.to_owned()),
        };
        broker.declare(topology).await?;
        Ok(queue)
    }

    async fn delete(mut self) {
        if let Some(name) = &self.name {
            forget(&*self.broker, name).await;
            self.name = None;
        }
    }
}

impl Drop for ReplyQueue {
    fn drop(&mut self) {
        // Without a runtime the process ends, and the connection with all it has.
        if let (Some(name), Ok(runtime)) = (self.name.take(), Handle::try_current()) {
            let broker = Arc::clone(&self.broker);
            runtime.spawn(async move { forget(&*broker, &name).await });
        }
    }
}

/// Deletes a queue of replies. Those that came count, whatever becomes of the queue.
async fn forget(broker: &dyn Broker, queue: &str) {
    if let Err(error) = broker.delete_queue(queue).await {
        tracing::warn!(queue, %error, "could not delete a queue of replies");
    }
}

fn seconds_since_epoch(time: SystemTime) -> Option<f64> {
    time.duration_since(UNIX_EPOCH)
        .ok()
        .map(|since| since.as_secs_f64())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
