//! The Intake actor: subscribes to events and batches them to the Root.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use celeriac::App;
use celeriac::broker::{
    Binding, Broker, Consumer, Delivery, Exchange, ExchangeKind, Queue, Subscription, Topology,
};
use celeriac_protocol::event::Event;
use celeriac_protocol::naming::{self, argument};
use celeriac_protocol::{Value, json};
use uuid::Uuid;

use super::backend::seconds;
use crate::beat::News;
use crate::board::Board;
use crate::cluster::Reading;
use crate::guardian::Ward;
use crate::progress::Pulse;

/// Subscribes to events and batches them to the Root.
///
/// ```text
///  Subscribing --consumer is up--> Consuming --stream ended--> Subscribing ...
///       ^  |
///       +--+ failed: wait, doubling up to 10 s, for ever
/// ```
///
/// The next messages are taken only after the Root has the last batch: what comes
/// faster than it can be read waits in the broker's queue and, past five seconds,
/// expires there.
pub(crate) struct Intake {
    app: App,
    board: Arc<Board>,
    root: Recipient<Batch>,
    _ward: Ward,
}

/// What came in, in order, with who said it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Batch(pub(crate) Vec<(String, Reading)>);

/// How many messages make a batch at most.
const MESSAGES: usize = 256;
/// The most bytes of an event message; larger ones are not looked at.
const MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// What Celery sets on queues of this kind, in milliseconds.
const QUEUE_EXPIRES: i64 = 60_000;
const MESSAGE_TTL: i64 = 5_000;

impl Intake {
    pub(crate) fn new(app: App, board: Arc<Board>, root: Recipient<Batch>, ward: Ward) -> Self {
        Self {
            app,
            board,
            root,
            _ward: ward,
        }
    }
}

impl Actor for Intake {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (app, board, root) = (self.app.clone(), Arc::clone(&self.board), self.root.clone());
        // In this context and not as a task of its own: it ends with the actor, and its
        // panic is the actor's.
        ctx.spawn(run(app, board, root).into_actor(self));
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.board.set_consuming(false);
    }
}

async fn run(app: App, board: Arc<Board>, root: Recipient<Batch>) {
    let pulse = board.progress.pulse("intake");
    let mut wait = Duration::from_millis(250);
    loop {
        match pulse.during(subscribe(app.broker().as_ref())).await {
            Ok(consumer) => {
                wait = Duration::from_millis(250);
                board.set_consuming(true);
                tracing::info!("events are being consumed");
                consume(&board, &root, &pulse, consumer).await;
                board.set_consuming(false);
                tracing::warn!("the stream of events ended; subscribing again");
            }
            Err(error) => tracing::warn!(%error, ?wait, "cannot subscribe to events yet"),
        }
        pulse.during(tokio::time::sleep(wait)).await;
        wait = (wait * 2).min(Duration::from_secs(10));
    }
}

async fn subscribe(broker: &dyn Broker) -> celeriac::Result<Box<dyn Consumer>> {
    let queue = naming::event_queue(&Uuid::new_v4().to_string());
    let topology = Topology {
        exchanges: vec![Exchange::new(naming::EVENT_EXCHANGE, ExchangeKind::Topic)],
        queues: vec![
            Queue::private(&queue)
                .argument(argument::EXPIRES, QUEUE_EXPIRES)
                .argument(argument::MESSAGE_TTL, MESSAGE_TTL),
        ],
        bindings: vec![Binding::new(naming::EVENT_EXCHANGE, &queue, "#")],
    };
    broker.declare(&topology).await?;
    broker
        .consume(Subscription {
            exclusive: true,
            ..Subscription::unacknowledged(queue)
        })
        .await
}

async fn consume(
    board: &Board,
    root: &Recipient<Batch>,
    pulse: &Pulse,
    mut consumer: Box<dyn Consumer>,
) {
    while let Some(deliveries) = pulse.during(consumer.next(MESSAGES)).await {
        let batch = read(board, deliveries);
        if batch.is_empty() {
            continue;
        }
        if pulse.during(root.send(Batch(batch))).await.is_err() {
            // The Root is gone, and this actor goes with it.
            return;
        }
    }
}

fn read(board: &Board, deliveries: Vec<Delivery>) -> Vec<(String, Reading)> {
    let now = seconds(celeriac::clock::now());
    let mut readings = Vec::with_capacity(deliveries.len() * 4);
    for delivery in deliveries {
        delivery.receipt.acknowledge();
        for event in events(&delivery.message.body) {
            match event {
                Ok(event) => {
                    board
                        .metrics
                        .event_lag
                        .observe((now - event.timestamp).max(0.0));
                    if let Some(news) = News::of(&event) {
                        board.beat.hear(news);
                        continue;
                    }
                    readings.push((event.hostname.clone(), Reading::of(event)));
                }
                Err(error) => {
                    board.metrics.events_malformed.inc();
                    tracing::debug!(error, "an event could not be read");
                }
            }
        }
    }
    board.metrics.events.inc_by(readings.len() as u64);
    readings
}

/// Reads each event by itself: a bad one does not take its neighbours along.
fn events(body: &[u8]) -> Vec<Result<Event, String>> {
    if body.len() > MESSAGE_BYTES {
        return vec![Err(format!(
            "expected at most {MESSAGE_BYTES} bytes, found {}",
            body.len()
        ))];
    }
    let read = |value| Event::from_value(value).map_err(|error| error.to_string());
    match json::from_slice(body, "event") {
        Ok(Value::Array(values)) => values.into_iter().map(read).collect(),
        Ok(value) => vec![read(value)],
        Err(error) => vec![Err(error.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_event_does_not_take_its_neighbours_along() {
        let body = br#"[{"type":"task-started","uuid":"a","hostname":"w","timestamp":1},
            17, {"type":"task-started","hostname":"w","timestamp":1},
            {"type":"task-started","uuid":"b","hostname":"w","timestamp":1}]"#;
        let read: Vec<bool> = events(body).iter().map(Result::is_ok).collect();
        assert_eq!(read, [true, false, false, true]);
        for garbage in [&b""[..], b"\xff\xfe", b"{", b"[[[[", b"null"] {
            assert!(events(garbage).iter().all(Result::is_err), "{garbage:?}");
        }
        assert!(events(&vec![b' '; MESSAGE_BYTES + 1])[0].is_err());
    }
}
