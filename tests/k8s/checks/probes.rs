//! Probes: one handler each, at a port that is there, with figures that make sense.

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::ports::show;
use crate::finding::{Finding, Findings};
use crate::manifests::Manifests;

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("probes");
    for workload in manifests.workloads() {
        for (at, container) in workload.containers() {
            let probes = [
                ("startupProbe", &container.startup_probe),
                ("livenessProbe", &container.liveness_probe),
                ("readinessProbe", &container.readiness_probe),
            ];
            for (name, probe) in probes {
                if let Some(probe) = probe {
                    let field = format!("{at}.{name}");
                    one(
                        workload.title(),
                        &field,
                        name,
                        probe,
                        container,
                        &mut findings,
                    );
                }
            }
            let hooks = container.lifecycle.iter();
            for hook in hooks.flat_map(|hooks| hooks.pre_stop.iter().chain(&hooks.post_start)) {
                if handlers_of_hook(hook) != 1 {
                    let found = format!("{} handlers", handlers_of_hook(hook));
                    findings.add(workload.title(), format!("{at}.lifecycle"), found, "one");
                }
            }
        }
    }
    findings.done()
}

fn one(
    object: &str,
    field: &str,
    name: &str,
    probe: &Probe,
    container: &Container,
    findings: &mut Findings,
) {
    let handlers = [
        probe.exec.is_some(),
        probe.grpc.is_some(),
        probe.http_get.is_some(),
        probe.tcp_socket.is_some(),
    ];
    let count = handlers.into_iter().filter(|there| *there).count();
    if count != 1 {
        findings.add(object, field, format!("{count} handlers"), "one handler");
    }
    let ports = [
        probe.http_get.as_ref().map(|get| get.port.clone()),
        probe.tcp_socket.as_ref().map(|tcp| tcp.port.clone()),
        probe.grpc.as_ref().map(|grpc| IntOrString::Int(grpc.port)),
    ];
    for port in ports.into_iter().flatten() {
        let listens = container.ports.iter().flatten().any(|one| match &port {
            IntOrString::Int(number) => one.container_port == *number,
            IntOrString::String(name) => one.name.as_ref() == Some(name),
        });
        if !listens {
            findings.add(
                object,
                format!("{field}.port"),
                show(&port),
                "a port of this container",
            );
        }
    }
    let path = probe.http_get.as_ref().and_then(|get| get.path.as_deref());
    if path.is_some_and(|path| !path.starts_with('/')) {
        findings.add(
            object,
            field,
            path.unwrap_or_default(),
            "a path that starts with /",
        );
    }
    let figures = [
        ("periodSeconds", probe.period_seconds, 1),
        ("timeoutSeconds", probe.timeout_seconds, 1),
        ("failureThreshold", probe.failure_threshold, 1),
        ("successThreshold", probe.success_threshold, 1),
        ("initialDelaySeconds", probe.initial_delay_seconds, 0),
    ];
    for (figure, value, least) in figures {
        if value.is_some_and(|value| value < least) {
            let found = value.unwrap_or_default().to_string();
            findings.add(
                object,
                format!("{field}.{figure}"),
                found,
                format!("{least} or more"),
            );
        }
    }
    if name != "readinessProbe" && probe.success_threshold.is_some_and(|value| value != 1) {
        let found = probe.success_threshold.unwrap_or_default().to_string();
        findings.add(object, format!("{field}.successThreshold"), found, "1");
    }
    let period = probe.period_seconds.unwrap_or(10);
    let timeout = probe.timeout_seconds.unwrap_or(1);
    if timeout > period {
        findings.add(
            object,
            format!("{field}.timeoutSeconds"),
            timeout.to_string(),
            format!("no more than the period, {period}"),
        );
    }
}

fn handlers_of_hook(hook: &LifecycleHandler) -> usize {
    let handlers = [
        hook.exec.is_some(),
        hook.http_get.is_some(),
        hook.sleep.is_some(),
        hook.tcp_socket.is_some(),
    ];
    handlers.into_iter().filter(|there| *there).count()
}
