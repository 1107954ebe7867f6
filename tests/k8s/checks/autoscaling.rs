//! Who owns the number of replicas.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use crate::document::Document;
use crate::finding::{Finding, Findings};
use crate::kinds::keda::ScaledObject;
use crate::manifests::Manifests;
use crate::pod::Workload;

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("autoscaling");
    targets(manifests, &mut findings);
    for (document, scaler) in manifests.all::<HorizontalPodAutoscaler>() {
        horizontal(document, scaler, &mut findings);
    }
    findings.done()
}

/// Something that sets the number of replicas.
#[derive(Debug)]
struct Scaler<'a> {
    document: &'a Document,
    kind: &'a str,
    name: &'a str,
    least: i32,
}

fn scalers(manifests: &Manifests) -> Vec<Scaler<'_>> {
    let horizontal = manifests.all::<HorizontalPodAutoscaler>();
    let horizontal = horizontal.map(|(document, scaler)| Scaler {
        document,
        kind: &scaler.spec.scale_target_ref.kind,
        name: &scaler.spec.scale_target_ref.name,
        least: scaler.spec.min_replicas.unwrap_or(1),
    });
    let objects = manifests.all::<ScaledObject>();
    let objects = objects.map(|(document, object)| Scaler {
        document,
        kind: object
            .spec
            .scale_target_ref
            .kind
            .as_deref()
            .unwrap_or("Deployment"),
        name: &object.spec.scale_target_ref.name,
        least: object.spec.min_replica_count.unwrap_or_default(),
    });
    horizontal.chain(objects).collect()
}

/// Returns the least number of replicas that a workload has.
pub(crate) fn least_replicas(manifests: &Manifests, workload: &Workload<'_>) -> i32 {
    let scaled = scalers(manifests).into_iter().find(|scaler| {
        scaler.kind == workload.document.kind() && scaler.name == workload.document.name()
    });
    scaled.map_or_else(|| workload.replicas.unwrap_or(1), |scaler| scaler.least)
}

/// Each target is there, has one owner of its replicas, and says no number itself.
fn targets(manifests: &Manifests, findings: &mut Findings) {
    let mut owners: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let workloads = manifests.workloads();
    for scaler in scalers(manifests) {
        let Scaler {
            document,
            kind,
            name,
            ..
        } = scaler;
        let field = "spec.scaleTargetRef";
        if let Some(other) = owners.insert((kind, name), &document.title) {
            findings.add(
                &document.title,
                field,
                format!("{kind} {name}, which {other} scales"),
                "one scaler of a target",
            );
        }
        let target = workloads.iter().find(|workload| {
            workload.document.kind() == kind
                && workload.document.name() == name
                && workload.document.namespace() == document.namespace()
        });
        let Some(target) = target else {
            let found = format!("{kind} {name}, which nobody makes");
            findings.add(&document.title, field, found, "a Deployment or StatefulSet");
            continue;
        };
        if let Some(replicas) = target.replicas {
            findings.add(
                target.title(),
                "spec.replicas",
                format!("{replicas}, while {} scales it", document.title),
                "no number: every apply would set it back",
            );
        }
    }
}

fn horizontal(document: &Document, scaler: &HorizontalPodAutoscaler, findings: &mut Findings) {
    let spec = &scaler.spec;
    let least = spec.min_replicas.unwrap_or(1);
    if least > spec.max_replicas || least < 1 {
        findings.add(
            &document.title,
            "spec.minReplicas",
            least.to_string(),
            format!("1 to maxReplicas, {}", spec.max_replicas),
        );
    }
    if spec.metrics.iter().flatten().next().is_none() {
        findings.add(
            &document.title,
            "spec.metrics",
            "nothing",
            "what to scale by",
        );
    }
    let behavior = spec.behavior.clone().unwrap_or_default();
    if behavior.scale_down.is_none() {
        findings.add(
            &document.title,
            "spec.behavior.scaleDown",
            "nothing",
            "how fast nodes may go: each that goes drains first",
        );
    }
    for rules in behavior.scale_down.iter().chain(&behavior.scale_up) {
        let window = rules.stabilization_window_seconds.unwrap_or_default();
        if !(0..=3600).contains(&window) {
            let field = "spec.behavior.stabilizationWindowSeconds";
            findings.add(&document.title, field, window.to_string(), "0 to 3600");
        }
        for policy in rules.policies.iter().flatten() {
            if !(1..=1800).contains(&policy.period_seconds) || policy.value < 1 {
                findings.add(
                    &document.title,
                    "spec.behavior.policies",
                    format!("{} in {} s", policy.value, policy.period_seconds),
                    "1 or more in 1 to 1800 s",
                );
            }
        }
    }
}
