//! PodDisruptionBudgets: each lets a machine be emptied.

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::autoscaling::least_replicas;
use super::ports::show;
use crate::finding::{Finding, Findings};
use crate::manifests::Manifests;
use crate::pod::selects;

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("disruption");
    let workloads = manifests.workloads();
    let mut covered: Vec<(&str, &str)> = Vec::new();
    for (document, budget) in manifests.all::<PodDisruptionBudget>() {
        let Some(spec) = &budget.spec else { continue };
        let title = &document.title;
        match (&spec.min_available, &spec.max_unavailable) {
            (Some(_), Some(_)) => {
                findings.add(
                    title,
                    "spec",
                    "minAvailable and maxUnavailable",
                    "one of them",
                );
            }
            (None, None) => {
                findings.add(title, "spec", "nothing", "maxUnavailable or minAvailable")
            }
            _ => {}
        }
        if let Some(most) = &spec.max_unavailable
            && share(most, 100) < 1
        {
            findings.add(
                title,
                "spec.maxUnavailable",
                show(most),
                "1 or more: nothing could go",
            );
        }
        let policy = spec.unhealthy_pod_eviction_policy.as_deref();
        if policy != Some("AlwaysAllow") {
            findings.add(
                title,
                "spec.unhealthyPodEvictionPolicy",
                policy.unwrap_or("nothing"),
                "AlwaysAllow: pods that are not ready must not hold a machine",
            );
        }
        let selector = spec.selector.clone().unwrap_or_default();
        for workload in &workloads {
            let here = workload.document.namespace() == document.namespace();
            if !here || !selects(&selector, &workload.labels()) {
                continue;
            }
            if let Some((other, _)) = covered.iter().find(|(_, of)| *of == workload.title()) {
                let found = format!("the pods of {}, which {other} has", workload.title());
                findings.add(
                    title,
                    "spec.selector",
                    found,
                    "pods that no other budget has",
                );
            }
            covered.push((title, workload.title()));
            let replicas = least_replicas(manifests, workload);
            if let Some(least) = &spec.min_available
                && share(least, replicas) >= replicas
            {
                findings.add(
                    title,
                    "spec.minAvailable",
                    show(least),
                    format!("less than the {replicas} replicas of {}", workload.title()),
                );
            }
        }
    }
    findings.done()
}

/// Returns a figure as a number of pods; shares are rounded up, as the server does.
fn share(figure: &IntOrString, of: i32) -> i32 {
    match figure {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let percent: i32 = text.trim_end_matches('%').parse().unwrap_or_default();
            (percent * of + 99) / 100
        }
    }
}
