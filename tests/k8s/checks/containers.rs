//! Containers: names, variables and what must be said of each.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::EnvVar;

use crate::finding::{Finding, Findings};
use crate::manifests::Manifests;

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("containers");
    for workload in manifests.workloads() {
        let mut names = BTreeSet::new();
        for (at, container) in workload.containers() {
            if !names.insert(&container.name) {
                findings.add(
                    workload.title(),
                    &at,
                    "a name twice",
                    "each name once in a pod",
                );
            }
            let mut variables = BTreeSet::new();
            for variable in container.env.iter().flatten() {
                let field = format!("{at}.env[{}]", variable.name);
                if !variables.insert(&variable.name) {
                    findings.add(workload.title(), &field, "a variable twice", "each once");
                }
                if sources(variable) > 1 {
                    let found = format!("{} sources of its value", sources(variable));
                    findings.add(workload.title(), &field, found, "one");
                }
            }
        }
        let spec = workload.spec();
        if spec.is_none_or(|spec| spec.enable_service_links != Some(false)) {
            findings.add(
                workload.title(),
                "enableServiceLinks",
                "true, or nothing",
                "false: links of Services called celeriac-... look like settings",
            );
        }
    }
    findings.done()
}

fn sources(variable: &EnvVar) -> usize {
    let from = variable.value_from.as_ref();
    let sources = [
        variable
            .value
            .as_ref()
            .is_some_and(|value| !value.is_empty()),
        from.is_some_and(|from| from.config_map_key_ref.is_some()),
        from.is_some_and(|from| from.secret_key_ref.is_some()),
        from.is_some_and(|from| from.field_ref.is_some()),
        from.is_some_and(|from| from.resource_field_ref.is_some()),
    ];
    sources.into_iter().filter(|there| *there).count()
}
