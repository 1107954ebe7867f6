//! Ports: their numbers, names and protocols, and who names them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::finding::{Finding, Findings};
use crate::kinds::prometheus::{Endpoint, PodMonitor, ServiceMonitor};
use crate::manifests::Manifests;
use crate::pod::{Pod, Workload, selects};

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("ports");
    for workload in manifests.workloads() {
        of_containers(&workload, &mut findings);
    }
    of_services(manifests, &mut findings);
    of_monitors(manifests, &mut findings);
    findings.done()
}

fn of_containers(workload: &Workload<'_>, findings: &mut Findings) {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (at, container) in workload.containers() {
        for port in container.ports.iter().flatten() {
            let field = format!("{at}.ports");
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            number(workload.title(), &field, port.container_port, findings);
            known_protocol(workload.title(), &field, protocol, findings);
            if !numbers.insert((port.container_port, protocol)) {
                let found = format!("{} twice", port.container_port);
                findings.add(workload.title(), &field, found, "each number once in a pod");
            }
            let Some(name) = &port.name else { continue };
            port_name(workload.title(), &field, name, findings);
            if !names.insert(name) {
                let found = format!("the name {name} twice");
                findings.add(workload.title(), &field, found, "each name once in a pod");
            }
        }
    }
}

fn of_services(manifests: &Manifests, findings: &mut Findings) {
    let pods = manifests.pods();
    for (document, service) in manifests.all::<Service>() {
        let Some(spec) = &service.spec else { continue };
        let ports = spec.ports.as_deref().unwrap_or_default();
        let selected: Vec<&Pod> = pods
            .iter()
            .filter(|pod| pod.namespace == document.namespace())
            .filter(|pod| {
                let selector = spec.selector.iter().flatten();
                spec.selector.is_some()
                    && selector
                        .into_iter()
                        .all(|(key, value)| pod.labels.get(key) == Some(value))
            })
            .collect();
        let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        for port in ports {
            let field = format!("spec.ports[{}]", port.port);
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            number(&document.title, &field, port.port, findings);
            known_protocol(&document.title, &field, protocol, findings);
            if !names.insert(port.name.as_deref()) || !numbers.insert((port.port, protocol)) {
                findings.add(
                    &document.title,
                    &field,
                    "a name or number twice",
                    "each once",
                );
            }
            match &port.name {
                Some(name) => port_name(&document.title, &field, name, findings),
                None if ports.len() > 1 => {
                    findings.add(
                        &document.title,
                        &field,
                        "no name",
                        "a name where ports are several",
                    );
                }
                None => {}
            }
            let target = port.target_port.clone();
            let target = target.unwrap_or(IntOrString::Int(port.port));
            for pod in &selected {
                let listens = |one: &crate::pod::Port| one.is(&target) && one.protocol == protocol;
                if !pod.ports.iter().any(listens) {
                    findings.add(
                        &document.title,
                        format!("{field}.targetPort"),
                        show(&target),
                        format!("a port of {}: {}", pod.title, ports_of(pod)),
                    );
                }
            }
        }
    }
}

fn of_monitors(manifests: &Manifests, findings: &mut Findings) {
    for (document, monitor) in manifests.all::<ServiceMonitor>() {
        for (_, service) in manifests.all::<Service>() {
            let labels = service.metadata.labels.clone().unwrap_or_default();
            if !selects(&monitor.spec.selector, &labels) {
                continue;
            }
            let ports = service.spec.as_ref().and_then(|spec| spec.ports.clone());
            let names: Vec<_> = ports
                .iter()
                .flatten()
                .filter_map(|port| port.name.clone())
                .collect();
            for endpoint in &monitor.spec.endpoints {
                let name = endpoint.port.clone().unwrap_or_default();
                if !names.contains(&name) {
                    findings.add(
                        &document.title,
                        "spec.endpoints.port",
                        format!("{name:?}"),
                        format!("the name of a port of the Service: {names:?}"),
                    );
                }
            }
        }
    }
    let pods = manifests.pods();
    for (document, monitor) in manifests.all::<PodMonitor>() {
        let selected = pods
            .iter()
            .filter(|pod| selects(&monitor.spec.selector, &pod.labels));
        for pod in selected {
            for endpoint in &monitor.spec.pod_metrics_endpoints {
                let wanted = IntOrString::String(endpoint.port.clone().unwrap_or_default());
                if !pod.ports.iter().any(|port| port.is(&wanted)) {
                    findings.add(
                        &document.title,
                        "spec.podMetricsEndpoints.port",
                        show(&wanted),
                        format!("the name of a port of {}: {}", pod.title, ports_of(pod)),
                    );
                }
            }
        }
    }
}

fn number(object: &str, field: &str, port: i32, findings: &mut Findings) {
    if !(1..=65535).contains(&port) {
        findings.add(object, field, port.to_string(), "1 to 65535");
    }
}

fn known_protocol(object: &str, field: &str, protocol: &str, findings: &mut Findings) {
    if !matches!(protocol, "TCP" | "UDP" | "SCTP") {
        findings.add(object, field, protocol, "TCP, UDP or SCTP");
    }
}

/// A name of a service as IANA keeps them.
fn port_name(object: &str, field: &str, name: &str, findings: &mut Findings) {
    let letters = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let some = name.bytes().any(|byte| byte.is_ascii_lowercase());
    let edges = name.starts_with('-') || name.ends_with('-') || name.contains("--");
    if !letters || !some || edges || name.len() > 15 {
        findings.add(
            object,
            field,
            name,
            "at most 15 of a-z, 0-9 and single hyphens",
        );
    }
}

pub(crate) fn show(port: &IntOrString) -> String {
    match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => format!("{name:?}"),
    }
}

pub(crate) fn ports_of(pod: &Pod) -> String {
    let ports = pod.ports.iter().map(|port| {
        let name = port.name.as_deref().unwrap_or("unnamed");
        format!("{name} {}", port.number)
    });
    ports.collect::<Vec<_>>().join(", ")
}

/// Returns what monitors ask of a workload: field, port and path.
pub(crate) fn monitored_paths(manifests: &Manifests, title: &str) -> Vec<(String, i32, String)> {
    let pods = manifests.pods();
    let Some(pod) = pods.iter().find(|pod| pod.title == title) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut add = |monitor: &str, endpoint: &Endpoint| {
        let name = IntOrString::String(endpoint.port.clone().unwrap_or_default());
        let path = endpoint
            .path
            .clone()
            .unwrap_or_else(|| "/metrics".to_owned());
        for port in pod.ports.iter().filter(|port| port.is(&name)) {
            found.push((monitor.to_owned(), port.number, path.clone()));
        }
    };
    for (document, monitor) in manifests.all::<PodMonitor>() {
        if selects(&monitor.spec.selector, &pod.labels) {
            let endpoints = monitor.spec.pod_metrics_endpoints.iter();
            endpoints.for_each(|endpoint| add(&document.title, endpoint));
        }
    }
    // Services of ours name their ports as their pods do.
    for (document, monitor) in manifests.all::<ServiceMonitor>() {
        if selects(&monitor.spec.selector, &pod.labels) {
            let endpoints = monitor.spec.endpoints.iter();
            endpoints.for_each(|endpoint| add(&document.title, endpoint));
        }
    }
    found
}
