//! The Survey actor: reads the depths of queues, in turns.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use actix::prelude::*;
use celeriac::App;
use celeriac::broker::QueueStatus;

use crate::board::{Board, Depth, Oldest, Source};
use crate::cluster::Trend;
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
    // As many as there are known queues, whose number is bounded.
    let mut trends = HashMap::<String, Trend>::new();
    loop {
        let waiting = board.history.waiting();
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
            let sent = waiting.get(&*name).map_or(&[][..], Vec::as_slice);
            let oldest = status.and_then(|status| oldest(status, sent));
            let now = Instant::now();
            let growth = match status {
                Some(status) => trends
                    .entry(name.clone())
                    .or_default()
                    .learn(now, status.ready),
                None => trends.remove(&name).and(None),
            };
            let depth = Depth {
                status: status.map(|status| (status.ready, status.consumers)),
                at: Some(now),
                unacked: status.and_then(|status| status.unacked),
                oldest,
                flow: None,
                growth,
            };
            if depth.status != known.status || known.at.is_none() {
                tracing::trace!(queue = name, ?status, "a queue's depth changed");
            }
            board.queues.insert(name, depth);
        }
        pulse.during(tokio::time::sleep(interval)).await;
    }
}

/// Returns since when the oldest message waits: as the broker says, else as the events of
/// clients tell. `sent` is when the tasks of the queue were sent that no node received,
/// newest first.
///
/// A queue hands out in order, so what waits are the newest; older ones that look as if
/// they waited are those whose event of reception was lost.
fn oldest(status: QueueStatus, sent: &[f64]) -> Option<Oldest> {
    if let Some(since) = status.oldest {
        let source = Source::Broker;
        return Some(Oldest { since, source });
    }
    let ready = usize::try_from(status.ready).unwrap_or(usize::MAX);
    let at = *sent.get(..ready.min(sent.len()))?.last()?;
    Some(Oldest {
        since: UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(at).ok()?)?,
        source: Source::Events,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_told_or_estimated_and_never_invented() {
        let status = |ready, oldest| QueueStatus {
            ready,
            oldest,
            ..QueueStatus::default()
        };
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let told = oldest(status(1, Some(at(5))), &[9.0]);
        assert_eq!(
            told.map(|oldest| (oldest.since, oldest.source)),
            Some((at(5), Source::Broker))
        );
        let sent = [30.0, 20.0, 10.0];
        for (ready, sent, expected) in [
            (0, &sent[..], None),
            (1, &sent, Some(30)),
            (2, &sent, Some(20)),
            (9, &sent, Some(10)),
            (9, &[], None),
        ] {
            let found = oldest(status(ready, None), sent);
            let expected = expected.map(|seconds| (at(seconds), Source::Events));
            assert_eq!(
                found.map(|oldest| (oldest.since, oldest.source)),
                expected,
                "{ready}"
            );
        }
    }
}
