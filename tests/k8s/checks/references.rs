//! What is named exists, with the keys that are asked of it.

mod named;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::api::rbac::v1::RoleBinding;

use crate::document::Document;
use crate::finding::{Finding, Findings};
use crate::kinds::gateway::HTTPRoute;
use crate::kinds::keda::{ScaledObject, TriggerAuthentication};
use crate::kinds::prometheus::{Endpoint, PodMonitor, ServiceMonitor};
use crate::kinds::rabbitmq::RabbitmqCluster;
use crate::manifests::Manifests;
use crate::pod::Workload;
use named::{Reference, of_pod};

/// Secrets that the one who deploys makes, or an operator, and the keys that they have.
const GIVEN: &[(&str, &[&str])] = &[
    (
        "celeriac-secrets",
        &[
            "broker",
            "result_backend",
            "token",
            "store",
            "management_url",
            "keda_token",
        ],
    ),
    ("celeriac-rabbitmq-erlang-cookie", &[".erlang.cookie"]),
    (
        "celeriac-rabbitmq-default-user",
        &[
            "connection_string",
            "default_user.conf",
            "host",
            "password",
            "port",
            "provider",
            "type",
            "username",
        ],
    ),
];

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("references");
    for workload in manifests.workloads() {
        pod(manifests, &workload, &mut findings);
    }
    bindings(manifests, &mut findings);
    authentications(manifests, &mut findings);
    monitors(manifests, &mut findings);
    routes(manifests, &mut findings);
    namespaces(manifests, &mut findings);
    unused(manifests, &mut findings);
    findings.done()
}

/// Returns the keys of a ConfigMap or Secret, of one that is given too.
pub(crate) fn keys(
    manifests: &Manifests,
    namespace: &str,
    kind: &str,
    name: &str,
) -> Option<Vec<String>> {
    let document = manifests.find(kind, namespace, name);
    if let Some(map) = document.and_then(Document::get::<ConfigMap>) {
        let texts = map.data.iter().flat_map(|data| data.keys());
        let bytes = map.binary_data.iter().flat_map(|data| data.keys());
        return Some(texts.chain(bytes).cloned().collect());
    }
    if let Some(secret) = document.and_then(Document::get::<Secret>) {
        let bytes = secret.data.iter().flat_map(|data| data.keys());
        let texts = secret.string_data.iter().flat_map(|data| data.keys());
        return Some(bytes.chain(texts).cloned().collect());
    }
    if kind != "Secret" {
        return None;
    }
    let given = GIVEN.iter().find(|(known, _)| *known == name);
    given.map(|(_, keys)| keys.iter().map(|key| (*key).to_owned()).collect())
}

fn resolve(
    manifests: &Manifests,
    document: &Document,
    reference: &Reference,
    findings: &mut Findings,
) {
    let Reference {
        field,
        kind,
        name,
        key,
        optional,
    } = reference;
    if *optional {
        return;
    }
    let namespace = document.namespace();
    let found = match *kind {
        "ConfigMap" | "Secret" => keys(manifests, namespace, kind, name),
        _ => manifests.find(kind, namespace, name).map(|_| Vec::new()),
    };
    match (found, key) {
        (None, _) => findings.add(
            &document.title,
            field,
            format!("{kind} {name}, which nobody makes"),
            format!("the name of a {kind}"),
        ),
        (Some(keys), Some(key)) if !keys.contains(key) => findings.add(
            &document.title,
            field,
            format!("key {key}, which {kind} {name} does not have"),
            format!("one of {keys:?}"),
        ),
        (Some(_), _) => {}
    }
}

fn pod(manifests: &Manifests, workload: &Workload<'_>, findings: &mut Findings) {
    let Some(spec) = workload.spec() else { return };
    for reference in of_pod(workload, spec) {
        resolve(manifests, workload.document, &reference, findings);
    }
}

/// Roles and the accounts that they are given to.
fn bindings(manifests: &Manifests, findings: &mut Findings) {
    for (document, binding) in manifests.all::<RoleBinding>() {
        let role = &binding.role_ref;
        if !matches!(role.kind.as_str(), "Role" | "ClusterRole") {
            findings.add(
                &document.title,
                "roleRef.kind",
                &role.kind,
                "Role or ClusterRole",
            );
            continue;
        }
        if role.kind == "Role" {
            let reference = Reference::new("roleRef", "Role", &role.name, None);
            resolve(manifests, document, &reference, findings);
        }
        for subject in binding.subjects.iter().flatten() {
            if subject.kind != "ServiceAccount" {
                findings.add(&document.title, "subjects", &subject.kind, "ServiceAccount");
                continue;
            }
            let namespace = subject.namespace.as_deref().unwrap_or_default();
            if manifests
                .find("ServiceAccount", namespace, &subject.name)
                .is_none()
            {
                findings.add(
                    &document.title,
                    "subjects",
                    format!("ServiceAccount {} in namespace {namespace:?}", subject.name),
                    "a ServiceAccount that is here",
                );
            }
        }
    }
}

fn authentications(manifests: &Manifests, findings: &mut Findings) {
    for (document, object) in manifests.all::<ScaledObject>() {
        for (index, trigger) in object.spec.triggers.iter().enumerate() {
            let field = format!("triggers[{index}].authenticationRef");
            let Some(of) = &trigger.authentication_ref else {
                continue;
            };
            if of.kind.as_deref().unwrap_or("TriggerAuthentication") == "TriggerAuthentication" {
                let reference = Reference::new(&field, "TriggerAuthentication", &of.name, None);
                resolve(manifests, document, &reference, findings);
            }
        }
    }
    for (document, object) in manifests.all::<TriggerAuthentication>() {
        for of in &object.spec.secret_target_ref {
            let field = format!("secretTargetRef[{}]", of.parameter);
            let reference = Reference::new(&field, "Secret", &of.name, None).key(&of.key);
            resolve(manifests, document, &reference, findings);
        }
        for of in &object.spec.config_map_target_ref {
            let field = format!("configMapTargetRef[{}]", of.parameter);
            let reference = Reference::new(&field, "ConfigMap", &of.name, None).key(&of.key);
            resolve(manifests, document, &reference, findings);
        }
    }
}

fn monitors(manifests: &Manifests, findings: &mut Findings) {
    let of_pods = manifests.all::<PodMonitor>();
    let of_pods = of_pods.map(|(document, one)| (document, &one.spec.pod_metrics_endpoints));
    let of_services = manifests.all::<ServiceMonitor>();
    let of_services = of_services.map(|(document, one)| (document, &one.spec.endpoints));
    for (document, endpoints) in of_pods.chain(of_services) {
        for Endpoint { authorization, .. } in endpoints {
            let Some(of) = authorization else { continue };
            let of = &of.credentials;
            let field = "endpoints.authorization.credentials";
            let reference = Reference::new(field, "Secret", &of.name, Some(of.optional));
            resolve(manifests, document, &reference.key(&of.key), findings);
        }
    }
}

/// What brings requests in from outside names a Service and a port that it has.
fn routes(manifests: &Manifests, findings: &mut Findings) {
    let mut backend = |document: &Document, name: &str, port: Option<i32>, named: Option<&str>| {
        let service = manifests.service(document.namespace(), name);
        let ports = service.and_then(|service| service.spec.as_ref()?.ports.clone());
        let found = ports
            .unwrap_or_default()
            .iter()
            .any(|one| port == Some(one.port) || named.is_some() && named == one.name.as_deref());
        if !found {
            findings.add(
                &document.title,
                "backend",
                format!("Service {name}, port {port:?}{}", named.unwrap_or_default()),
                "a Service that is here and one of its ports",
            );
        }
    };
    for (document, route) in manifests.all::<HTTPRoute>() {
        for of in route.spec.rules.iter().flat_map(|rule| &rule.backend_refs) {
            backend(document, &of.name, of.port.map(i32::from), None);
        }
    }
    for (document, ingress) in manifests.all::<Ingress>() {
        let Some(spec) = &ingress.spec else { continue };
        let rules = spec
            .rules
            .iter()
            .flatten()
            .filter_map(|rule| rule.http.as_ref());
        let paths = rules.flat_map(|http| &http.paths).map(|path| &path.backend);
        for of in paths.chain(&spec.default_backend) {
            let Some(service) = &of.service else { continue };
            let port = service.port.clone().unwrap_or_default();
            backend(document, &service.name, port.number, port.name.as_deref());
        }
    }
}

/// A namespace that is made here is the one that objects are in.
fn namespaces(manifests: &Manifests, findings: &mut Findings) {
    let made: Vec<_> = manifests.all::<Namespace>().collect();
    if made.is_empty() {
        return;
    }
    for document in &manifests.documents {
        let namespace = document.namespace();
        let known = made.iter().any(|(of, _)| of.name() == namespace);
        if !known && !is_of_the_cluster(document.kind()) {
            findings.add(
                &document.title,
                "metadata.namespace",
                format!("{namespace:?}"),
                "the namespace that is made here",
            );
        }
    }
}

pub(crate) fn is_of_the_cluster(kind: &str) -> bool {
    matches!(
        kind,
        "Namespace" | "ClusterRole" | "ClusterRoleBinding" | "PriorityClass" | "StorageClass"
    )
}

/// What nobody names is left over, or named wrongly somewhere.
fn unused(manifests: &Manifests, findings: &mut Findings) {
    let mut named: Vec<(&str, String)> = Vec::new();
    for workload in manifests.workloads() {
        let spec = workload.spec().into_iter();
        let references = spec.flat_map(|spec| of_pod(&workload, spec));
        named.extend(references.map(|one| (one.kind, one.name)));
    }
    for (_, object) in manifests.all::<TriggerAuthentication>() {
        let secrets = object.spec.secret_target_ref.iter();
        named.extend(secrets.map(|one| ("Secret", one.name.clone())));
    }
    for (_, binding) in manifests.all::<RoleBinding>() {
        named.push(("Role", binding.role_ref.name.clone()));
    }
    for (_, object) in manifests.all::<ScaledObject>() {
        let references = object.spec.triggers.iter();
        let references = references.filter_map(|one| one.authentication_ref.as_ref());
        named.extend(references.map(|one| ("TriggerAuthentication", one.name.clone())));
    }
    // The operator reads what it would make itself.
    for (document, _) in manifests.all::<RabbitmqCluster>() {
        named.push(("Secret", format!("{}-default-user", document.name())));
    }
    const KINDS: [&str; 5] = [
        "ConfigMap",
        "Secret",
        "ServiceAccount",
        "Role",
        "TriggerAuthentication",
    ];
    for document in &manifests.documents {
        let kind = document.kind();
        let known = named
            .iter()
            .any(|(of, name)| *of == kind && name == document.name());
        // Grafana's sidecar looks for this label and for no name.
        let dashboard = document.value["metadata"]["labels"]["grafana_dashboard"].is_string();
        if KINDS.contains(&kind) && !known && !dashboard {
            findings.add(
                &document.title,
                "metadata.name",
                "a name that nobody uses",
                "a use",
            );
        }
    }
    for (document, service) in manifests.all::<Service>() {
        if service
            .spec
            .as_ref()
            .is_none_or(|spec| spec.selector.is_none())
        {
            findings.add(
                &document.title,
                "spec.selector",
                "nothing",
                "the labels of pods",
            );
        }
    }
}
