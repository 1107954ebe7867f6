//! Remote control: requests to every node, and their replies.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use celeriac_protocol::control::{Reply, ReplyTo, Request};
use celeriac_protocol::naming::{self, argument, defaults};
use celeriac_protocol::{Table, Value};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::app::App;
use crate::broker::{Binding, Exchange, ExchangeKind, Publication, Queue, Subscription, Topology};
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
        let broker = self.0.broker();
        broker.declare(&topology).await?;
        let replies = self.collect(request, &queue, &ticket, enough, within).await;
        // It would go with its consumer; this makes the broker's client forget it too,
        // which would declare it again after a reconnect.
        let gone = broker.delete_queue(&queue).await;
        let replies = replies?;
        gone?;
        Ok(replies)
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
        consumer.cancel().await?;
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

fn seconds_since_epoch(time: SystemTime) -> Option<f64> {
    time.duration_since(UNIX_EPOCH)
        .ok()
        .map(|since| since.as_secs_f64())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
