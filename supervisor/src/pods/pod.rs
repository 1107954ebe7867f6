//! A pod, as far as it matters here.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::COST;

/// A pod, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "Whole")]
pub(crate) struct Pod {
    pub(crate) name: String,
    /// Tells it from others of its name, before and after it.
    pub(crate) uid: String,
    /// What it costs to delete it, when that is a number.
    pub(crate) cost: Option<i32>,
    /// Being deleted.
    pub(crate) terminating: bool,
    /// The Deployment that it is of.
    pub(crate) deployment: Option<String>,
}

#[derive(Deserialize)]
struct Whole {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    deletion_timestamp: Option<String>,
    #[serde(default)]
    owner_references: Vec<Owner>,
}

#[derive(Deserialize)]
struct Owner {
    kind: String,
    name: String,
}

/// Which ReplicaSet of its Deployment a pod is of; the end of the ReplicaSet's name.
const HASH: &str = "pod-template-hash";

impl From<Whole> for Pod {
    fn from(Whole { metadata }: Whole) -> Self {
        let cost = metadata.annotations.get(COST);
        let hash = metadata.labels.get(HASH);
        let owners = metadata.owner_references.iter();
        let mut sets = owners.filter(|owner| owner.kind == "ReplicaSet");
        // ReplicaSets would have to be read to be certain, which takes a right of its own.
        let deployment = sets.find_map(|set| {
            let name = set.name.strip_suffix(hash?.as_str())?.strip_suffix('-')?;
            Some(name.to_owned())
        });
        Self {
            cost: cost.and_then(|cost| cost.parse().ok()),
            terminating: metadata.deletion_timestamp.is_some(),
            deployment,
            name: metadata.name,
            uid: metadata.uid,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_read_as_the_api_server_writes_it() {
        let pod: Pod = serde_json::from_value(json!({
            "kind": "PartialObjectMetadata",
            "metadata": {
                "name": "celeriac-node-5d4-abc", "uid": "u", "resourceVersion": "7",
                "labels": { "pod-template-hash": "5d4" },
                "annotations": { COST: "26", "other": "x" },
                "deletionTimestamp": "2026-01-01T00:00:00Z",
                "ownerReferences": [
                    { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "celeriac-node-5d4", "uid": "r" }
                ],
            },
        }))
        .unwrap();
        assert_eq!((pod.cost, pod.terminating), (Some(26), true));
        assert_eq!(pod.deployment.as_deref(), Some("celeriac-node"));
        let bare: Pod = serde_json::from_value(json!({
            "metadata": { "name": "alone", "annotations": { COST: "dear" } },
        }))
        .unwrap();
        assert_eq!(
            (bare.cost, bare.terminating, bare.deployment),
            (None, false, None)
        );
    }
}
