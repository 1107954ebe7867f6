//! Images: a tag or a digest each, and one of our own.

use std::collections::BTreeMap;

use crate::finding::{Finding, Findings};
use crate::manifests::Manifests;

/// The name that images of releases have.
const RELEASED: &str = "ghcr.io/celeriac/celeriac";

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("images");
    let mut own: BTreeMap<String, String> = BTreeMap::new();
    for workload in manifests.workloads() {
        for (at, container) in workload.containers() {
            let image = container.image.clone().unwrap_or_default();
            let field = format!("{at}.image");
            let (name, digest) = match image.split_once('@') {
                Some((name, digest)) => (name, Some(digest)),
                None => (image.as_str(), None),
            };
            let start = name.rfind('/').map_or(0, |slash| slash + 1);
            let (name, tag) = match name[start..].split_once(':') {
                Some((last, tag)) => (format!("{}{last}", &name[..start]), Some(tag)),
                None => (name.to_owned(), None),
            };
            if digest.is_none() && tag.is_none_or(|tag| tag.is_empty() || tag == "latest") {
                let expected = "a tag that says a version, or a digest";
                findings.add(workload.title(), &field, &image, expected);
            }
            if digest.is_some_and(|digest| !digest.starts_with("sha256:")) {
                findings.add(workload.title(), &field, &image, "a digest sha256:...");
            }
            if name == RELEASED && digest.is_none() && tag != Some(env!("CARGO_PKG_VERSION")) {
                let expected = format!("{RELEASED}:{}", env!("CARGO_PKG_VERSION"));
                findings.add(workload.title(), &field, &image, expected);
            }
            if name.rsplit('/').next() == Some("celeriac") {
                own.insert(image, workload.title().to_owned());
            }
        }
    }
    // A pool may run an image of its own tasks; celeriac's own is one.
    if own.len() > 1 {
        let images: Vec<_> = own.keys().cloned().collect();
        let title = own.values().next().cloned().unwrap_or_default();
        findings.add(
            &title,
            "image",
            images.join(" and "),
            "one celeriac image in all objects",
        );
    }
    findings.done()
}
