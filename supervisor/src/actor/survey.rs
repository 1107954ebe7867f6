//! The Survey actor: reads the depths of queues, in turns.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix::prelude::*;
use celeriac::App;
use celeriac::broker::QueueStatus;

use crate::board::{Board, Depth, Oldest, Source};
use crate::cluster::Trend;
use crate::config::Config;
use crate::guardian::Ward;
use crate::management::{Address, Management, Told};

/// Reads the depths of the known queues, one after the other, at each interval.
///
/// Pages and metrics show what it wrote: no request of a user becomes one of the broker.
pub(crate) struct Survey {
    app: App,
    board: Arc<Board>,
    management: Option<Address>,
    interval: Duration,
    timeout: Duration,
    _ward: Ward,
}

/// The management API, which may be out of reach: then estimates do.
struct Aside {
    management: Management,
    /// What was wrong the last time, so that it is logged once.
    trouble: Option<String>,
    rest: Option<Instant>,
}

/// How long a management API is left alone that gave no answer.
const REST: Duration = Duration::from_secs(30);

impl Survey {
    pub(crate) fn new(app: App, board: Arc<Board>, config: &Config, ward: Ward) -> Self {
        Self {
            app,
            board,
            // The settings were checked before anything started.
            management: config.management().ok().flatten(),
            interval: config.queue_interval,
            timeout: config.broker_timeout,
            _ward: ward,
        }
    }
}

impl Actor for Survey {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (app, board) = (self.app.clone(), Arc::clone(&self.board));
        let aside = self.management.as_ref();
        let aside = aside.and_then(|address| Aside::new(address, &app, self.timeout));
        ctx.spawn(run(app, board, aside, self.interval, self.timeout).into_actor(self));
    }
}

impl Aside {
    fn new(address: &Address, app: &App, timeout: Duration) -> Option<Self> {
        match Management::new(address, &app.broker().url(), timeout) {
            Ok(management) => Some(Self {
                management,
                trouble: None,
                rest: None,
            }),
            Err(error) => {
                tracing::warn!(%error, "management_url is of no use");
                None
            }
        }
    }

    async fn ask(&mut self, names: &[String]) -> HashMap<String, Told> {
        if names.is_empty() || self.rest.is_some_and(|until| Instant::now() < until) {
            return HashMap::new();
        }
        match self.management.ask(names).await {
            Ok(told) => {
                if self.trouble.take().is_some() {
                    tracing::info!("the broker's management answers again");
                }
                told
            }
            Err(error) => {
                self.rest = Some(Instant::now() + REST);
                if self.trouble.as_ref() != Some(&error) {
                    tracing::warn!(
                        %error,
                        "the broker's management tells nothing; ages of messages are estimated"
                    );
                    self.trouble = Some(error);
                }
                HashMap::new()
            }
        }
    }
}

async fn run(
    app: App,
    board: Arc<Board>,
    mut aside: Option<Aside>,
    interval: Duration,
    timeout: Duration,
) {
    let pulse = board.progress.keep("survey");
    // As many as there are known queues, whose number is bounded.
    let mut trends = HashMap::<String, Trend>::new();
    loop {
        let waiting = board.history.waiting();
        let queues = board.queues_by_name();
        let mut told = match &mut aside {
            Some(aside) => {
                let exist = queues.iter().filter(|(_, depth)| depth.status.is_some());
                let names: Vec<_> = exist.map(|(name, _)| name.clone()).collect();
                pulse.during(aside.ask(&names)).await
            }
            None => HashMap::new(),
        };
        for (name, known) in queues {
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
            let told = told.remove(&name).unwrap_or_default();
            let oldest = status.and_then(|status| oldest(status, told.oldest, sent));
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
                unacked: status.and_then(|status| status.unacked).or(told.unacked),
                oldest,
                memory: told.memory,
                flow: told.flow,
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

/// Returns since when the oldest message waits: as the broker says, else as its sender
/// stamped it, else as the events of clients tell. `sent` is when the tasks of the queue
/// were sent that no node received, newest first.
///
/// A queue hands out in order, so what waits are the newest; older ones that look as if
/// they waited are those whose event of reception was lost.
fn oldest(status: QueueStatus, stamp: Option<SystemTime>, sent: &[f64]) -> Option<Oldest> {
    if let Some(since) = status.oldest {
        let source = Source::Broker;
        return Some(Oldest { since, source });
    }
    // The management's figures are some seconds old: an empty queue has no oldest message.
    if let Some(since) = stamp.filter(|_| status.ready > 0) {
        let source = Source::Management;
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
        let told = oldest(status(1, Some(at(5))), Some(at(7)), &[9.0]);
        assert_eq!(
            told.map(|oldest| (oldest.since, oldest.source)),
            Some((at(5), Source::Broker))
        );
        let stamped = |ready| {
            let found = oldest(status(ready, None), Some(at(7)), &[9.0]);
            found.map(|oldest| (oldest.since, oldest.source))
        };
        assert_eq!(stamped(1), Some((at(7), Source::Management)));
        assert_eq!(stamped(0), None);
        let sent = [30.0, 20.0, 10.0];
        for (ready, sent, expected) in [
            (0, &sent[..], None),
            (1, &sent, Some(30)),
            (2, &sent, Some(20)),
            (9, &sent, Some(10)),
            (9, &[], None),
        ] {
            let found = oldest(status(ready, None), None, sent);
            let expected = expected.map(|seconds| (at(seconds), Source::Events));
            assert_eq!(
                found.map(|oldest| (oldest.since, oldest.source)),
                expected,
                "{ready}"
            );
        }
    }
}
