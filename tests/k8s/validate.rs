//! Objects against the schemas of Kubernetes' versions, by kubernetes-validate.

use std::path::Path;

use crate::document::Document;
use crate::finding::{Finding, Findings, assert_none};
use crate::renderings;
use crate::tools::{printed, run, scratch};

/// The oldest version that has to take the manifests.
const OLDEST: u32 = 29;

/// Groups of kinds that Kubernetes itself does not have, so that no schema is there; the strict
/// decoder knows them.
const FOREIGN: [&str; 4] = [
    "gateway.networking.k8s.io/",
    "keda.sh/",
    "monitoring.coreos.com/",
    "rabbitmq.com/",
];

/// Returns the minor versions of Kubernetes 1 that there are schemas for.
pub(crate) fn versions() -> std::ops::RangeInclusive<u32> {
    let help = printed(&run("kubernetes-validate", &["--help"]));
    let newest = help.split("Defaults to 1.").nth(1);
    let newest = newest.and_then(|rest| rest.split('.').next()?.parse().ok());
    let newest = newest.unwrap_or_else(|| panic!("expected a default version, found {help}"));
    OLDEST..=newest
}

/// Validates objects, each in a file of its own, for a version; a finding has its number.
pub(crate) fn validate(documents: &[&Document], minor: u32) -> Vec<(usize, Finding)> {
    let folder = scratch("validate");
    let mut arguments = vec![
        "--strict".to_owned(),
        "--quiet".to_owned(),
        "-k".to_owned(),
        format!("1.{minor}"),
    ];
    for (number, document) in documents.iter().enumerate() {
        arguments.push(write(&folder, number, document));
    }
    let output = run("kubernetes-validate", &arguments);
    let mut found = Vec::new();
    for line in printed(&output).lines() {
        let name = line.split_whitespace().nth(1).map(Path::new);
        let number = name.and_then(|name| name.file_stem()?.to_str()?.parse::<usize>().ok());
        let number = number.unwrap_or_else(|| panic!("kubernetes-validate says {line}"));
        let document = documents[number];
        let foreign = FOREIGN
            .iter()
            .any(|group| document.api_version().starts_with(group));
        if line.starts_with("WARN") && foreign {
            continue;
        }
        let said = line.split_once(".yaml ").map_or(line, |(_, said)| said);
        let mut findings = Findings::new("validate");
        let field = format!("Kubernetes 1.{minor}");
        findings.add(&document.title, field, said, "what its schema describes");
        found.extend(findings.done().into_iter().map(|finding| (number, finding)));
    }
    assert!(
        output.status.success() || !found.is_empty(),
        "kubernetes-validate: {}\n{}",
        printed(&output),
        crate::tools::complaint(&output)
    );
    found
}

/// Writes an object to a file whose name is a number; YAML takes JSON.
pub(crate) fn write(folder: &Path, number: usize, document: &Document) -> String {
    let file = folder.join(format!("{number}.yaml"));
    std::fs::write(&file, document.value.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn every_version_of_kubernetes_takes_every_object() {
    let distinct = renderings::distinct();
    let documents: Vec<_> = distinct.iter().map(|(_, document)| *document).collect();
    let minors: Vec<_> = versions().collect();
    assert!(minors.len() > 5, "{minors:?}");
    let found = renderings::each(&minors, |minor| validate(&documents, *minor));
    let found = found.into_iter().flatten();
    let found = found.map(|(number, finding)| (distinct[number].0.to_owned(), finding));
    assert_none(found.collect(), "objects that a version does not take");
}
