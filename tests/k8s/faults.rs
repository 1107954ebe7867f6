//! Seeded faults: each is put into good manifests, and found by the check that claims it.
//!
//! The good manifests are the overlay for development, two more pools, and `faults/sample.yaml`
//! with the kinds that it does not have. The table of what found what is `faults.txt` in the log.

mod edit;
mod objects;
mod pods;
mod scaling;
mod traffic;

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::document::Document;
use crate::finding::{Finding, assert_none};
use crate::manifests::Manifests;
use crate::schema::schema;
use crate::{checks, drift, policy, renderings, rules, tools, validate};
use edit::{Objects, copy, object, push};

/// One fault.
struct Fault {
    name: &'static str,
    /// The check that claims to find it.
    by: &'static str,
    put: fn(&mut Objects),
}

/// Who looks for faults, in the order of the table's columns.
const WHO: [(&str, &str); 6] = [
    ("decode", "strict decoder"),
    ("objects", "comparison of objects"),
    ("binary", "comparison with the binary"),
    ("validate", "kubernetes-validate"),
    ("checkov", "checkov"),
    ("promtool", "promtool"),
];

fn faults() -> Vec<&'static Fault> {
    let all = [
        objects::FAULTS,
        pods::FAULTS,
        scaling::FAULTS,
        traffic::FAULTS,
    ];
    all.into_iter().flatten().collect()
}

/// Returns manifests with every kind and without a fault.
fn good() -> Objects {
    let overlay = &renderings::get("overlays/dev").manifests;
    let mut all: Objects = overlay
        .documents
        .iter()
        .map(|one| one.value.clone())
        .collect();
    for pool in ["heavy", "asleep"] {
        let name = format!("celeriac-node-{pool}");
        copy(&mut all, "Deployment celeriac-node", &name);
        let deployment = object(&mut all, &format!("Deployment {name}"));
        let text = deployment.to_string();
        let text = text.replace(
            r#""celeriac.dev/pool":"default""#,
            &format!(r#""celeriac.dev/pool":"{pool}""#),
        );
        *deployment = serde_json::from_str(&text).unwrap();
        // What is scaled has no number of its own.
        deployment["spec"]
            .as_object_mut()
            .unwrap()
            .remove("replicas");
    }
    let sample = serde_saphyr::from_multiple::<Value>(include_str!("faults/sample.yaml"));
    all.extend(sample.unwrap());
    all
}

/// Returns what is found without the validators of others.
fn found_by_us(manifests: &Manifests) -> Vec<Finding> {
    let mut found = manifests.undecoded();
    found.extend(checks::all(manifests));
    found.extend(drift::check(manifests, schema()));
    found.extend(drift::refused(manifests));
    found.extend(rules::refused(manifests));
    found
}

/// Returns whether each list of objects has one that a tool refuses, by one run of the tool.
fn found_by_tool(
    changed: &[Vec<Document>],
    tool: impl Fn(&[&Document]) -> Vec<(usize, Finding)>,
) -> Vec<bool> {
    let all: Vec<(usize, &Document)> = changed
        .iter()
        .enumerate()
        .flat_map(|(fault, documents)| documents.iter().map(move |one| (fault, one)))
        .collect();
    let documents: Vec<_> = all.iter().map(|(_, document)| *document).collect();
    let found: BTreeSet<usize> = tool(&documents)
        .into_iter()
        .map(|(number, _)| all[number].0)
        .collect();
    (0..changed.len())
        .map(|fault| found.contains(&fault))
        .collect()
}

#[test]
fn the_good_manifests_have_no_fault() {
    let found = found_by_us(&Manifests::new(good())).into_iter();
    let found = found.map(|finding| ("the good manifests".to_owned(), finding));
    assert_none(found.collect(), "manifests that should be good");
}

#[test]
fn every_seeded_fault_is_found_by_the_check_that_claims_it() {
    let good = good();
    let faults = faults();
    let names: BTreeSet<_> = faults.iter().map(|fault| fault.name).collect();
    assert_eq!(names.len(), faults.len(), "a name twice");
    let put: Vec<Objects> = faults
        .iter()
        .map(|fault| {
            let mut objects = good.clone();
            (fault.put)(&mut objects);
            assert_ne!(objects, good, "{} changes nothing", fault.name);
            objects
        })
        .collect();
    // A fault of the good manifests is for the test above, and proves nothing here.
    let before = found_by_us(&Manifests::new(good.clone()));
    let ours = renderings::each(&put, |objects| -> BTreeSet<&str> {
        let found = found_by_us(&Manifests::new(objects.clone())).into_iter();
        let new = found.filter(|finding| !before.contains(finding));
        new.map(|finding| finding.check).collect()
    });
    let changed: Vec<Vec<Document>> = put
        .into_iter()
        .map(|objects| {
            let changed = objects.into_iter().filter(|object| !good.contains(object));
            changed.map(Document::new).collect()
        })
        .collect();
    let newest = *validate::versions().end();
    let validated = found_by_tool(&changed, |documents| validate::validate(documents, newest));
    let checked = found_by_tool(&changed, unexcused);

    let mut missed = Vec::new();
    let mut table = format!("{:52} {:12}", "seeded fault", "found by");
    for (column, _) in WHO {
        write!(table, " {column:8}").unwrap();
    }
    let mut totals = [0_usize; WHO.len()];
    for (number, fault) in faults.iter().enumerate() {
        let found = &ours[number];
        let of_objects = |name: &&str| !["decode", "drift", "settings", "promtool"].contains(name);
        let marks = [
            found.contains("decode"),
            found.iter().any(of_objects),
            found.contains("drift") || found.contains("settings"),
            validated[number],
            checked[number],
            found.contains("promtool"),
        ];
        write!(table, "\n{:52} {:12}", fault.name, fault.by).unwrap();
        for (total, mark) in totals.iter_mut().zip(marks) {
            *total += usize::from(mark);
            write!(table, " {:8}", if mark { "x" } else { "-" }).unwrap();
        }
        if !found.contains(fault.by) {
            missed.push(format!(
                "{}: expected {} to find it, found by {found:?}",
                fault.name, fault.by
            ));
        }
    }
    write!(table, "\n{:52} {:12}", format!("all {}", faults.len()), "").unwrap();
    for total in totals {
        write!(table, " {total:<8}").unwrap();
    }
    let legend = WHO.map(|(column, who)| format!("{column}: {who}"));
    writeln!(table, "\n{}", legend.join(", ")).unwrap();
    tools::report("faults.txt", &table);
    assert!(
        missed.is_empty(),
        "faults that slip through:\n{}",
        missed.join("\n")
    );
}

/// Runs checkov and keeps what fails; an exception that a fault makes needless is no find.
fn unexcused(documents: &[&Document]) -> Vec<(usize, Finding)> {
    let found = policy::check(documents).into_iter();
    found
        .filter(|(_, finding)| !finding.expected.starts_with("none"))
        .collect()
}

#[test]
fn an_edit_changes_what_it_names() {
    let mut all = vec![json!({ "kind": "Secret", "metadata": { "name": "a-1x2y" }, "data": {} })];
    edit::set(&mut all, "Secret a", "/data/x.y~1z", json!("1"));
    push(&mut all, "Secret a", "/list", json!(1));
    assert_eq!(all[0]["data"]["x.y/z"], "1");
    assert_eq!(all[0]["list"], json!([1]));
    edit::remove(&mut all, "Secret a", "/data/x.y~1z");
    assert_eq!(all[0]["data"], json!({}));
}
