//! The variables that a container gets.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container};

use crate::document::Document;
use crate::finding::{Finding, Findings};
use crate::manifests::Manifests;
use crate::pod::Workload;

/// Returns the variables of a container: those of ConfigMaps, overridden by its own.
pub(crate) fn of(
    manifests: &Manifests,
    workload: &Workload<'_>,
    container: &Container,
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let Some(name) = source.config_map_ref.as_ref().map(|map| &map.name) else {
            continue;
        };
        let namespace = workload.document.namespace();
        let map = manifests
            .find("ConfigMap", namespace, name)
            .and_then(Document::get::<ConfigMap>);
        for (key, value) in map.iter().flat_map(|map| map.data.iter().flatten()) {
            variables.insert(format!("{prefix}{key}"), value.clone());
        }
    }
    for variable in container.env.iter().flatten() {
        let value = variable.value.clone().unwrap_or_default();
        variables.insert(variable.name.clone(), value);
    }
    variables
}

/// Nothing secret stands in a variable: who may read a pod may read those.
pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("environment");
    for workload in manifests.workloads() {
        for (at, container) in workload.containers() {
            for (name, value) in of(manifests, &workload, container) {
                let url = value.split_once("://").map(|(_, rest)| rest);
                let host = url.and_then(|rest| rest.split('/').next());
                if host.is_some_and(|host| host.contains('@')) {
                    findings.add(
                        workload.title(),
                        format!("{at}.env[{name}]"),
                        "a URL with a user",
                        "a file of a Secret, by the variable that ends with _FILE",
                    );
                }
            }
            for variable in container.env.iter().flatten() {
                let from = variable.value_from.as_ref();
                if from.is_some_and(|from| from.secret_key_ref.is_some()) {
                    findings.add(
                        workload.title(),
                        format!("{at}.env[{}]", variable.name),
                        "a Secret as a variable",
                        "a Secret as a file",
                    );
                }
            }
        }
    }
    findings.done()
}
