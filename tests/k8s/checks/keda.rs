//! KEDA's objects: what only its own webhook would refuse.

use super::addresses::{Address, resolve};
use crate::document::Document;
use crate::finding::{Finding, Findings};
use crate::kinds::keda::{ScaledObject, Trigger};
use crate::manifests::Manifests;

/// Types of triggers that are in use, and what each needs.
const TRIGGERS: &[(&str, &[&str])] = &[
    ("cpu", &["value"]),
    ("cron", &["timezone", "start", "end", "desiredReplicas"]),
    ("external", &["scalerAddress"]),
    ("external-push", &["scalerAddress"]),
    ("memory", &["value"]),
    ("metrics-api", &["url", "valueLocation", "targetValue"]),
    ("prometheus", &["serverAddress", "query", "threshold"]),
    ("rabbitmq", &["queueName", "mode", "value", "protocol"]),
];

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("keda");
    for (document, object) in manifests.all::<ScaledObject>() {
        bounds(document, object, &mut findings);
        for (index, trigger) in object.spec.triggers.iter().enumerate() {
            let field = format!("spec.triggers[{index}]");
            one(document, &field, trigger, &mut findings);
            for address in addresses(trigger) {
                resolve(manifests, document, &field, &address, true, &mut findings);
            }
        }
    }
    findings.done()
}

fn bounds(document: &Document, object: &ScaledObject, findings: &mut Findings) {
    let title = &document.title;
    let spec = &object.spec;
    let least = spec.min_replica_count.unwrap_or_default();
    let most = spec.max_replica_count.unwrap_or(100);
    if least < 0 || least > most {
        let expected = format!("0 to maxReplicaCount, {most}");
        findings.add(title, "spec.minReplicaCount", least.to_string(), expected);
    }
    if let Some(idle) = spec.idle_replica_count
        && (idle != 0 || least == 0)
    {
        let expected = "0, with a minReplicaCount above it";
        findings.add(title, "spec.idleReplicaCount", idle.to_string(), expected);
    }
    for (field, value) in [
        ("spec.pollingInterval", spec.polling_interval),
        ("spec.cooldownPeriod", spec.cooldown_period),
        ("spec.initialCooldownPeriod", spec.initial_cooldown_period),
    ] {
        if value.is_some_and(|value| value < i32::from(field == "spec.pollingInterval")) {
            findings.add(title, field, format!("{value:?}"), "seconds");
        }
    }
    if spec.triggers.is_empty() {
        findings.add(title, "spec.triggers", "nothing", "what to scale by");
    }
    if let Some(fallback) = &spec.fallback {
        if fallback.replicas > most || fallback.replicas < least || fallback.failure_threshold < 1 {
            findings.add(
                title,
                "spec.fallback",
                format!("{} after {}", fallback.replicas, fallback.failure_threshold),
                format!("{least} to {most} replicas after one failure or more"),
            );
        }
        let by_value = |trigger: &Trigger| {
            matches!(trigger.kind.as_str(), "cpu" | "memory")
                || trigger.metric_type.as_deref() == Some("Utilization")
        };
        if spec.triggers.iter().any(by_value) {
            let found = "a trigger of CPU or memory";
            findings.add(
                title,
                "spec.fallback",
                found,
                "triggers that KEDA itself asks",
            );
        }
    }
    // Without a trigger that KEDA asks nobody wakes what is asleep.
    let wakes = |trigger: &Trigger| !matches!(trigger.kind.as_str(), "cpu" | "memory");
    if least == 0 && !spec.triggers.iter().any(wakes) {
        findings.add(title, "spec.minReplicaCount", "0", "1: CPU wakes nobody");
    }
}

fn one(document: &Document, field: &str, trigger: &Trigger, findings: &mut Findings) {
    let title = &document.title;
    let known = TRIGGERS.iter().find(|(kind, _)| *kind == trigger.kind);
    let Some((_, needed)) = known else {
        let names: Vec<_> = TRIGGERS.iter().map(|(kind, _)| *kind).collect();
        findings.add(
            title,
            format!("{field}.type"),
            &trigger.kind,
            format!("one of {}", names.join(", ")),
        );
        return;
    };
    for name in *needed {
        if trigger.metadata.get(*name).is_none_or(String::is_empty) {
            findings.add(
                title,
                format!("{field}.metadata.{name}"),
                "nothing",
                "a value",
            );
        }
    }
    for name in ["value", "targetValue", "threshold", "activationValue"] {
        let value = trigger.metadata.get(name);
        if value.is_some_and(|value| value.parse::<f64>().is_err()) {
            let found = value.cloned().unwrap_or_default();
            findings.add(title, format!("{field}.metadata.{name}"), found, "a number");
        }
    }
    let kind = trigger.metric_type.as_deref();
    let kinds: &[&str] = match trigger.kind.as_str() {
        "cpu" | "memory" => &["Utilization", "AverageValue"],
        _ => &["AverageValue", "Value"],
    };
    if kind.is_some_and(|kind| !kinds.contains(&kind)) {
        let found = kind.unwrap_or_default();
        findings.add(
            title,
            format!("{field}.metricType"),
            found,
            kinds.join(" or "),
        );
    }
}

/// Returns whom KEDA asks for a trigger.
pub(crate) fn addresses(trigger: &Trigger) -> Vec<Address> {
    let names = ["scalerAddress", "url", "serverAddress", "host"];
    let values = names.iter().filter_map(|name| trigger.metadata.get(*name));
    values.filter_map(|value| Address::parse(value)).collect()
}

/// Returns the paths of the supervisor that triggers ask: object, field and path.
pub(crate) fn asked_paths(manifests: &Manifests) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (document, object) in manifests.all::<ScaledObject>() {
        for (index, trigger) in object.spec.triggers.iter().enumerate() {
            let url = trigger.metadata.get("url");
            let Some(url) = url.and_then(|url| url::Url::parse(url).ok()) else {
                continue;
            };
            let host = url.host_str().unwrap_or_default();
            if trigger.kind == "metrics-api" && host.starts_with("celeriac-supervisor") {
                let field = format!("spec.triggers[{index}].metadata.url");
                found.push((document.title.clone(), field, url.path().to_owned()));
            }
        }
    }
    found
}
