//! Tells nodes that start which tasks they are not to try again.

use std::sync::Arc;
use std::time::Duration;

use celeriac::App;
use celeriac::broker::{
    Binding, Consumer, Delivery, Exchange, ExchangeKind, Publication, Queue, Subscription, Topology,
};
use celeriac::control::Command;
use celeriac::health::Pulse;
use celeriac_protocol::control::{PID, QUARANTINE, QUARANTINED, Reply, Request};
use celeriac_protocol::naming::{self, argument, defaults};
use celeriac_protocol::{Table, Value};

use crate::board::Board;

/// Answers the nodes that ask at their start what they missed, and tells those that run.
///
/// A task that ends its node at once leaves it no time to hear of anything: a node asks
/// before it runs what was delivered before, and this answers.
#[derive(Debug, Clone)]
pub(crate) struct Neighbour {
    app: App,
    board: Arc<Board>,
}

impl Neighbour {
    pub(crate) const fn new(app: App, board: Arc<Board>) -> Self {
        Self { app, board }
    }

    /// Answers for ever.
    pub(crate) async fn answer(self) {
        let pulse = self.board.progress.keep("neighbour");
        let mut wait = Duration::from_millis(250);
        loop {
            match pulse.during(self.subscribe()).await {
                Ok(consumer) => {
                    wait = Duration::from_millis(250);
                    self.consume(consumer, &pulse).await;
                }
                Err(error) => tracing::warn!(%error, "cannot answer nodes that start yet"),
            }
            pulse.during(tokio::time::sleep(wait)).await;
            wait = (wait * 2).min(Duration::from_secs(10));
        }
    }

    /// Tells the nodes of the cluster that tasks are not to be tried again. Celery's own
    /// workers would not understand.
    pub(crate) async fn tell(&self, ids: Vec<String>, reason: &str) {
        let ours = |node: &crate::cluster::Node| {
            let software = node.software.as_ref();
            !node.state.is_gone() && software.is_some_and(|software| software.ident == "celeriac")
        };
        let nodes = self.board.nodes_by_name().into_iter();
        let nodes: Vec<_> = nodes.filter(ours).map(|node| node.name).collect();
        tracing::warn!(
            ?ids,
            reason,
            "tasks are put away when they are delivered again"
        );
        if nodes.is_empty() {
            return;
        }
        let ids: Vec<Value> = ids.into_iter().map(Value::from).collect();
        let command = Command::new(QUARANTINE)
            .argument("ids", ids)
            .argument("reason", reason);
        if let Err(error) = self.app.control().to(nodes).cast(command).await {
            // They hear of it from the next that starts, or when they ask.
            tracing::warn!(%error, "nodes could not be told which tasks to put away");
        }
    }

    fn name(&self) -> String {
        format!("supervisor-{}@{}", self.app.oid(), celeriac::host::name())
    }

    async fn subscribe(&self) -> celeriac::Result<Box<dyn Consumer>> {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let name = naming::control_queue(&self.name());
        let exchange = Exchange::new(naming::CONTROL_EXCHANGE, ExchangeKind::Fanout).transient();
        let queue = Queue::private(&name)
            .argument(argument::EXPIRES, millis(defaults::CONTROL_QUEUE_EXPIRES))
            .argument(argument::MESSAGE_TTL, millis(defaults::CONTROL_TTL));
        let topology = Topology {
            bindings: vec![Binding::new(&exchange.name, &name, "")],
            exchanges: vec![exchange],
            queues: vec![queue],
        };
        let broker = self.app.broker();
        broker.declare(&topology).await?;
        let subscription = Subscription {
            exclusive: true,
            ..Subscription::unacknowledged(name)
        };
        broker.consume(subscription).await
    }

    async fn consume(&self, mut consumer: Box<dyn Consumer>, pulse: &Pulse) {
        while let Some(deliveries) = pulse.during(consumer.next(32)).await {
            for delivery in deliveries {
                if let Some(publication) = self.reply(delivery)
                    && let Err(error) = pulse.during(self.app.broker().publish(publication)).await
                {
                    tracing::debug!(%error, "cannot answer a node that starts");
                }
            }
        }
    }

    /// Builds the answer to a node of ours that starts; nobody else is answered.
    fn reply(&self, delivery: Delivery) -> Option<Publication> {
        delivery.receipt.acknowledge();
        let request = Request::from_message(&delivery.message).ok()?;
        let pid = request.arguments.get(PID).and_then(Value::as_i64)?;
        let to = request.reply_to.filter(|_| request.method == "hello")?;
        let node = request.arguments.get("from_node")?.as_str()?;
        let known = self.board.nodes.get(node).and_then(|node| node.pid);
        let mut crashes = self.board.crashes();
        if known.is_some_and(|known| known != pid) {
            // It says so here before its events do.
            crashes.restarted(node);
        }
        let quarantined = crashes.quarantined();
        let quarantined: Table = quarantined
            .map(|(id, reason)| (id.to_owned(), reason.into()))
            .collect();
        drop(crashes);
        if quarantined.is_empty() {
            return None;
        }
        let clock = self.app.clock().forward();
        let payload = [
            ("revoked".to_owned(), Value::Array(Vec::new())),
            (QUARANTINED.to_owned(), Value::Map(quarantined)),
            ("clock".to_owned(), clock.into()),
        ];
        let reply = Reply {
            node: self.name(),
            payload: Value::Map(payload.into_iter().collect()),
            ticket: request.ticket,
            clock,
        };
        let publication = Publication::to_exchange(to.exchange, to.routing_key, reply.to_message());
        Some(publication.unconfirmed())
    }
}
