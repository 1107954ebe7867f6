//! Pools: the Deployments of nodes on Kubernetes.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::cluster::{Node, NodeState};
use crate::http::{Desk, Problem};
use crate::pods::{Pool, host_in};

/// The pools, by name.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(in crate::http) struct PoolList {
    pub(in crate::http) pools: Vec<PoolView>,
    /// How old the API server's figures are, in seconds; `null` when it has told none yet.
    pub(in crate::http) age_seconds: Option<f64>,
    /// Why the API server tells nothing, or nothing new.
    pub(in crate::http) trouble: Option<String>,
}

/// A Deployment of nodes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pool)]
pub(in crate::http) struct PoolView {
    /// The label `celeriac.dev/pool` of its pods, else the Deployment's name.
    pub(in crate::http) name: String,
    pub(in crate::http) deployment: String,
    /// How many pods there shall be.
    pub(in crate::http) desired: u64,
    /// How many there are that are not being deleted.
    pub(in crate::http) actual: u64,
    /// How many are ready: their nodes consume.
    pub(in crate::http) ready: u64,
    /// How many are as the Deployment says now.
    pub(in crate::http) updated: u64,
    /// How many are being deleted.
    pub(in crate::http) terminating: u64,
    /// How many of its nodes drain.
    pub(in crate::http) draining: u64,
    /// Tasks that run on its nodes.
    pub(in crate::http) running: u64,
    /// The queues that its nodes consume.
    pub(in crate::http) queues: Vec<String>,
    /// Its pods by name, 1,000 at most.
    pub(in crate::http) pods: Vec<PodView>,
}

/// A pod of a pool.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pod)]
pub(in crate::http) struct PodView {
    pub(in crate::http) name: String,
    /// What the cluster was told that it costs to delete it; the cheapest go first.
    pub(in crate::http) deletion_cost: Option<i32>,
    /// Being deleted.
    pub(in crate::http) terminating: bool,
    /// The nodes in it that are known; none while it starts.
    pub(in crate::http) nodes: Vec<PodNode>,
}

/// A node in a pod.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct PodNode {
    pub(in crate::http) name: String,
    pub(in crate::http) state: &'static str,
}

impl PoolView {
    /// Returns how it stands.
    pub(in crate::http) fn state(&self) -> &'static str {
        if self.desired == 0 && self.actual == 0 && self.terminating == 0 {
            "off"
        } else if self.updated < self.actual {
            "updating"
        } else if self.ready < self.desired {
            "scaling up"
        } else if self.actual > self.desired || self.terminating > 0 {
            "scaling down"
        } else {
            "steady"
        }
    }

    /// Returns how many of its pods are on their way out.
    pub(in crate::http) fn leaving(&self) -> u64 {
        self.draining.max(self.terminating)
    }
}

/// How many pods of a pool are listed.
const PODS: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new().routes(routes!(list))
}

#[utoipa::path(
    get,
    path = "/api/v1/pools",
    operation_id = "list_pools",
    tag = "nodes",
    summary = "Lists the Deployments of nodes on Kubernetes, with desired and actual replicas",
    responses(
        (status = 200, body = PoolList, description = "The pools, by name"),
        (status = 404, description = "The setting node_pods does not say which pods run nodes"),
    ),
)]
async fn list(State(desk): State<Desk>) -> Result<Json<PoolList>, Problem> {
    let found = all(&desk).await;
    found.map(Json).ok_or_else(|| {
        let detail = "the setting node_pods does not say which pods of Kubernetes run nodes";
        Problem::not_found(detail)
    })
}

/// Returns the pools by name; `None` where no setting says which pods run nodes.
pub(in crate::http) async fn all(desk: &Desk) -> Option<PoolList> {
    let Some(reading) = desk.board.pools.as_ref()?.look().await else {
        return Some(PoolList {
            trouble: Some("the API server has not answered yet".to_owned()),
            ..PoolList::default()
        });
    };
    let mut nodes = HashMap::<&str, Vec<&Node>>::new();
    let known = desk.board.nodes_by_name();
    for node in &known {
        if let Some((_, host)) = node.name.split_once('@') {
            nodes.entry(host).or_default().push(node);
        }
    }
    let pools = reading.pools.iter();
    Some(PoolList {
        pools: pools.map(|pool| view(desk, pool, &nodes)).collect(),
        age_seconds: reading.at.map(|at| {
            let age = Instant::now().saturating_duration_since(at);
            age.as_secs_f64()
        }),
        trouble: reading.trouble.clone(),
    })
}

fn view(desk: &Desk, pool: &Pool, nodes: &HashMap<&str, Vec<&Node>>) -> PoolView {
    let within = |pod: &str| nodes.get(host_in(pod)).into_iter().flatten().copied();
    let ours = || pool.pods.iter().flat_map(|pod| within(&pod.name));
    let alive = || ours().filter(|node| !node.state.is_gone());
    let mut queues = BTreeSet::new();
    for node in alive() {
        if let Some(facts) = desk.board.facts.get(&node.name) {
            queues.extend(facts.queues.iter().cloned());
        }
    }
    let draining = |node: &&Node| node.state == NodeState::Draining;
    let pods = pool.pods.iter().take(PODS).map(|pod| PodView {
        name: pod.name.clone(),
        deletion_cost: pod.cost,
        terminating: pod.terminating,
        nodes: within(&pod.name)
            .map(|node| PodNode {
                name: node.name.clone(),
                state: node.state.as_str(),
            })
            .collect(),
    });
    PoolView {
        name: pool.name.clone(),
        deployment: pool.deployment.clone(),
        desired: pool.desired,
        actual: pool.actual,
        ready: pool.ready,
        updated: pool.updated,
        terminating: pool.pods.iter().filter(|pod| pod.terminating).count() as u64,
        draining: alive().filter(draining).count() as u64,
        running: alive().filter_map(|node| node.active).sum(),
        queues: queues.into_iter().collect(),
        pods: pods.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_says_how_it_stands() {
        let state = |desired, actual, ready, updated, terminating| {
            let pool = PoolView {
                name: String::new(),
                deployment: String::new(),
                desired,
                actual,
                ready,
                updated,
                terminating,
                draining: 0,
                running: 0,
                queues: Vec::new(),
                pods: Vec::new(),
            };
            pool.state()
        };
        assert_eq!(state(0, 0, 0, 0, 0), "off");
        assert_eq!(state(0, 0, 0, 0, 2), "scaling down");
        assert_eq!(state(3, 3, 3, 3, 0), "steady");
        assert_eq!(state(3, 3, 3, 3, 1), "scaling down");
        assert_eq!(state(3, 5, 5, 5, 0), "scaling down");
        assert_eq!(state(3, 1, 1, 1, 0), "scaling up");
        assert_eq!(state(3, 3, 2, 3, 1), "scaling up");
        assert_eq!(state(3, 4, 3, 1, 0), "updating");
    }
}
