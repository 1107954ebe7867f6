//! The Deployments of nodes, read when somebody asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::NodePods;
use super::pool::{Pool, assemble};
use crate::kubernetes::Failure;

/// The Deployments of nodes. They are read at most every 10 s, and only while somebody asks;
/// who asks gets what was read last, and waits only for the first reading.
#[derive(Debug)]
pub(crate) struct Pools {
    source: NodePods,
    last: watch::Sender<Option<Arc<Reading>>>,
    reads: Arc<AtomicBool>,
}

/// What was read last.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) pools: Vec<Pool>,
    /// When they were read; `None` when they never could be.
    pub(crate) at: Option<Instant>,
    /// Why the last try to read them failed.
    pub(crate) trouble: Option<String>,
    /// When they are to be read again.
    again: Instant,
}

/// How long a reading holds, and one that failed for want of a right.
const FRESH: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_secs(60);
/// How long a page waits for the first reading.
const PATIENCE: Duration = Duration::from_secs(2);

impl Pools {
    pub(crate) fn new(source: NodePods) -> Self {
        Self {
            source,
            last: watch::Sender::new(None),
            reads: Arc::default(),
        }
    }

    /// Returns where they are read.
    pub(crate) fn source(&self) -> NodePods {
        self.source.clone()
    }

    /// Returns what was read last, and has it read again when it is old; `None` when the
    /// first reading takes too long.
    pub(crate) async fn look(&self) -> Option<Arc<Reading>> {
        let last = self.last.borrow().clone();
        let old = last
            .as_ref()
            .is_none_or(|last| last.again <= Instant::now());
        if old && !self.reads.swap(true, Ordering::AcqRel) {
            self.read();
        }
        if last.is_some() {
            return last;
        }
        let mut changes = self.last.subscribe();
        let read = changes.wait_for(Option::is_some);
        let read = tokio::time::timeout(PATIENCE, read).await.ok()?.ok()?;
        read.clone()
    }

    fn read(&self) {
        let (source, last) = (self.source.clone(), self.last.clone());
        let reads = Reads(Arc::clone(&self.reads));
        self.source.runtime.spawn(async move {
            let read = async { Ok((source.deployments().await?, source.pods().await?)) };
            let read: Result<_, Failure> = read.await;
            let now = Instant::now();
            let reading = match read {
                Ok((deployments, pods)) => Reading {
                    pools: assemble(deployments, pods),
                    at: Some(now),
                    trouble: None,
                    again: now + FRESH,
                },
                Err(failure) => {
                    let before = last.borrow().clone();
                    let wait = match &failure {
                        Failure::Forbidden(_) => REST,
                        Failure::Unavailable { wait, .. } => wait.unwrap_or(FRESH).max(FRESH),
                        _ => FRESH,
                    };
                    tracing::debug!(%failure, "the replicas of pools are not known");
                    Reading {
                        pools: before
                            .as_ref()
                            .map_or_else(Vec::new, |last| last.pools.clone()),
                        at: before.and_then(|last| last.at),
                        trouble: Some(failure.to_string()),
                        again: now + wait,
                    }
                }
            };
            last.send_replace(Some(Arc::new(reading)));
            drop(reads);
        });
    }
}

/// Says that a reading is on its way, for as long as it is.
struct Reads(Arc<AtomicBool>);

impl Drop for Reads {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures_util::future::join_all;
    use serde_json::json;
    use tokio::runtime::Handle;

    use super::*;
    use crate::kubernetes::Kind;
    use crate::kubernetes::tests::Fake;

    fn pools(fake: &Fake) -> Pools {
        let selector = "app=node".parse().unwrap();
        Pools::new(NodePods {
            pods: fake.collection(Kind::PODS),
            deployments: fake.collection(Kind::DEPLOYMENTS),
            selector: Arc::new(selector),
            runtime: Handle::current(),
        })
    }

    #[tokio::test]
    async fn pools_are_read_once_however_many_ask() {
        let fake = Fake::start().await;
        for (name, label) in [("celeriac-node", "node"), ("web", "web")] {
            let template = json!({ "metadata": { "labels": { "app": label } } });
            let spec = json!({ "replicas": 2, "template": template });
            fake.kept(|kept| kept.put("deployments", name, json!({ "spec": spec })));
        }
        let pools = pools(&fake);
        for reading in join_all((0..9).map(|_| pools.look())).await {
            let reading = reading.unwrap();
            assert_eq!(reading.trouble, None);
            let names: Vec<_> = reading.pools.iter().map(|pool| &*pool.deployment).collect();
            assert_eq!(names, ["celeriac-node"], "by the labels of its pods");
        }
        assert_eq!(fake.count("list deployments"), 1);
        assert_eq!(fake.count("list pods"), 1);
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_and_nobody_waits_for_long() {
        let fake = Fake::start().await;
        let pools = pools(&fake);
        fake.kept(|kept| kept.forbidden.insert("list deployments".to_owned()));
        let reading = pools.look().await.unwrap();
        assert_eq!((reading.pools.len(), reading.at), (0, None));
        let trouble = reading.trouble.as_ref().unwrap();
        assert!(trouble.contains("403: the service account may not list deployments"));
        let mute = Fake::start().await;
        mute.kept(|kept| kept.mute = true);
        let start = Instant::now();
        assert!(self::pools(&mute).look().await.is_none());
        assert!(start.elapsed() < PATIENCE * 2);
    }
}
