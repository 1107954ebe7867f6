//! Requests and limits.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, ResourceRequirements};

use super::quantity::parse;
use crate::finding::{Finding, Findings};
use crate::kinds::rabbitmq::RabbitmqCluster;
use crate::manifests::Manifests;

/// Less memory than that is a slip of the suffix: `512m` is half a byte.
const LEAST_MEMORY: f64 = 4.0 * 1024.0 * 1024.0;

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("resources");
    for workload in manifests.workloads() {
        for (at, container) in workload.containers() {
            let resources = container.resources.clone().unwrap_or_default();
            let field = format!("{at}.resources");
            amounts(workload.title(), &field, &resources, &mut findings);
            bounded(workload.title(), &field, &resources, &mut findings);
        }
        let volumes = workload.spec().and_then(|spec| spec.volumes.clone());
        for volume in volumes.iter().flatten() {
            let Some(empty) = &volume.empty_dir else {
                continue;
            };
            let limit = empty.size_limit.as_ref().map(|limit| limit.0.as_str());
            if limit.and_then(parse).is_none_or(|limit| limit < 1024.0) {
                findings.add(
                    workload.title(),
                    format!("volumes[{}].emptyDir.sizeLimit", volume.name),
                    limit.unwrap_or("nothing"),
                    "an amount: a full disk of the machine evicts others' pods",
                );
            }
        }
    }
    let claims = manifests.all::<StatefulSet>().flat_map(|(document, set)| {
        let claims = set.spec.volume_claim_templates.iter();
        claims.flatten().map(move |claim| (document, claim))
    });
    let claims = claims.chain(manifests.all::<PersistentVolumeClaim>());
    for (document, claim) in claims {
        let spec = claim.spec.as_ref();
        let requests = spec.and_then(|spec| spec.resources.as_ref()?.requests.clone());
        let storage = requests.and_then(|requests| requests.get("storage").cloned());
        if storage
            .as_ref()
            .and_then(|storage| parse(&storage.0))
            .is_none()
        {
            let found = storage.map_or_else(|| "nothing".to_owned(), |storage| storage.0);
            findings.add(
                &document.title,
                "resources.requests.storage",
                found,
                "an amount",
            );
        }
    }
    for (document, cluster) in manifests.all::<RabbitmqCluster>() {
        let resources = cluster.spec.resources.clone().unwrap_or_default();
        amounts(&document.title, "spec.resources", &resources, &mut findings);
        bounded(&document.title, "spec.resources", &resources, &mut findings);
    }
    findings.done()
}

fn amounts(object: &str, field: &str, resources: &ResourceRequirements, findings: &mut Findings) {
    let sides = [
        ("requests", &resources.requests),
        ("limits", &resources.limits),
    ];
    for (side, amounts) in sides {
        for (name, amount) in amounts.iter().flatten() {
            let field = format!("{field}.{side}.{name}");
            match parse(&amount.0) {
                None => findings.add(object, field, &amount.0, "an amount such as 250m or 512Mi"),
                Some(number) if name == "memory" && number < LEAST_MEMORY => {
                    findings.add(object, field, &amount.0, "some MiB at least");
                }
                Some(number) if number <= 0.0 => {
                    findings.add(object, field, &amount.0, "more than nothing");
                }
                Some(_) => {}
            }
        }
    }
    for (name, request) in resources.requests.iter().flatten() {
        let limit = resources
            .limits
            .iter()
            .flatten()
            .find(|(of, _)| *of == name);
        let Some((_, limit)) = limit else { continue };
        if parse(&request.0) > parse(&limit.0) {
            findings.add(
                object,
                format!("{field}.requests.{name}"),
                &request.0,
                format!("no more than the limit, {}", limit.0),
            );
        }
    }
}

/// A pod says what it needs, and cannot take all of a machine's memory.
fn bounded(object: &str, field: &str, resources: &ResourceRequirements, findings: &mut Findings) {
    let has = |side: &Option<std::collections::BTreeMap<String, _>>, name: &str| {
        side.iter().any(|amounts| amounts.contains_key(name))
    };
    let wanted = [
        ("requests.cpu", has(&resources.requests, "cpu")),
        ("requests.memory", has(&resources.requests, "memory")),
        ("limits.memory", has(&resources.limits, "memory")),
    ];
    for (name, there) in wanted {
        if !there {
            findings.add(object, format!("{field}.{name}"), "nothing", "an amount");
        }
    }
}
