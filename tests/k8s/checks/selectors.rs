//! Selectors against labels.

use k8s_openapi::api::core::v1::{Affinity, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::document::Document;
use crate::finding::{Finding, Findings};
use crate::kinds::prometheus::{PodMonitor, ServiceMonitor};
use crate::manifests::Manifests;
use crate::pod::{Labels, Pod, Workload, selects};

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("selectors");
    own_pods(manifests, &mut findings);
    selected_pods(manifests, &mut findings);
    service_monitors(manifests, &mut findings);
    for workload in manifests.workloads() {
        placement(&workload, &mut findings);
    }
    findings.done()
}

/// A workload selects its own pods and nobody else's.
fn own_pods(manifests: &Manifests, findings: &mut Findings) {
    let workloads = manifests.workloads();
    for workload in &workloads {
        let Some(selector) = workload.selector else {
            continue;
        };
        let field = "spec.selector";
        if is_empty(selector) {
            findings.add(workload.title(), field, "an empty selector", "labels");
        } else if !selects(selector, &workload.labels()) {
            findings.add(
                workload.title(),
                field,
                show(selector),
                format!(
                    "what selects the template's labels {}",
                    list(&workload.labels())
                ),
            );
        }
        for other in &workloads {
            let apart = other.document.namespace() != workload.document.namespace();
            if apart || other.title() == workload.title() {
                continue;
            }
            if selects(selector, &other.labels()) {
                findings.add(
                    workload.title(),
                    field,
                    format!(
                        "{}, which selects the pods of {}",
                        show(selector),
                        other.title()
                    ),
                    "what selects its own pods alone",
                );
            }
        }
    }
}

/// What is about pods is about some.
fn selected_pods(manifests: &Manifests, findings: &mut Findings) {
    let pods = manifests.pods();
    let of = |document: &Document, selector: &LabelSelector| -> usize {
        let here = |pod: &&Pod| pod.namespace == document.namespace();
        let here = pods.iter().filter(here);
        here.filter(|pod| selects(selector, &pod.labels)).count()
    };
    for (document, service) in manifests.all::<Service>() {
        let labels = service.spec.as_ref().and_then(|spec| spec.selector.clone());
        let Some(labels) = labels else { continue };
        let selector = LabelSelector {
            match_labels: Some(labels),
            ..LabelSelector::default()
        };
        if of(document, &selector) == 0 {
            none(document, "spec.selector", &selector, findings);
        }
    }
    for (document, budget) in manifests.all::<PodDisruptionBudget>() {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
        let selector = selector.unwrap_or_default();
        if of(document, &selector) == 0 {
            none(document, "spec.selector", &selector, findings);
        }
    }
    for (document, policy) in manifests.all::<NetworkPolicy>() {
        let selector = policy
            .spec
            .as_ref()
            .and_then(|spec| spec.pod_selector.clone());
        let selector = selector.unwrap_or_default();
        if !is_empty(&selector) && of(document, &selector) == 0 {
            none(document, "spec.podSelector", &selector, findings);
        }
    }
    for (document, monitor) in manifests.all::<PodMonitor>() {
        let selector = &monitor.spec.selector;
        let elsewhere = monitor.spec.namespace_selector.is_some();
        if !elsewhere && of(document, selector) == 0 {
            none(document, "spec.selector", selector, findings);
        }
    }
}

fn service_monitors(manifests: &Manifests, findings: &mut Findings) {
    for (document, monitor) in manifests.all::<ServiceMonitor>() {
        let selector = &monitor.spec.selector;
        let some = manifests.all::<Service>().any(|(_, service)| {
            let labels = service.metadata.labels.clone().unwrap_or_default();
            selects(selector, &labels)
        });
        if !some {
            findings.add(
                &document.title,
                "spec.selector",
                format!("{}, which selects no Service", show(selector)),
                "the labels of a Service",
            );
        }
    }
}

/// Where pods are spread or kept apart, it is from each other.
fn placement(workload: &Workload<'_>, findings: &mut Findings) {
    let Some(spec) = workload.spec() else { return };
    let labels = workload.labels();
    for (index, spread) in spec
        .topology_spread_constraints
        .iter()
        .flatten()
        .enumerate()
    {
        let selector = spread.label_selector.clone().unwrap_or_default();
        if is_empty(&selector) || !selects(&selector, &labels) {
            findings.add(
                workload.title(),
                format!("topologySpreadConstraints[{index}].labelSelector"),
                show(&selector),
                format!("what selects its own pods {}", list(&labels)),
            );
        }
    }
    for selector in spec.affinity.iter().flat_map(apart_from) {
        if !selects(&selector, &labels) {
            findings.add(
                workload.title(),
                "affinity.podAntiAffinity",
                show(&selector),
                format!("what selects its own pods {}", list(&labels)),
            );
        }
    }
}

fn apart_from(affinity: &Affinity) -> Vec<LabelSelector> {
    let Some(apart) = &affinity.pod_anti_affinity else {
        return Vec::new();
    };
    let required = apart
        .required_during_scheduling_ignored_during_execution
        .iter();
    let preferred = apart
        .preferred_during_scheduling_ignored_during_execution
        .iter();
    let preferred = preferred.flatten().map(|one| &one.pod_affinity_term);
    let terms = required.flatten().chain(preferred);
    terms
        .map(|term| term.label_selector.clone().unwrap_or_default())
        .collect()
}

fn none(document: &Document, field: &str, selector: &LabelSelector, findings: &mut Findings) {
    findings.add(
        &document.title,
        field,
        format!("{}, which selects no pod here", show(selector)),
        "the labels of a pod template",
    );
}

pub(crate) fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.iter().flatten().next().is_none()
        && selector.match_expressions.iter().flatten().next().is_none()
}

pub(crate) fn show(selector: &LabelSelector) -> String {
    serde_json::to_string(selector).unwrap()
}

fn list(labels: &Labels) -> String {
    serde_json::to_string(labels).unwrap()
}
