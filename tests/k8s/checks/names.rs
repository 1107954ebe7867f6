//! Names and labels as the server takes them, and each object once.

use std::collections::BTreeSet;

use super::references::is_of_the_cluster;
use crate::document::Document;
use crate::finding::{Finding, Findings};
use crate::manifests::Manifests;

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("names");
    let mut seen = BTreeSet::new();
    for document in &manifests.documents {
        let identity = (document.kind(), document.namespace(), document.name());
        if !seen.insert(identity) {
            findings.add(
                &document.title,
                "metadata.name",
                "an object twice",
                "each once",
            );
        }
        let name = document.name();
        let short = matches!(document.kind(), "Service" | "Namespace");
        let good = if short {
            is_label(name)
        } else {
            is_domain(name)
        };
        if !good {
            findings.add(
                &document.title,
                "metadata.name",
                name,
                "a DNS name in lower case",
            );
        }
        // An operator makes Services and pods of it, whose names are labels.
        if document.kind() == "RabbitmqCluster" && !is_label(name) {
            findings.add(&document.title, "metadata.name", name, "a DNS label");
        }
        let namespace = document.namespace();
        if is_of_the_cluster(document.kind()) && !namespace.is_empty() {
            findings.add(&document.title, "metadata.namespace", namespace, "none");
        }
        labels(document, &mut findings);
    }
    for workload in manifests.workloads() {
        for (at, container) in workload.containers() {
            if !is_label(&container.name) {
                findings.add(workload.title(), &at, &container.name, "a DNS label");
            }
        }
        for (key, value) in workload.labels() {
            label(workload.title(), &key, &value, &mut findings);
        }
    }
    findings.done()
}

fn labels(document: &Document, findings: &mut Findings) {
    let labels = document.value["metadata"]["labels"].as_object();
    for (key, value) in labels.into_iter().flatten() {
        label(
            &document.title,
            key,
            value.as_str().unwrap_or_default(),
            findings,
        );
    }
}

fn label(object: &str, key: &str, value: &str, findings: &mut Findings) {
    let (prefix, name) = key.rsplit_once('/').unwrap_or(("", key));
    let prefixed = prefix.is_empty() || is_domain(prefix);
    if !prefixed || name.is_empty() || !is_value(name) {
        findings.add(
            object,
            format!("labels[{key}]"),
            key,
            "a name, with a domain before it or not",
        );
    }
    if !is_value(value) {
        findings.add(
            object,
            format!("labels[{key}]"),
            value,
            "63 letters, digits, -, _ and dots",
        );
    }
}

fn is_value(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    (1..=63).contains(&text.len())
        && bytes.iter().all(inner)
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-')
}

fn is_domain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

#[test]
fn names_are_lower_case_and_labels_may_have_more() {
    assert!(is_label("celeriac-node"));
    assert!(is_domain("a.b-c.d1"));
    for bad in ["Celeriac", "-a", "a-", "a_b", "", "a..b"] {
        assert!(!is_domain(bad), "{bad}");
    }
    assert!(is_value("A_b.c-1") && is_value("") && !is_value("-a") && !is_value("a b"));
}
