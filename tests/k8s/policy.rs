//! Policy, by checkov: every exception stands beside its object, with a reason, and is needed.
//!
//! An object's exceptions are annotations `checkov.io/skip<n>: <check>=<reason>`, a Dockerfile's
//! are comments `# checkov:skip=<check>:<reason>`. They are taken out before the run, so that one
//! that is no longer needed is seen.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::document::Document;
use crate::finding::{Finding, Findings, assert_none};
use crate::renderings;
use crate::tools::{complaint, printed, root, run, scratch};
use crate::validate::write;

/// A check, and why it does not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Exception {
    check: String,
    reason: String,
}

/// A check that failed: number of the file, its name, and what it is about.
type Failure = (usize, String, String);

/// Runs checkov over a folder of numbered files.
fn failures(framework: &str, folder: &Path) -> Vec<Failure> {
    let output = run(
        "checkov",
        &[
            "--framework",
            framework,
            "--directory",
            folder.to_str().unwrap(),
            "--compact",
            "--quiet",
            "--skip-download",
            "--output",
            "json",
        ],
    );
    let text = printed(&output);
    let report: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("checkov: {error}\n{text}\n{}", complaint(&output)));
    assert_eq!(report["summary"]["parsing_errors"], 0, "{report}");
    let checked = report["summary"]["passed"].as_u64().unwrap_or_default();
    assert!(checked > 0, "expected checkov to check something: {report}");
    let failed = report["results"]["failed_checks"].as_array();
    let failed = failed.into_iter().flatten().map(|check| {
        let path = check["file_path"].as_str().unwrap_or_default();
        let digits: String = path.chars().filter(char::is_ascii_digit).collect();
        let word = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
        (
            digits.parse().unwrap(),
            word("check_id"),
            word("check_name"),
        )
    });
    failed.collect()
}

/// Returns an object's exceptions and the object without them.
fn exceptions(document: &Document) -> (Vec<Exception>, Document) {
    let mut value = document.value.clone();
    let mut found = Vec::new();
    if let Some(Value::Object(annotations)) = value.pointer_mut("/metadata/annotations") {
        annotations.retain(|key, value| {
            if !key.starts_with("checkov.io/skip") {
                return true;
            }
            let text = value.as_str().unwrap_or_default();
            let (check, reason) = text.split_once('=').unwrap_or((text, ""));
            found.push(Exception {
                check: check.to_owned(),
                reason: reason.to_owned(),
            });
            false
        });
    }
    (found, Document::new(value))
}

/// Checks objects; a finding has the number of its object.
pub(crate) fn check(documents: &[&Document]) -> Vec<(usize, Finding)> {
    let folder = scratch("policy");
    let mut claimed = Vec::new();
    for (number, document) in documents.iter().enumerate() {
        let (exceptions, bare) = exceptions(document);
        write(&folder, number, &bare);
        claimed.push(exceptions);
    }
    let failed = failures("kubernetes", &folder);
    let titles: Vec<_> = documents.iter().map(|one| one.title.as_str()).collect();
    compare(&titles, &claimed, &failed)
}

/// Compares what failed with what is excused.
fn compare(
    titles: &[&str],
    claimed: &[Vec<Exception>],
    failed: &[Failure],
) -> Vec<(usize, Finding)> {
    let mut found = Vec::new();
    let mut add = |number: usize, field: &str, what: &str, expected: &str| {
        let mut findings = Findings::new("policy");
        findings.add(titles[number], field, what, expected);
        found.extend(findings.done().into_iter().map(|finding| (number, finding)));
    };
    for (number, check, name) in failed {
        if !claimed[*number].iter().any(|one| one.check == *check) {
            add(
                *number,
                check,
                name,
                "that it holds, or an exception with its reason",
            );
        }
    }
    // One object has many forms; an exception is needed when one of them needs it.
    let needed: BTreeSet<(&str, &str)> = failed
        .iter()
        .map(|(number, check, _)| (titles[*number], check.as_str()))
        .collect();
    for (number, exceptions) in claimed.iter().enumerate() {
        for Exception { check, reason } in exceptions {
            if reason.trim().len() < 15 {
                add(
                    number,
                    check,
                    &format!("an exception because {reason:?}"),
                    "a reason",
                );
            }
            if !needed.contains(&(titles[number], check.as_str())) {
                add(number, check, "an exception", "none: the check holds");
            }
        }
    }
    found
}

/// Returns every Dockerfile of the checkout.
fn dockerfiles() -> Vec<String> {
    let output = std::process::Command::new("git")
        .args(["ls-files", "--", "*Dockerfile*"])
        .current_dir(root())
        .output()
        .unwrap();
    printed(&output).lines().map(str::to_owned).collect()
}

fn exceptions_of_lines(text: &str) -> (Vec<Exception>, String) {
    let (skips, rest): (Vec<&str>, Vec<&str>) = text
        .lines()
        .partition(|line| line.trim_start().starts_with('#') && line.contains("checkov:skip="));
    let exceptions = skips.into_iter().filter_map(|line| {
        let (_, skip) = line.split_once("checkov:skip=")?;
        let (check, reason) = skip.split_once(':').unwrap_or((skip, ""));
        Some(Exception {
            check: check.trim().to_owned(),
            reason: reason.to_owned(),
        })
    });
    (exceptions.collect(), rest.join("\n") + "\n")
}

/// Checks Dockerfiles, given by name and text.
fn check_dockerfiles(files: &[(String, String)]) -> Vec<(usize, Finding)> {
    let folder = scratch("dockerfiles");
    let mut claimed = Vec::new();
    for (number, (_, text)) in files.iter().enumerate() {
        let (exceptions, bare) = exceptions_of_lines(text);
        let folder = folder.join(number.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("Dockerfile"), bare).unwrap();
        claimed.push(exceptions);
    }
    let titles: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    compare(&titles, &claimed, &failures("dockerfile", &folder))
}

#[test]
fn every_object_keeps_to_policy_or_says_why_not() {
    let distinct = renderings::distinct();
    let documents: Vec<_> = distinct.iter().map(|(_, document)| *document).collect();
    let found = check(&documents).into_iter();
    let found = found.map(|(number, finding)| (distinct[number].0.to_owned(), finding));
    assert_none(found.collect(), "objects against policy");
}

#[test]
fn every_dockerfile_keeps_to_policy_or_says_why_not() {
    let files = dockerfiles().into_iter().map(|name| {
        let text = std::fs::read_to_string(root().join(&name)).unwrap();
        (name, text)
    });
    // A file that is against policy, to see that the tool looks.
    let mut files: Vec<_> = files.collect();
    let seeded = files.len();
    let text = "FROM debian:latest\nADD . /x\n".to_owned();
    files.push(("a seeded Dockerfile".to_owned(), text));
    let found = check_dockerfiles(&files);
    assert!(
        found.iter().any(|(number, _)| *number == seeded),
        "expected a Dockerfile without a user to be found, found {found:?}"
    );
    let found = found.into_iter().filter(|(number, _)| *number != seeded);
    let found = found.map(|(number, finding)| (files[number].0.clone(), finding));
    assert_none(found.collect(), "Dockerfiles against policy");
}

#[test]
fn an_exception_needs_a_reason_and_a_failing_check() {
    let exception = |check: &str, reason: &str| Exception {
        check: check.to_owned(),
        reason: reason.to_owned(),
    };
    let good = exception("CKV_1", "what has to be so, because of this");
    let failed = vec![(0, "CKV_1".to_owned(), "a rule".to_owned())];
    assert_eq!(compare(&["x"], &[vec![good.clone()]], &failed), []);
    let unexcused = compare(&["x"], &[Vec::new()], &failed);
    assert_eq!(unexcused.len(), 1, "{unexcused:?}");
    let without_reason = compare(&["x"], &[vec![exception("CKV_1", "")]], &failed);
    assert_eq!(without_reason.len(), 1, "{without_reason:?}");
    let unneeded = compare(&["x"], &[vec![good]], &[]);
    assert_eq!(unneeded.len(), 1, "{unneeded:?}");
}
