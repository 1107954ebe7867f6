//! Volumes, where they are mounted, and the files that settings expect in them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSpec, Volume};

use super::references::keys;
use crate::finding::{Finding, Findings};
use crate::manifests::Manifests;
use crate::pod::Workload;

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("volumes");
    for workload in manifests.workloads() {
        let Some(spec) = workload.spec() else {
            continue;
        };
        mounts(manifests, &workload, spec, &mut findings);
        for (at, container) in workload.containers() {
            files(manifests, &workload, spec, &at, container, &mut findings);
        }
    }
    findings.done()
}

fn mounts(manifests: &Manifests, workload: &Workload<'_>, spec: &PodSpec, findings: &mut Findings) {
    let title = workload.title();
    let mut volumes = BTreeSet::new();
    for volume in spec.volumes.iter().flatten() {
        let field = format!("volumes[{}]", volume.name);
        if !volumes.insert(volume.name.clone()) {
            findings.add(title, &field, "a name twice", "each once");
        }
        if sources(volume) != 1 {
            let found = format!("{} sources", sources(volume));
            findings.add(title, &field, found, "one source");
        }
        for mode in modes(volume) {
            // YAML reads 0440 as a decimal number in one version and as octal in another.
            if ![0o400, 0o440, 0o444, 0o644].contains(&mode) {
                let found = format!("{mode}, which is {mode:o} in octal");
                let expected = "256 (0400), 288 (0440), 292 (0444) or 420 (0644)";
                findings.add(title, format!("{field}.defaultMode"), found, expected);
            }
        }
    }
    // A StatefulSet makes volumes for its pods.
    let made = manifests
        .all::<k8s_openapi::api::apps::v1::StatefulSet>()
        .filter(|(document, _)| document.title == title)
        .filter_map(|(_, set)| set.spec.volume_claim_templates.clone())
        .flatten()
        .filter_map(|claim| claim.metadata.name);
    volumes.extend(made);
    let mut mounted = BTreeSet::new();
    for (at, container) in workload.containers() {
        let mut paths = BTreeSet::new();
        for mount in container.volume_mounts.iter().flatten() {
            let field = format!("{at}.volumeMounts[{}]", mount.name);
            mounted.insert(mount.name.clone());
            if !volumes.contains(&mount.name) {
                let expected = format!("one of {volumes:?}");
                findings.add(title, &field, "a volume that is not there", expected);
            }
            if !paths.insert(&mount.mount_path) {
                findings.add(title, &field, "a path twice", "each path once");
            }
        }
    }
    for unused in volumes.difference(&mounted) {
        let field = format!("volumes[{unused}]");
        findings.add(title, field, "mounted nowhere", "a mount");
    }
}

fn sources(volume: &Volume) -> usize {
    let value = serde_json::to_value(volume).unwrap();
    value.as_object().unwrap().len() - 1
}

fn modes(volume: &Volume) -> Vec<i32> {
    let mut modes = Vec::new();
    modes.extend(volume.config_map.as_ref().and_then(|map| map.default_mode));
    modes.extend(
        volume
            .secret
            .as_ref()
            .and_then(|secret| secret.default_mode),
    );
    modes.extend(volume.projected.as_ref().and_then(|one| one.default_mode));
    modes
}

/// A setting that names a file names one that is in a volume.
fn files(
    manifests: &Manifests,
    workload: &Workload<'_>,
    spec: &PodSpec,
    at: &str,
    container: &Container,
    findings: &mut Findings,
) {
    for variable in container.env.iter().flatten() {
        let ours = variable.name.starts_with("CELERIAC_") && variable.name.ends_with("_FILE");
        let (true, Some(path)) = (ours, variable.value.as_deref()) else {
            continue;
        };
        let there = container.volume_mounts.iter().flatten().any(|mount| {
            let below = path.strip_prefix(&mount.mount_path);
            let Some(below) = below.and_then(|below| below.strip_prefix('/')) else {
                return false;
            };
            let volumes = spec.volumes.iter().flatten();
            let mut volumes = volumes.filter(|volume| volume.name == mount.name);
            let namespace = workload.document.namespace();
            volumes.any(|volume| contents(manifests, namespace, volume).contains(&below.to_owned()))
        });
        if !there {
            findings.add(
                workload.title(),
                format!("{at}.env[{}]", variable.name),
                path,
                "a file of a volume that is mounted here",
            );
        }
    }
}

/// Returns the files of a volume made of ConfigMaps and Secrets.
fn contents(manifests: &Manifests, namespace: &str, volume: &Volume) -> Vec<String> {
    let mut files = Vec::new();
    let mut add = |kind: &str, name: &str, items: Vec<String>, all: bool| {
        if all {
            files.extend(keys(manifests, namespace, kind, name).unwrap_or_default());
        } else {
            files.extend(items);
        }
    };
    if let Some(secret) = &volume.secret {
        let items = secret.items.iter().flatten().map(|item| item.path.clone());
        let name = secret.secret_name.as_deref().unwrap_or_default();
        add("Secret", name, items.collect(), secret.items.is_none());
    }
    if let Some(map) = &volume.config_map {
        let items = map.items.iter().flatten().map(|item| item.path.clone());
        add("ConfigMap", &map.name, items.collect(), map.items.is_none());
    }
    let sources = volume
        .projected
        .iter()
        .flat_map(|one| one.sources.iter().flatten());
    for source in sources {
        if let Some(secret) = &source.secret {
            let items = secret.items.iter().flatten().map(|item| item.path.clone());
            add(
                "Secret",
                &secret.name,
                items.collect(),
                secret.items.is_none(),
            );
        }
        if let Some(map) = &source.config_map {
            let items = map.items.iter().flatten().map(|item| item.path.clone());
            add("ConfigMap", &map.name, items.collect(), map.items.is_none());
        }
    }
    files
}

/// Returns the files of ConfigMaps that a container sees: path and text.
pub(crate) fn texts(
    manifests: &Manifests,
    workload: &Workload<'_>,
    container: &Container,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let volumes = workload.spec().and_then(|spec| spec.volumes.as_ref());
    for mount in container.volume_mounts.iter().flatten() {
        let mut all = volumes.into_iter().flatten();
        let volume = all.find(|volume| volume.name == mount.name);
        let name = volume.and_then(|volume| Some(&volume.config_map.as_ref()?.name));
        let map = name.and_then(|name| {
            let namespace = workload.document.namespace();
            manifests
                .find("ConfigMap", namespace, name)?
                .get::<ConfigMap>()
        });
        for (key, text) in map.iter().flat_map(|map| map.data.iter().flatten()) {
            let path = match &mount.sub_path {
                Some(part) if part == key => mount.mount_path.clone(),
                Some(_) => continue,
                None => format!("{}/{key}", mount.mount_path),
            };
            found.insert(path, text.clone());
        }
    }
    found
}
