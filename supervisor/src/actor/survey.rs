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
/// Those that somebody scales by are read in between.
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
/// How often queues are read of whose changes somebody is to be told.
const FOLLOW: Duration = Duration::from_millis(500);

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
        let (app, board) = (self.app.clone(), Arc::clone(&self.board));
        ctx.spawn(follow(app, board, self.timeout).into_actor(self));
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
        // Nodes of ours say it themselves.
        if board.nodes.iter().any(|node| node.reserved.is_none()) {
            board.set_held(board.history.received());
        }
        let mut queues = board.queues_by_name();
        for name in board.demand.names() {
            if !board.queues.contains_key(&name) {
                let known = board.demand.depth(&name).unwrap_or_default();
                queues.push((name, known));
            }
        }
        queues.sort_by(|a, b| a.0.cmp(&b.0));
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
            // What was known stays, with its age, when the broker does not tell.
            let Some(status) = pulse.during(ask(&app, &name, timeout)).await else {
                continue;
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
            let mut depth = Depth {
                oldest,
                memory: told.memory,
                flow: told.flow,
                growth,
                unacked: told.unacked,
                busy: board.depth(&name).and_then(|known| known.busy),
                ..Depth::default()
            };
            depth.hear(status, now);
            if depth.status != known.status || known.at.is_none() {
                tracing::trace!(queue = name, ?status, "a queue's depth changed");
            }
            board.put_depth(&name, depth);
        }
        board.demand.tell();
        pulse.during(tokio::time::sleep(interval)).await;
    }
}

/// Reads the depths of the queues that somebody waits for: at once those that somebody asked
/// for, and twice a second those that somebody is to be told of.
async fn follow(app: App, board: Arc<Board>, timeout: Duration) {
    let pulse = board.progress.keep("scale");
    loop {
        if app.broker().link().borrow().is_up() {
            for name in board.demand.due(Instant::now()) {
                let Some(status) = pulse.during(ask(&app, &name, timeout)).await else {
                    continue;
                };
                let mut depth = board.depth(&name).unwrap_or_default();
                depth.hear(status, Instant::now());
                board.put_depth(&name, depth);
            }
        }
        board.demand.tell();
        let wanted = tokio::time::timeout(FOLLOW, board.demand.wanted());
        let _ = pulse.during(wanted).await;
    }
}

/// Asks the broker about a queue; `None` when it does not tell.
async fn ask(app: &App, name: &str, timeout: Duration) -> Option<Option<QueueStatus>> {
    match tokio::time::timeout(timeout, app.broker().queue(name)).await {
        Ok(Ok(status)) => Some(status),
        Ok(Err(error)) => {
            tracing::debug!(queue = name, %error, "the depth of a queue is not known");
            None
        }
        Err(_) => {
            tracing::debug!(
                queue = name,
                "the broker did not tell a queue's depth in time"
            );
            None
        }
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
