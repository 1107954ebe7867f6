//! The Keeper actor: tells the cluster what it costs to delete pods.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use futures_util::future::join_all;

use super::NodePods;
use super::ledger::{Change, Ledger};
use super::loss::losses;
use super::metrics::reason;
use crate::board::Board;
use crate::guardian::Ward;
use crate::kubernetes::Failure;

/// Keeps the deletion costs of the pods of nodes, while this one leads. Best effort: whatever
/// fails is tried again later, and nothing waits for it.
///
/// ```text
///  Stands by --leads--> Looks, every 5 s --+--> lists the pods, if that was 30 s ago
///      ^                  ^                +--> tells the 25 most urgent, 4 at a time
///      |                  +--- Rests <-- failed: for 5 s, 10 s... 5 min; 1 min without the right
///      +-- leads no more (the next leader begins with what the cluster has)
/// ```
pub(crate) struct Keeper {
    board: Arc<Board>,
    pods: NodePods,
    _ward: Ward,
}

/// What the loop knows.
struct Watch {
    board: Arc<Board>,
    pods: NodePods,
    ledger: Ledger,
    listed: Option<Instant>,
    /// When it may ask again, after so many failures in a row.
    rest: Option<Instant>,
    failures: u32,
    /// What was complained about last: once is enough.
    trouble: Option<&'static str>,
}

/// How often it looks.
pub(super) const LOOK: Duration = Duration::from_secs(5);
/// How many pods are told at each look: 5 a second, which is what clients of Kubernetes' own
/// allow themselves.
pub(super) const TOLD: usize = 25;
/// How many are told at once.
const AT_ONCE: usize = 4;
/// How often the pods are listed; sooner when a node runs in one that is not known.
pub(super) const LIST: Duration = Duration::from_secs(30);
pub(super) const LIST_SOONER: Duration = Duration::from_secs(10);
/// How long the API server is left alone after failures: the first and the longest time, and
/// that after a refusal.
const REST: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
const REFUSED: Duration = Duration::from_secs(60);

impl Keeper {
    pub(crate) fn new(board: Arc<Board>, pods: NodePods, ward: Ward) -> Self {
        Self {
            board,
            pods,
            _ward: ward,
        }
    }
}

impl Actor for Keeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (board, pods) = (Arc::clone(&self.board), self.pods.clone());
        ctx.spawn(run(board, pods).into_actor(self));
    }
}

async fn run(board: Arc<Board>, pods: NodePods) {
    let pulse = board.progress.add("keeper");
    let mut watch = Watch::new(board, pods);
    loop {
        pulse.during(tokio::time::sleep(LOOK)).await;
        pulse.during(watch.look()).await;
    }
}

impl Watch {
    fn new(board: Arc<Board>, pods: NodePods) -> Self {
        Self {
            board,
            pods,
            ledger: Ledger::default(),
            listed: None,
            rest: None,
            failures: 0,
            trouble: None,
        }
    }

    async fn look(&mut self) {
        let now = Instant::now();
        if !leads(&self.board) {
            // The next time of leading begins with what the cluster has then.
            (self.ledger, self.listed) = (Ledger::default(), None);
            return;
        }
        if self.rest.is_some_and(|until| now < until) {
            return;
        }
        let facts = &self.board.facts;
        let consumes = |node: &str| facts.get(node).is_none_or(|facts| !facts.queues.is_empty());
        let nodes = self.board.nodes_by_name();
        let losses = losses(&nodes, consumes, now);
        let age = self.listed.map(|at| now.saturating_duration_since(at));
        if wants_list(age, self.ledger.lacks(&losses)) {
            self.board.metrics.pods.lists.inc();
            let pods = self.pods.clone();
            match self.beside(async move { pods.pods().await }).await {
                Some(Ok(pods)) => {
                    self.listed = Some(now);
                    self.ledger.list(pods);
                }
                Some(Err(failure)) => return self.failed(&failure),
                None => return,
            }
        }
        let changes = self.ledger.plan(&losses, now, TOLD);
        if changes.is_empty() {
            return self.fine();
        }
        let (board, pods) = (Arc::clone(&self.board), self.pods.clone());
        let told = self.beside(tell(board, pods, changes)).await;
        let mut worst = None;
        for (change, told) in told.unwrap_or_default() {
            match told {
                Ok(()) => {
                    self.board.metrics.pods.patches.inc();
                    self.ledger.told(&change);
                }
                Err(failure) if reason(&failure).is_some() => worst = Some(failure),
                Err(_) => self.ledger.gone(&change.pod),
            }
        }
        match worst {
            Some(failure) => self.failed(&failure),
            None => self.fine(),
        }
    }

    /// Waits for what runs on another runtime; `None` when that ends.
    async fn beside<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let task = self.pods.runtime.spawn(future);
        // Who asks no more, such as an actor that ends, lets nothing go on.
        let _end = Abort(task.abort_handle());
        task.await.ok()
    }

    fn failed(&mut self, failure: &Failure) {
        let Some(reason) = reason(failure) else {
            return;
        };
        self.board.metrics.pods.failed(reason);
        let rest = rest(failure, self.failures);
        self.failures = self.failures.saturating_add(1);
        self.rest = Some(Instant::now() + rest);
        if self.trouble != Some(reason) {
            tracing::warn!(%failure, ?rest, "pods of nodes may be deleted while others are idle");
            self.trouble = Some(reason);
        }
    }

    fn fine(&mut self) {
        (self.failures, self.rest) = (0, None);
        if self.trouble.take().is_some() {
            tracing::info!("the cluster is told again what it costs to delete pods");
        }
    }
}

/// Aborts a task at its drop.
struct Abort(tokio::task::AbortHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tells pods, a few at a time, until one cannot be told or somebody else leads.
async fn tell(
    board: Arc<Board>,
    pods: NodePods,
    changes: Vec<Change>,
) -> Vec<(Change, Result<(), Failure>)> {
    let mut done = Vec::with_capacity(changes.len());
    for some in changes.chunks(AT_ONCE) {
        if !leads(&board) {
            break;
        }
        let told = join_all(some.iter().map(|change| pods.tell(change))).await;
        let failed = told.iter().any(|told| {
            let failure = told.as_ref().err();
            failure.is_some_and(|failure| reason(failure).is_some())
        });
        done.extend(some.iter().cloned().zip(told));
        if failed {
            break;
        }
    }
    done
}

fn leads(board: &Board) -> bool {
    board.beat.view().leads
}

/// Tells whether the pods are to be listed, that long after the last time.
pub(super) fn wants_list(age: Option<Duration>, lacks: bool) -> bool {
    age.is_none_or(|age| age >= if lacks { LIST_SOONER } else { LIST })
}

/// Returns how long to leave the API server alone after a failure and so many before it.
fn rest(failure: &Failure, before: u32) -> Duration {
    let usual = REST.0.saturating_mul(1 << before.min(16)).min(REST.1);
    match failure {
        Failure::Forbidden(_) => usual.max(REFUSED),
        Failure::Unavailable { wait, .. } => usual.max(wait.unwrap_or_default()),
        _ => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_and_what_the_server_asks_for_is_kept() {
        let seconds = Duration::from_secs;
        let busy = |wait| Failure::Unavailable {
            text: String::new(),
            wait,
        };
        let forbidden = Failure::Forbidden(String::new());
        for (failure, before, expected) in [
            (busy(None), 0, seconds(5)),
            (busy(None), 1, seconds(10)),
            (busy(None), 40, seconds(300)),
            (busy(Some(seconds(90))), 0, seconds(90)),
            (busy(Some(seconds(1))), 2, seconds(20)),
            (forbidden.clone(), 0, seconds(60)),
            (forbidden, 5, seconds(160)),
        ] {
            assert_eq!(rest(&failure, before), expected, "{failure:?} {before}");
        }
        assert!(wants_list(None, false));
        assert!(wants_list(Some(seconds(30)), false));
        assert!(!wants_list(Some(seconds(29)), false));
        assert!(wants_list(Some(seconds(10)), true));
        assert!(!wants_list(Some(seconds(9)), true));
    }
}
