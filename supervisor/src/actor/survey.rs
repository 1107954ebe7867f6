//! The Survey actor: reads the depths of queues, in turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use celeriac::App;

use crate::board::{Board, Depth, Oldest, Source};
use crate::guardian::Ward;

/// Reads the depths of the known queues, one after the other, at each interval.
///
/// Pages and metrics show what it wrote: no request of a user becomes one of the broker.
pub(crate) struct Survey {
    app: App,
    board: Arc<Board>,
    interval: Duration,
    timeout: Duration,
    _ward: Ward,
}

impl Survey {
    pub(crate) fn new(
        app: App,
        board: Arc<Board>,
        interval: Duration,
        timeout: Duration,
        ward: Ward,
    ) -> Self {
        Self {
            app,
            board,
            interval,
            timeout,
            _ward: ward,
        }
    }
}

impl Actor for Survey {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (app, board) = (self.app.clone(), Arc::clone(&self.board));
        ctx.spawn(run(app, board, self.interval, self.timeout).into_actor(self));
    }
}

async fn run(app: App, board: Arc<Board>, interval: Duration, timeout: Duration) {
    let pulse = board.progress.pulse("survey");
    loop {
        for (name, known) in board.queues_by_name() {
            if !app.broker().link().borrow().is_up() {
                break;
            }
            let question = tokio::time::timeout(timeout, app.broker().queue(&name));
            let status = match pulse.during(question).await {
                Ok(Ok(status)) => status,
                // What was known stays, with its age.
                Ok(Err(error)) => {
                    tracing::debug!(queue = name, %error, "the depth of a queue is not known");
                    continue;
                }
                Err(_) => {
                    tracing::debug!(
                        queue = name,
                        "the broker did not tell a queue's depth in time"
                    );
                    continue;
                }
            };
            let oldest = status.and_then(|status| status.oldest);
            let depth = Depth {
                status: status.map(|status| (status.ready, status.consumers)),
                at: Some(Instant::now()),
                unacked: status.and_then(|status| status.unacked),
                oldest: oldest.map(|since| Oldest {
                    since,
                    source: Source::Broker,
                }),
                flow: None,
            };
            if depth.status != known.status || known.at.is_none() {
                tracing::trace!(queue = name, ?status, "a queue's depth changed");
            }
            board.queues.insert(name, depth);
        }
        pulse.during(tokio::time::sleep(interval)).await;
    }
}
