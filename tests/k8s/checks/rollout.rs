//! How pods are replaced.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::finding::{Finding, Findings};
use crate::manifests::Manifests;

/// What a Deployment has without saying so, in seconds.
const DEFAULT_DEADLINE: i32 = 600;

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("rollout");
    for (document, deployment) in manifests.all::<Deployment>() {
        let spec = &deployment.spec;
        let strategy = spec.strategy.clone().unwrap_or_default();
        let kind = strategy.type_.as_deref().unwrap_or("RollingUpdate");
        match (kind, &strategy.rolling_update) {
            ("Recreate", None) => {}
            ("Recreate", Some(_)) => {
                let expected = "none with Recreate";
                findings.add(
                    &document.title,
                    "strategy.rollingUpdate",
                    "figures",
                    expected,
                );
            }
            ("RollingUpdate", rolling) => {
                let rolling = rolling.clone().unwrap_or_default();
                let surge = rolling.max_surge.as_ref().is_some_and(is_zero);
                let unavailable = rolling.max_unavailable.as_ref().is_some_and(is_zero);
                if surge && unavailable {
                    findings.add(
                        &document.title,
                        "strategy.rollingUpdate",
                        "maxSurge 0 and maxUnavailable 0",
                        "one of them above 0",
                    );
                }
            }
            (other, _) => {
                let expected = "RollingUpdate or Recreate";
                findings.add(&document.title, "strategy.type", other, expected);
            }
        }
        let deadline = spec.progress_deadline_seconds.unwrap_or(DEFAULT_DEADLINE);
        let mut needed = spec.min_ready_seconds.unwrap_or_default();
        needed += spec
            .template
            .spec
            .iter()
            .flat_map(|spec| &spec.containers)
            .filter_map(|container| container.startup_probe.as_ref())
            .map(|probe| {
                let tries = probe.failure_threshold.unwrap_or(3);
                let delay = probe.initial_delay_seconds.unwrap_or_default();
                delay + tries * probe.period_seconds.unwrap_or(10)
            })
            .max()
            .unwrap_or_default();
        if deadline <= needed {
            findings.add(
                &document.title,
                "spec.progressDeadlineSeconds",
                deadline.to_string(),
                format!("more than the start may take, {needed} s"),
            );
        }
    }
    for (document, set) in manifests.all::<StatefulSet>() {
        let name = set.spec.service_name.as_deref();
        let service = name.and_then(|name| manifests.service(document.namespace(), name));
        let headless = service
            .and_then(|service| service.spec.as_ref()?.cluster_ip.as_deref())
            .is_some_and(|address| address == "None");
        if !headless {
            findings.add(
                &document.title,
                "spec.serviceName",
                name.unwrap_or("nothing"),
                "a Service with clusterIP None",
            );
        }
    }
    findings.done()
}

fn is_zero(figure: &IntOrString) -> bool {
    match figure {
        IntOrString::Int(number) => *number == 0,
        IntOrString::String(text) => text == "0%" || text == "0",
    }
}
