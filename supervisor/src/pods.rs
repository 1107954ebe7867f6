//! The pods that nodes run in: what each would lose, and how many there shall be.
//!
//! | part | does |
//! |---|---|
//! | `loss` | says what is lost when a pod goes, and what that costs |
//! | `ledger` | decides which pods are told of a new cost |
//! | `keeper` | the loop: looks, and tells, while this one leads |
//! | `pod`, `pool` | pods and Deployments as far as they matter here |
//! | `pools` | the Deployments of nodes, read when somebody asks |
//! | `metrics` | what Prometheus sees |

mod keeper;
mod ledger;
mod loss;
mod metrics;
mod pod;
mod pool;
mod pools;
#[cfg(test)]
mod simulation;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Handle;

pub(crate) use self::keeper::Keeper;
use self::ledger::Change;
pub(crate) use self::loss::host_in;
pub(crate) use self::metrics::PodMetrics;
use self::pod::Pod;
use self::pool::Deployment;
pub(crate) use self::pool::Pool;
pub(crate) use self::pools::Pools;
use crate::config::Config;
use crate::error::Error;
use crate::kubernetes::{Client, Cluster, Collection, Failure, Kind, Part, Selector};

/// The pods of nodes at the API server. Clones are of the same.
#[derive(Debug, Clone)]
pub(crate) struct NodePods {
    pods: Collection,
    deployments: Collection,
    selector: Arc<Selector>,
    /// Where requests run: not on the actors' threads.
    runtime: Handle,
}

/// The annotation that ReplicaSets look at when they choose which pods go.
const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(5);

impl NodePods {
    /// Finds the API server, when the settings say which pods run nodes. Requests run on the
    /// runtime that this is called in.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] outside a pod of Kubernetes.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>, Error> {
        let Some(selector) = config.node_selector()? else {
            return Ok(None);
        };
        let expected = "none outside a pod of Kubernetes with a service account";
        let refused = |missing| Error::config("node_pods", expected, format!("it and {missing}"));
        let cluster = Cluster::of_this_pod(config.service_account.as_deref()).map_err(refused)?;
        let namespace = cluster.namespace().map_err(refused)?;
        let client = Arc::new(Client::new(&cluster).map_err(refused)?);
        let collection = |kind| Collection::new(&client, kind, &namespace, TIMEOUT);
        Ok(Some(Self {
            pods: collection(Kind::PODS),
            deployments: collection(Kind::DEPLOYMENTS),
            selector: Arc::new(selector),
            runtime: Handle::current(),
        }))
    }

    /// Reads the pods.
    async fn pods(&self) -> Result<Vec<Pod>, Failure> {
        self.pods.list(Some(&self.selector), Part::Metadata).await
    }

    /// Reads the Deployments whose pods are such. A Deployment need not have the labels of
    /// its pods, so all of the namespace are looked through.
    async fn deployments(&self) -> Result<Vec<Deployment>, Failure> {
        let all: Vec<Deployment> = self.deployments.list(None, Part::Whole).await?;
        let ours = all.into_iter();
        Ok(ours
            .filter(|one| self.selector.matches(&one.labels))
            .collect())
    }

    /// Writes the cost of a pod, unless it is another pod by now.
    async fn tell(&self, change: &Change) -> Result<(), Failure> {
        let patch = json!({
            "metadata": {
                "uid": change.uid,
                "annotations": { COST: change.step.cost().to_string() },
            },
        });
        self.pods.patch(&change.pod, &patch).await
    }
}
