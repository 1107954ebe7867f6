//! The time that a pod has to end, and what uses it.

use crate::finding::{Finding, Findings};
use crate::manifests::Manifests;
use crate::pod::Workload;

/// What a pod has without saying so, in seconds.
const DEFAULT_GRACE: i64 = 30;
/// What a process leaves of the grace period; a fifth of a short one.
const MARGIN: i64 = 5;

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("life cycle");
    for workload in manifests.workloads() {
        one(manifests, &workload, &mut findings);
    }
    findings.done()
}

fn one(manifests: &Manifests, workload: &Workload<'_>, findings: &mut Findings) {
    let Some(spec) = workload.spec() else { return };
    let grace = spec
        .termination_grace_period_seconds
        .unwrap_or(DEFAULT_GRACE);
    let title = workload.title();
    for (at, container) in workload.containers() {
        let pause = container
            .lifecycle
            .as_ref()
            .and_then(|hooks| Some(hooks.pre_stop.as_ref()?.sleep.as_ref()?.seconds))
            .unwrap_or_default();
        if pause >= grace {
            findings.add(
                title,
                format!("{at}.lifecycle.preStop.sleep"),
                pause.to_string(),
                format!("less than terminationGracePeriodSeconds, {grace}"),
            );
        }
        let variables = super::environment::of(manifests, workload, container);
        let told = variables.get("CELERIAC_TERMINATION_GRACE_PERIOD");
        let ours = variables.keys().any(|name| name.starts_with("CELERIAC_"));
        let field = format!("{at}.env[CELERIAC_TERMINATION_GRACE_PERIOD]");
        match told.map(|told| (told, seconds(told))) {
            None if ours => {
                findings.add(
                    title,
                    field,
                    "nothing",
                    format!("the pod's grace period, {grace}"),
                );
            }
            // A pause before the signal is taken from the same time.
            Some((told, given)) if given != Some(grace - pause) => findings.add(
                title,
                field,
                told,
                format!(
                    "terminationGracePeriodSeconds less preStop, {}",
                    grace - pause
                ),
            ),
            _ => {}
        }
        let margin = if grace < 25 { grace / 5 } else { MARGIN };
        for name in ["CELERIAC_DRAIN_DEADLINE"] {
            let Some(deadline) = variables.get(name) else {
                continue;
            };
            let fits = seconds(deadline).is_some_and(|it| it + margin + pause <= grace);
            if !fits {
                findings.add(
                    title,
                    format!("{at}.env[{name}]"),
                    deadline,
                    format!("with {margin} s margin and {pause} s preStop no more than {grace} s"),
                );
            }
        }
    }
}

/// Reads `60`, `60s`, `5m` and `1h`.
fn seconds(text: &str) -> Option<i64> {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let factor = match &text[end..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => return None,
    };
    Some(text[..end].parse::<i64>().ok()? * factor)
}
