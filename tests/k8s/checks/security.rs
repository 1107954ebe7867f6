//! The profile `restricted` of Pod Security, and a root file system that is read only.

use k8s_openapi::api::core::v1::{Container, Namespace, PodSpec, SecurityContext, Volume};
use serde_json::Value;

use crate::finding::{Finding, Findings};
use crate::manifests::Manifests;
use crate::pod::Workload;

/// Volumes that the profile lets through.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("security");
    for (document, namespace) in manifests.all::<Namespace>() {
        let labels = namespace.metadata.labels.clone().unwrap_or_default();
        for mode in ["enforce", "audit", "warn"] {
            let label = format!("pod-security.kubernetes.io/{mode}");
            let found = labels.get(&label).map_or("nothing", String::as_str);
            if found != "restricted" {
                findings.add(&document.title, label, found, "restricted");
            }
        }
    }
    for workload in manifests.workloads() {
        let Some(spec) = workload.spec() else {
            continue;
        };
        of_pod(&workload, spec, &mut findings);
        for (at, container) in workload.containers() {
            of_container(&workload, spec, &at, container, &mut findings);
        }
    }
    findings.done()
}

fn of_pod(workload: &Workload<'_>, spec: &PodSpec, findings: &mut Findings) {
    let title = workload.title();
    for (field, on) in [
        ("hostNetwork", spec.host_network),
        ("hostPID", spec.host_pid),
        ("hostIPC", spec.host_ipc),
    ] {
        if on == Some(true) {
            findings.add(
                title,
                field,
                "true",
                "false: the machine's own is not shared",
            );
        }
    }
    for volume in spec.volumes.iter().flatten() {
        for kind in kinds(volume) {
            if !VOLUMES.contains(&kind.as_str()) {
                let field = format!("volumes[{}]", volume.name);
                findings.add(title, field, kind, format!("one of {}", VOLUMES.join(", ")));
            }
        }
    }
    let context = spec.security_context.clone().unwrap_or_default();
    for sysctl in context.sysctls.iter().flatten() {
        findings.add(title, "securityContext.sysctls", &sysctl.name, "none");
    }
    if context.run_as_user == Some(0) {
        findings.add(
            title,
            "securityContext.runAsUser",
            "0",
            "a user that is not root",
        );
    }
}

fn kinds(volume: &Volume) -> Vec<String> {
    let Ok(Value::Object(fields)) = serde_json::to_value(volume) else {
        return Vec::new();
    };
    fields
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name != "name")
        .collect()
}

fn of_container(
    workload: &Workload<'_>,
    spec: &PodSpec,
    at: &str,
    container: &Container,
    findings: &mut Findings,
) {
    let own = container.security_context.clone().unwrap_or_default();
    let pod = spec.security_context.clone().unwrap_or_default();
    let mut add = |field: &str, found: String, expected: &str| {
        findings.add(
            workload.title(),
            format!("{at}.securityContext.{field}"),
            found,
            expected,
        );
    };
    if own.run_as_non_root.or(pod.run_as_non_root) != Some(true) {
        let found = format!("{:?}", own.run_as_non_root.or(pod.run_as_non_root));
        add("runAsNonRoot", found, "true");
    }
    // A name in an image cannot be checked by the kubelet, a number can.
    match own.run_as_user.or(pod.run_as_user) {
        None => add("runAsUser", "nothing".to_owned(), "a number above 0"),
        Some(0) => add("runAsUser", "0".to_owned(), "a number above 0"),
        Some(_) => {}
    }
    let profile = own
        .seccomp_profile
        .as_ref()
        .or(pod.seccomp_profile.as_ref());
    let profile = profile.map_or("nothing", |profile| profile.type_.as_str());
    if !matches!(profile, "RuntimeDefault" | "Localhost") {
        add("seccompProfile", profile.to_owned(), "RuntimeDefault");
    }
    flags(&own, &mut add);
    for port in container.ports.iter().flatten() {
        if port.host_port.is_some_and(|port| port != 0) {
            let field = format!("{at}.ports[{}].hostPort", port.container_port);
            findings.add(workload.title(), field, "a port of the machine", "none");
        }
    }
}

fn flags(own: &SecurityContext, add: &mut dyn FnMut(&str, String, &str)) {
    for (field, found, wanted) in [
        (
            "allowPrivilegeEscalation",
            own.allow_privilege_escalation,
            false,
        ),
        (
            "readOnlyRootFilesystem",
            own.read_only_root_filesystem,
            true,
        ),
        ("privileged", own.privileged.or(Some(false)), false),
    ] {
        if found != Some(wanted) {
            add(field, format!("{found:?}"), &wanted.to_string());
        }
    }
    let capabilities = own.capabilities.clone().unwrap_or_default();
    if !capabilities.drop.iter().flatten().any(|one| one == "ALL") {
        let found = format!("{:?}", capabilities.drop.unwrap_or_default());
        add("capabilities.drop", found, "ALL");
    }
    for extra in capabilities.add.iter().flatten() {
        if extra != "NET_BIND_SERVICE" {
            add(
                "capabilities.add",
                extra.clone(),
                "none but NET_BIND_SERVICE",
            );
        }
    }
    if own
        .proc_mount
        .as_ref()
        .is_some_and(|mount| mount != "Default")
    {
        add("procMount", format!("{:?}", own.proc_mount), "Default");
    }
}
