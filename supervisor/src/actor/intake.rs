//! The Intake actor: subscribes to events and batches them to the Root.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use celeriac::App;
use celeriac::events::Events;
use celeriac::health::Pulse;
use celeriac_protocol::event::Event;

use super::backend::seconds;
use crate::beat::News;
use crate::board::Board;
use crate::cluster::Reading;
use crate::guardian::Ward;

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
    let pulse = board.progress.keep("intake");
    let mut wait = Duration::from_millis(250);
    loop {
        match pulse.during(app.events("#")).await {
            Ok(events) => {
                wait = Duration::from_millis(250);
                board.set_consuming(true);
                tracing::info!("events are being consumed");
                consume(&board, &root, &pulse, events).await;
                board.set_consuming(false);
                tracing::warn!("the stream of events ended; subscribing again");
            }
            Err(error) => tracing::warn!(%error, ?wait, "cannot subscribe to events yet"),
        }
        pulse.during(tokio::time::sleep(wait)).await;
        wait = (wait * 2).min(Duration::from_secs(10));
    }
}

async fn consume(board: &Board, root: &Recipient<Batch>, pulse: &Pulse, mut events: Events) {
    while let Some(heard) = pulse.during(events.next(MESSAGES)).await {
        let batch = read(board, heard);
        if batch.is_empty() {
            continue;
        }
        if pulse.during(root.send(Batch(batch))).await.is_err() {
            // The Root is gone, and this actor goes with it.
            return;
        }
    }
}

fn read(board: &Board, heard: Vec<celeriac::Result<Event>>) -> Vec<(String, Reading)> {
    let now = seconds(celeriac::clock::now());
    let mut readings = Vec::with_capacity(heard.len());
    for event in heard {
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
                tracing::debug!(%error, "an event could not be read");
            }
        }
    }
    board.metrics.events.inc_by(readings.len() as u64);
    readings
}
