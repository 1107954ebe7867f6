//! Rights at the API server: what the supervisor asks for, and nothing else for anybody.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};

use crate::document::Document;
use crate::finding::{Finding, Findings};
use crate::manifests::Manifests;
use crate::pod::Workload;

/// Group, resource and verbs that a role of ours may give.
const USED: &[(&str, &str, &[&str])] = &[
    (
        "coordination.k8s.io",
        "leases",
        &["create", "get", "update", "patch"],
    ),
    ("", "pods", &["get", "list", "watch", "patch"]),
    ("apps", "deployments", &["get", "list", "watch"]),
    // What RabbitMQ's discovery of its members asks.
    ("", "endpoints", &["get"]),
    ("discovery.k8s.io", "endpointslices", &["get", "list"]),
    ("", "events", &["create"]),
];

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("rights");
    for (document, _) in manifests.all::<ClusterRole>() {
        findings.add(
            &document.title,
            "kind",
            "ClusterRole",
            "a Role: one namespace is enough",
        );
    }
    for (document, _) in manifests.all::<ClusterRoleBinding>() {
        findings.add(
            &document.title,
            "kind",
            "ClusterRoleBinding",
            "a RoleBinding",
        );
    }
    for (document, role) in manifests.all::<Role>() {
        for rule in role.rules.iter().flatten() {
            least(document, rule, &mut findings);
        }
    }
    for workload in manifests.workloads() {
        token(manifests, &workload, &mut findings);
        lease(manifests, &workload, &mut findings);
    }
    findings.done()
}

fn least(document: &Document, rule: &PolicyRule, findings: &mut Findings) {
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            let used = USED
                .iter()
                .find(|(of, name, _)| of == group && name == resource);
            let field = format!("rules[{group}/{resource}]");
            let Some((_, _, verbs)) = used else {
                findings.add(
                    &document.title,
                    field,
                    "a right",
                    "none: nothing asks for it",
                );
                continue;
            };
            for verb in &rule.verbs {
                if !verbs.contains(&verb.as_str()) {
                    let expected = format!("of {verbs:?}");
                    findings.add(
                        &document.title,
                        &field,
                        format!("the verb {verb}"),
                        expected,
                    );
                }
            }
        }
    }
    // What does not exist yet has no name: the server refuses such a right silently.
    let named = rule.resource_names.iter().flatten().next().is_some();
    if named
        && rule
            .verbs
            .iter()
            .any(|verb| verb == "create" || verb == "list")
    {
        let found = "create or list of named objects";
        findings.add(&document.title, "rules", found, "these verbs without names");
    }
}

/// Returns the rules that a workload's account has.
fn rules(manifests: &Manifests, workload: &Workload<'_>) -> Vec<PolicyRule> {
    let namespace = workload.document.namespace();
    let account = workload
        .spec()
        .and_then(|spec| spec.service_account_name.clone());
    let bound = manifests.all::<RoleBinding>().filter(|(_, binding)| {
        binding.subjects.iter().flatten().any(|subject| {
            subject.kind == "ServiceAccount"
                && subject.namespace.as_deref() == Some(namespace)
                && Some(&subject.name) == account.as_ref()
        })
    });
    bound
        .filter_map(|(_, binding)| {
            let role = manifests.find("Role", namespace, &binding.role_ref.name)?;
            role.get::<Role>()?.rules.clone()
        })
        .flatten()
        .collect()
}

/// A token is mounted where it is of use, and nowhere else.
fn token(manifests: &Manifests, workload: &Workload<'_>, findings: &mut Findings) {
    let Some(spec) = workload.spec() else { return };
    let account = spec.service_account_name.as_deref().unwrap_or("default");
    let namespace = workload.document.namespace();
    let of_account = manifests
        .find("ServiceAccount", namespace, account)
        .and_then(Document::get::<ServiceAccount>)
        .and_then(|account| account.automount_service_account_token);
    let mounted = spec
        .automount_service_account_token
        .or(of_account)
        .unwrap_or(true);
    let useful = !rules(manifests, workload).is_empty();
    if mounted != useful {
        findings.add(
            workload.title(),
            "automountServiceAccountToken",
            mounted.to_string(),
            format!(
                "{useful}: its account has {} rights",
                if useful { "some" } else { "no" }
            ),
        );
    }
}

/// Who leads by a Lease may make, read and write that Lease; who keeps costs may patch pods.
fn lease(manifests: &Manifests, workload: &Workload<'_>, findings: &mut Findings) {
    for (at, container) in workload.containers() {
        let variables = super::environment::of(manifests, workload, container);
        let args = container.args.clone().unwrap_or_default();
        let after = args.windows(2).find(|pair| pair[0] == "--lease");
        let flag = after.map(|pair| pair[1].clone());
        let joined = args.iter().find_map(|arg| arg.strip_prefix("--lease="));
        let lease = flag.or_else(|| joined.map(str::to_owned));
        let lease = lease.or_else(|| variables.get("CELERIAC_LEASE").cloned());
        let mut needed = Vec::new();
        if let Some(lease) = &lease {
            needed.push(("coordination.k8s.io", "leases", "create", None));
            needed.push(("coordination.k8s.io", "leases", "get", Some(lease)));
            needed.push(("coordination.k8s.io", "leases", "update", Some(lease)));
        }
        if variables.contains_key("CELERIAC_NODE_PODS") {
            needed.push(("", "pods", "list", None));
            needed.push(("", "pods", "patch", None));
        }
        let rules = rules(manifests, workload);
        for (group, resource, verb, name) in needed {
            let has = |list: &Option<Vec<String>>, word: &str| {
                list.iter().flatten().any(|one| one == word)
            };
            let given = rules.iter().any(|rule| {
                let named = rule
                    .resource_names
                    .as_ref()
                    .filter(|names| !names.is_empty());
                has(&rule.api_groups, group)
                    && has(&rule.resources, resource)
                    && rule.verbs.iter().any(|one| one == verb)
                    && named.is_none_or(|names| name.is_some_and(|name| names.contains(name)))
            });
            if !given {
                findings.add(
                    workload.title(),
                    format!("{at}.args"),
                    format!(
                        "no right to {verb} {resource} {}",
                        name.map_or("", |name| name)
                    ),
                    "a Role that gives it to this account",
                );
            }
        }
    }
}
