//! What Prometheus sees of the costs of pods.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::kubernetes::Failure;

/// What Prometheus sees of the costs of pods. No series carries the name of a pod: they come
/// and go.
#[derive(Debug, Default)]
pub(crate) struct PodMetrics {
    pub(super) patches: Counter,
    pub(super) lists: Counter,
    failures: Family<Reason, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// Returns the kind of a failure; `None` for those that only say that a pod is gone.
pub(super) const fn reason(failure: &Failure) -> Option<&'static str> {
    match failure {
        Failure::Conflict(_) | Failure::Missing(_) => None,
        Failure::Forbidden(_) => Some("forbidden"),
        Failure::Unavailable { .. } => Some("unavailable"),
        Failure::Expired(_) | Failure::Other(_) => Some("other"),
    }
}

impl PodMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let patches = "Pods of nodes that were told what it costs to delete them";
        registry.register("pod_cost_patches", patches, self.patches.clone());
        let lists = "Lists of the pods of nodes that were read to tell them";
        registry.register("pod_cost_lists", lists, self.lists.clone());
        let failures = "Requests about the costs of pods that failed";
        registry.register("pod_cost_failures", failures, self.failures.clone());
        // A series that starts at its first failure has no increase to alert on.
        for reason in ["forbidden", "unavailable", "other"] {
            drop(self.failures.get_or_create_owned(&Reason { reason }));
        }
    }

    pub(super) fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&Reason { reason }).inc();
    }
}
