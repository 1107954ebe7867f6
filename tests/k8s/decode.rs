//! Decodes objects strictly: an unknown kind, an unknown field and a wrong type are faults.

use std::any::Any;
use std::sync::Arc;

use k8s_openapi::api::{
    apps, autoscaling, batch, coordination, core, networking, policy, rbac, scheduling, storage,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::kinds::{gateway, keda, prometheus, rabbitmq};

/// What the decoder refused: where, what was found and what was expected.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) field: String,
    pub(crate) found: String,
    pub(crate) expected: String,
}

type Decoded = (Arc<dyn Any + Send + Sync>, Vec<Fault>);
type Decoder = fn(&Value) -> Decoded;

/// Every kind that manifests may hold.
const KINDS: &[(&str, &str, Decoder)] = &[
    ("v1", "Namespace", strictly::<core::v1::Namespace>),
    ("v1", "ConfigMap", strictly::<core::v1::ConfigMap>),
    ("v1", "Secret", strictly::<core::v1::Secret>),
    ("v1", "Service", strictly::<core::v1::Service>),
    ("v1", "ServiceAccount", strictly::<core::v1::ServiceAccount>),
    ("v1", "Pod", strictly::<core::v1::Pod>),
    (
        "v1",
        "PersistentVolumeClaim",
        strictly::<core::v1::PersistentVolumeClaim>,
    ),
    ("v1", "LimitRange", strictly::<core::v1::LimitRange>),
    ("v1", "ResourceQuota", strictly::<core::v1::ResourceQuota>),
    ("apps/v1", "Deployment", strictly::<apps::v1::Deployment>),
    ("apps/v1", "StatefulSet", strictly::<apps::v1::StatefulSet>),
    ("apps/v1", "DaemonSet", strictly::<apps::v1::DaemonSet>),
    ("batch/v1", "Job", strictly::<batch::v1::Job>),
    ("batch/v1", "CronJob", strictly::<batch::v1::CronJob>),
    (
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        strictly::<autoscaling::v2::HorizontalPodAutoscaler>,
    ),
    (
        "policy/v1",
        "PodDisruptionBudget",
        strictly::<policy::v1::PodDisruptionBudget>,
    ),
    (
        "networking.k8s.io/v1",
        "NetworkPolicy",
        strictly::<networking::v1::NetworkPolicy>,
    ),
    (
        "networking.k8s.io/v1",
        "Ingress",
        strictly::<networking::v1::Ingress>,
    ),
    (
        "coordination.k8s.io/v1",
        "Lease",
        strictly::<coordination::v1::Lease>,
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "Role",
        strictly::<rbac::v1::Role>,
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        strictly::<rbac::v1::RoleBinding>,
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        strictly::<rbac::v1::ClusterRole>,
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        strictly::<rbac::v1::ClusterRoleBinding>,
    ),
    (
        "scheduling.k8s.io/v1",
        "PriorityClass",
        strictly::<scheduling::v1::PriorityClass>,
    ),
    (
        "storage.k8s.io/v1",
        "StorageClass",
        strictly::<storage::v1::StorageClass>,
    ),
    (
        "keda.sh/v1alpha1",
        "ScaledObject",
        strictly::<keda::ScaledObject>,
    ),
    (
        "keda.sh/v1alpha1",
        "TriggerAuthentication",
        strictly::<keda::TriggerAuthentication>,
    ),
    (
        "monitoring.coreos.com/v1",
        "ServiceMonitor",
        strictly::<prometheus::ServiceMonitor>,
    ),
    (
        "monitoring.coreos.com/v1",
        "PodMonitor",
        strictly::<prometheus::PodMonitor>,
    ),
    (
        "monitoring.coreos.com/v1",
        "PrometheusRule",
        strictly::<prometheus::PrometheusRule>,
    ),
    (
        "rabbitmq.com/v1beta1",
        "RabbitmqCluster",
        strictly::<rabbitmq::RabbitmqCluster>,
    ),
    (
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        strictly::<gateway::HTTPRoute>,
    ),
];

/// Decodes an object; one that could not be decoded is the unit.
pub(crate) fn decode(value: &Value) -> Decoded {
    let word = |name: &str| value[name].as_str().unwrap_or_default();
    let (version, kind) = (word("apiVersion"), word("kind"));
    match KINDS
        .iter()
        .find(|(known, of, _)| (*known, *of) == (version, kind))
    {
        Some((_, _, decoder)) => decoder(value),
        None => {
            let versions: Vec<_> = KINDS.iter().filter(|(_, of, _)| *of == kind).collect();
            let expected = match versions.first() {
                Some((known, _, _)) => format!("{known} for the kind {kind}"),
                None => "a kind of the table in tests/k8s/decode.rs".to_owned(),
            };
            let fault = Fault {
                field: "apiVersion and kind".to_owned(),
                found: format!("{version} {kind}"),
                expected,
            };
            (Arc::new(()), vec![fault])
        }
    }
}

fn strictly<T: DeserializeOwned + Send + Sync + 'static>(value: &Value) -> Decoded {
    let mut ignored = Vec::new();
    let note = |path: serde_ignored::Path<'_>| {
        // An Option is a step of its own in these paths, written as a question mark.
        let path = path.to_string().replace(".?", "").replace("?.", "");
        // The decoder has read these two to choose the type.
        if path != "apiVersion" && path != "kind" {
            ignored.push(path);
        }
    };
    match serde_ignored::deserialize::<_, _, T>(value, note) {
        Ok(decoded) => {
            let faults = ignored.into_iter().map(|field| Fault {
                field,
                found: "a field that nobody reads".to_owned(),
                expected: "a field of this kind".to_owned(),
            });
            (Arc::new(decoded), faults.collect())
        }
        Err(error) => {
            let fault = Fault {
                field: "the object".to_owned(),
                found: error.to_string(),
                expected: "what its kind describes".to_owned(),
            };
            (Arc::new(()), vec![fault])
        }
    }
}
