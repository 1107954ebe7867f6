//! A Deployment of nodes, with its pods.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::pod::Pod;

/// A Deployment of nodes, with its pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pool {
    /// What its nodes are called together.
    pub(crate) name: String,
    pub(crate) deployment: String,
    /// How many pods there shall be.
    pub(crate) desired: u64,
    /// How many there are that are not being deleted.
    pub(crate) actual: u64,
    pub(crate) ready: u64,
    /// How many are as the Deployment says now.
    pub(crate) updated: u64,
    /// By name, those that are being deleted among them.
    pub(crate) pods: Vec<Pod>,
}

/// A Deployment, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Whole")]
pub(super) struct Deployment {
    pub(super) name: String,
    pool: Option<String>,
    /// The labels of its pods.
    pub(super) labels: BTreeMap<String, String>,
    desired: u64,
    status: Status,
}

#[derive(Deserialize)]
struct Whole {
    metadata: Metadata,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Spec {
    replicas: Option<u64>,
    template: Template,
}

#[derive(Deserialize)]
struct Template {
    #[serde(default)]
    metadata: Metadata,
}

/// What is nought is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    replicas: u64,
    ready_replicas: u64,
    updated_replicas: u64,
}

/// The label that names a pool.
const POOL: &str = "celeriac.dev/pool";

impl From<Whole> for Deployment {
    fn from(whole: Whole) -> Self {
        let labels = whole.spec.template.metadata.labels;
        let pool = labels.get(POOL).or_else(|| whole.metadata.labels.get(POOL));
        Self {
            pool: pool.cloned(),
            labels,
            // As the API server fills it in.
            desired: whole.spec.replicas.unwrap_or(1),
            status: whole.status,
            name: whole.metadata.name,
        }
    }
}

/// Puts pods to their Deployments; returns these by the pools' names. Pods of none are of no
/// pool.
pub(super) fn assemble(deployments: Vec<Deployment>, pods: Vec<Pod>) -> Vec<Pool> {
    let mut by_deployment = BTreeMap::<String, Vec<Pod>>::new();
    for pod in pods {
        if let Some(deployment) = &pod.deployment {
            let of = by_deployment.entry(deployment.clone()).or_default();
            of.push(pod);
        }
    }
    let pools = deployments.into_iter().map(|deployment| {
        let mut pods = by_deployment.remove(&deployment.name).unwrap_or_default();
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        Pool {
            name: deployment.pool.unwrap_or_else(|| deployment.name.clone()),
            desired: deployment.desired,
            actual: deployment.status.replicas,
            ready: deployment.status.ready_replicas,
            updated: deployment.status.updated_replicas,
            deployment: deployment.name,
            pods,
        }
    });
    let mut pools: Vec<_> = pools.collect();
    pools.sort_by(|a, b| (&a.name, &a.deployment).cmp(&(&b.name, &b.deployment)));
    pools
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn deployment(value: Value) -> Deployment {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_pool_is_a_deployment_with_its_pods() {
        let large = deployment(json!({
            "metadata": { "name": "celeriac-node-large", "labels": { "a": "b" } },
            "spec": {
                "replicas": 0,
                "template": { "metadata": { "labels": { POOL: "large" } }, "spec": {} },
            },
        }));
        let plain = deployment(json!({
            "metadata": { "name": "celeriac-node" },
            "spec": { "template": { "metadata": { "labels": { "app": "node" } } } },
            "status": { "replicas": 3, "readyReplicas": 2, "updatedReplicas": 1, "observedGeneration": 4 },
        }));
        let pod = |name: &str, deployment: &str| Pod {
            name: name.to_owned(),
            deployment: Some(deployment.to_owned()),
            ..Pod::default()
        };
        let pods = vec![
            pod("n-2", "celeriac-node"),
            pod("n-1", "celeriac-node"),
            pod("w-1", "web"),
            Pod::default(),
        ];
        let pools = assemble(vec![large, plain], pods);
        let names: Vec<_> = pools.iter().map(|pool| pool.name.as_str()).collect();
        assert_eq!(names, ["celeriac-node", "large"]);
        let counts = |pool: &Pool| (pool.desired, pool.actual, pool.ready, pool.updated);
        assert_eq!(counts(&pools[0]), (1, 3, 2, 1));
        assert_eq!(counts(&pools[1]), (0, 0, 0, 0));
        let pods: Vec<_> = pools[0].pods.iter().map(|pod| pod.name.as_str()).collect();
        assert_eq!(pods, ["n-1", "n-2"]);
        assert_eq!(pools[1].pods, []);
    }
}
