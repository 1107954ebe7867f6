//! Remote control: commands to every node, and their replies.

mod command;
mod custom;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use celeriac_protocol::Value;
pub use celeriac_protocol::control::{Matcher, Signal};
use celeriac_protocol::control::{Reply, ReplyTo, Request};
use celeriac_protocol::naming::{self, argument, defaults};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

pub use self::command::Command;
pub use self::custom::{Answer, Commands, Invocation};
use crate::app::App;
use crate::broker::{
    Binding, Broker, Exchange, ExchangeKind, Publication, Queue, Subscription, Topology,
};
use crate::error::Result;

/// No more replies than this are kept: a bound, not a limit.
const MAX_REPLIES: usize = 10_000;

/// How long replies are waited for when nobody says.
const WITHIN: Duration = Duration::from_secs(1);

/// The replies, by the name of the node.
pub type Replies = BTreeMap<String, Value>;

/// Sends remote control commands and collects the replies.
///
/// Commands reach every node that listens, Celery's workers among them; a node that is
/// away does not hear them. Who is meant and how long to wait is said first:
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn example(app: celeriac::App) -> celeriac::Result<()> {
/// use celeriac::control::{Command, Matcher, Signal};
///
/// let control = app.control().within(Duration::from_secs(2));
/// for (node, reply) in control.ask(Command::ping()).await? {
///     println!("{node}: {reply:?}");
/// }
/// let mail = app.control().matching(Matcher::Glob, "mail*@*");
/// mail.cast(Command::rate_limit("mail.send", "10/m")).await?;
/// app.control().to(["mail1@host"]).cast(Command::revoke(["an-id"]).terminate(Signal::KILL)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before ask or cast"]
pub struct Control {
    app: App,
    destination: Option<Vec<String>>,
    pattern: Option<(Matcher, String)>,
    within: Duration,
    limit: Option<usize>,
}

impl Control {
    pub(crate) const fn new(app: App) -> Self {
        Self {
            app,
            destination: None,
            pattern: None,
            within: WITHIN,
            limit: None,
        }
    }

    /// Means these nodes only, by their names. Without names all are meant.
    pub fn to(mut self, nodes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.destination = Some(nodes.into_iter().map(Into::into).collect());
        self
    }

    /// Means the nodes whose names match. Names that are given by [`Control::to`] go
    /// before.
    pub fn matching(mut self, matcher: Matcher, pattern: impl Into<String>) -> Self {
        self.pattern = Some((matcher, pattern.into()));
        self
    }

    /// Sets how long replies are waited for. Default 1 s.
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// Waits for so many replies at most. Default is as many as nodes are named, or all
    /// that come in time.
    pub const fn limit(mut self, replies: usize) -> Self {
        self.limit = Some(replies);
        self
    }

    /// Sends a command without replies.
    ///
    /// # Errors
    ///
    /// When the broker is out of reach.
    pub async fn cast(&self, command: Command) -> Result<()> {
        self.send(self.request(command)).await
    }

    /// Sends a command and collects the replies by the name of the node.
    ///
    /// # Errors
    ///
    /// When the broker is out of reach. No reply is no error.
    pub async fn ask(&self, command: Command) -> Result<Replies> {
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
        let ticket = Uuid::new_v4().to_string();
        let request = Request {
            ticket: Some(ticket.clone()),
            reply_to: Some(ReplyTo {
                exchange: naming::REPLY_EXCHANGE.to_owned(),
                routing_key: oid,
            }),
            expires: seconds_since_epoch(crate::clock::now() + self.within),
            ..self.request(command)
        };
        let replies = ReplyQueue::declare(self.app.broker(), &topology, &queue).await?;
        let collected = self.collect(request, &queue, &ticket).await;
        replies.delete().await;
        collected
    }

    fn request(&self, command: Command) -> Request {
        let (method, arguments) = command.into_parts();
        let (matcher, pattern) = self.pattern.clone().unzip();
        Request {
            method,
            arguments,
            destination: self.destination.clone(),
            pattern,
            matcher,
            ..Request::default()
        }
    }

    /// Returns how many replies are waited for.
    fn enough(&self) -> usize {
        // A list without names is no destination: nodes read it so too.
        let named = self.destination.as_ref().map(Vec::len);
        let named = named.filter(|count| *count > 0).unwrap_or(MAX_REPLIES);
        named
            .min(self.limit.unwrap_or(MAX_REPLIES))
            .min(MAX_REPLIES)
    }

    /// Sends a request and collects what answers its ticket on a queue.
    async fn collect(&self, request: Request, queue: &str, ticket: &str) -> Result<Replies> {
        let subscription = Subscription::unacknowledged(queue);
        let mut consumer = self.app.broker().consume(subscription).await?;
        self.send(request).await?;
        let deadline = Instant::now() + self.within;
        let (mut replies, enough) = (Replies::new(), self.enough());
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
                self.app.clock().adjust(reply.clock);
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

    async fn send(&self, mut request: Request) -> Result<()> {
        request.clock = self.app.clock().forward();
        let message = request.to_message();
        let exchange = Exchange::new(naming::CONTROL_EXCHANGE, ExchangeKind::Fanout).transient();
        let topology = Topology {
            exchanges: vec![exchange],
            ..Topology::default()
        };
        let broker = self.app.broker();
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

/// A span as queues take it.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
