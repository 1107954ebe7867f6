//! What kustomization files say has an effect: kustomize itself is silent about a patch that
//! matches nothing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::finding::{Finding, Findings, assert_none};
use crate::renderings::each;
use crate::tree::Tree;

/// Lists whose every element has to change something.
const LISTS: [&str; 6] = [
    "patches",
    "replacements",
    "images",
    "replicas",
    "labels",
    "configurations",
];

/// Returns what changes nothing wherever it is used, and the files that nobody names.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Findings::new("patches");
    for folder in without_effect(tree) {
        findings.add(
            &format!("k8s/{}/kustomization.yaml", folder.0),
            folder.1,
            "no effect on any rendering",
            "what matches an object and changes it",
        );
    }
    for file in unnamed(tree) {
        let expected = "a kustomization file that names it";
        findings.add(
            &format!("k8s/{file}"),
            "the file",
            "named nowhere",
            expected,
        );
    }
    findings.done()
}

/// One element of a kustomization file, and the renderings that take it in.
#[derive(Debug)]
struct Trial {
    folder: String,
    element: String,
    without: Value,
    renderings: Vec<String>,
}

fn without_effect(tree: &Tree) -> Vec<(String, String)> {
    let renderings = renderings_of(tree);
    let mut trials = Vec::new();
    for folder in tree.kustomizations() {
        let users = renderings
            .iter()
            .filter(|(_, closure)| closure.contains(&folder))
            .map(|(name, _)| name.clone());
        let users: Vec<_> = users.collect();
        let (_, raw) = tree.kustomization(&folder);
        trials.extend(elements(&raw).into_iter().map(|(element, without)| Trial {
            folder: folder.clone(),
            element,
            without,
            renderings: users.clone(),
        }));
    }
    let names: Vec<_> = renderings.keys().cloned().collect();
    let whole: BTreeMap<_, _> = names
        .iter()
        .zip(each(&names, |name| tree.render(name).unwrap()))
        .collect();
    // Each change is made in a copy of its own: the trials run side by side.
    let changed = each(&trials, |trial| {
        let copy = tree.duplicate();
        copy.set_kustomization(&trial.folder, &trial.without);
        let mut renderings = trial.renderings.iter();
        // What does not render without it is needed.
        renderings.any(|name| copy.render(name).map_or(true, |text| text != whole[name]))
    });
    let idle = trials
        .into_iter()
        .zip(changed)
        .filter(|(_, changed)| !changed);
    idle.map(|(trial, _)| (trial.folder, trial.element))
        .collect()
}

/// Returns the renderings that are looked at, each with the folders that it takes in.
fn renderings_of(tree: &Tree) -> BTreeMap<String, Vec<String>> {
    let mut names = vec!["base".to_owned()];
    names.extend(tree.of_kind("overlays"));
    let known: Vec<_> = names.iter().flat_map(|name| tree.closure(name)).collect();
    for component in tree.of_kind("components") {
        if !known.contains(&component) {
            names.push(tree.combine(&[&component]));
        }
    }
    let closures = names.into_iter().map(|name| {
        let closure = tree.closure(&name);
        (name, closure)
    });
    closures.collect()
}

/// Returns each element of the lists with the file as it would be without it, or changed.
fn elements(raw: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for list in LISTS {
        let Some(elements) = raw[list].as_array() else {
            continue;
        };
        for (index, element) in elements.iter().enumerate() {
            let mut without = raw.clone();
            without[list].as_array_mut().unwrap().remove(index);
            if list == "images" {
                // One that says what is so already is a place for others to change it.
                without.clone_from(raw);
                without[list][index]["newTag"] = json!("of-a-test");
            }
            if list == "replacements" {
                // Each target is an element of its own.
                let targets = element["targets"].as_array().map_or(0, Vec::len);
                for target in 0..targets.max(1) {
                    let mut less = raw.clone();
                    let left = less[list][index]["targets"].as_array_mut();
                    match left.filter(|_| targets > 1) {
                        Some(left) => drop(left.remove(target)),
                        None => less.clone_from(&without),
                    }
                    found.push((format!("replacements[{index}].targets[{target}]"), less));
                }
                continue;
            }
            let target = element["target"].to_string();
            let name = format!("{list}[{index}] {}", target.replace("null", ""));
            found.push((name.trim().to_owned(), without));
        }
    }
    found
}

/// Returns the files that no kustomization file names.
fn unnamed(tree: &Tree) -> Vec<String> {
    let mut named = Vec::new();
    for folder in tree.kustomizations() {
        let (kustomization, _) = tree.kustomization(&folder);
        named.extend(kustomization.named().iter().map(|path| join(&folder, path)));
    }
    let overlay = |path: &str| path.starts_with("overlays/") && path.split('/').count() == 2;
    let component = |path: &str| path.starts_with("components/") && path.split('/').count() == 2;
    let files = tree.files().into_iter().filter(|file| {
        let Some(folder) = file.strip_suffix("/kustomization.yaml") else {
            // Guides and examples of files that must not be in the checkout are for people.
            let for_people = file.ends_with(".md") || file.contains(".example");
            return !for_people && !file.contains("/.") && !named.contains(file);
        };
        !overlay(folder)
            && !component(folder)
            && folder != "base"
            && !named.contains(&folder.to_owned())
    });
    files.collect()
}

/// Joins two paths of which the second may go up.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in path.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn every_patch_changes_something() {
    let found = check(&Tree::copy()).into_iter();
    let found = found.map(|finding| ("the tree".to_owned(), finding));
    assert_none(
        found.collect(),
        "kustomization files that say what has no effect",
    );
}

#[test]
fn what_matches_nothing_is_found() {
    let tree = Tree::copy();
    let (_, mut raw) = tree.kustomization("base");
    let patch = json!({
        "target": { "kind": "Deployment", "name": "celeriac-nodes" },
        "patch": "- { op: add, path: /spec/replicas, value: 3 }",
    });
    let idle = json!({
        "target": { "kind": "Deployment", "name": "celeriac-node" },
        "patch": "- { op: add, path: /spec/revisionHistoryLimit, value: 5 }",
    });
    raw["patches"] = json!([patch, idle]);
    raw["images"] = json!([{ "name": "celeriac-of-another-name", "newTag": "1" }]);
    tree.set_kustomization("base", &raw);
    tree.write("base/left-over.yaml", "kind: ConfigMap\n");
    let found = check(&tree);
    let about = |text: &str| found.iter().any(|one| one.to_string().contains(text));
    for text in [
        "celeriac-nodes",
        "patches[1]",
        "images[0]",
        "left-over.yaml",
    ] {
        assert!(
            about(text),
            "expected a finding about {text}, found {found:#?}"
        );
    }
    assert_eq!(found.len(), 4, "{found:#?}");
}
