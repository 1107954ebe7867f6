//! Rules of the house that a compiler does not hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who may use whom among our crates, and who may name which outside crate.
const EDGES: &[(&str, &[&str])] = &[
    ("celeriac-protocol", &[]),
    ("celeriac-macros", &[]),
    ("celeriac", &["celeriac-macros", "celeriac-protocol"]),
    ("celeriac-node", &["celeriac"]),
    ("celeriac-supervisor", &["celeriac", "celeriac-protocol"]),
    (
        "celeriac-cli",
        &["celeriac", "celeriac-node", "celeriac-supervisor"],
    ),
];

/// Outside crates that only some of ours may name, and which.
const KEEPERS: &[(&str, &[&str])] = &[
    ("lapin", &["celeriac"]),
    ("redis", &["celeriac"]),
    ("actix", &["celeriac-node", "celeriac-supervisor"]),
    ("actix-rt", &["celeriac-node", "celeriac-supervisor"]),
    ("clap", &["celeriac-cli"]),
    ("rusqlite", &["celeriac-supervisor"]),
    ("tokio-postgres", &["celeriac-supervisor"]),
];

/// Lines of a source file before its tests.
const LONGEST_FILE: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let shipped = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(name)
                .collect();
            (name(package), shipped)
        })
        .collect()
}

#[test]
fn the_graph_of_crates_is_the_architecture() {
    let dependencies = dependencies();
    for (of, allowed) in EDGES {
        let mut found: Vec<_> = dependencies[*of]
            .iter()
            .filter(|name| name.starts_with("celeriac"))
            .map(String::as_str)
            .collect();
        found.sort_unstable();
        assert_eq!(&found, allowed, "crates that {of} uses");
    }
}

#[test]
fn client_libraries_are_named_in_one_place() {
    for (of, found) in dependencies() {
        // The harness talks to servers behind the product's back.
        if of == "celeriac-tests" {
            continue;
        }
        for (outside, keepers) in KEEPERS {
            let uses = found.iter().any(|name| name == outside);
            assert!(
                !uses || keepers.contains(&of.as_str()),
                "{of} names {outside}"
            );
        }
    }
}

#[test]
fn no_source_file_is_too_long() {
    let mut files = Vec::new();
    for folder in ["protocol", "celeriac", "node", "supervisor", "cli"] {
        collect(&root().join(folder).join("src"), &mut files);
    }
    collect(&root().join("celeriac/macros/src"), &mut files);
    assert!(files.len() > 50, "the sources were found");
    let long: Vec<_> = files
        .iter()
        // A file of tests is the tests of its parent.
        .filter(|file| file.file_name().is_none_or(|name| name != "tests.rs"))
        .filter(|file| !file.components().any(|part| part.as_os_str() == "tests"))
        .filter_map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            let lines = text
                .lines()
                .take_while(|line| !line.starts_with("#[cfg(test)]"))
                .count();
            (lines > LONGEST_FILE).then(|| format!("{} has {lines} lines", file.display()))
        })
        .collect();
    assert!(
        long.is_empty(),
        "split by noun at {LONGEST_FILE}: {long:#?}"
    );
}

/// Returns the part of a file that is tests: all of it, what follows `#[cfg(test)]`, or none.
fn tests_of(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).unwrap();
    if file.components().any(|part| part.as_os_str() == "tests") {
        return Some(text);
    }
    match text.split_once("\n#[cfg(test)]\nmod tests {") {
        Some((_, tests)) => Some(tests.to_owned()),
        None => text.contains("#[test]").then_some(text),
    }
}

#[test]
fn no_module_is_a_mod_rs() {
    let mut files = Vec::new();
    for folder in ["protocol", "celeriac", "node", "supervisor", "cli", "tests"] {
        collect(&root().join(folder), &mut files);
    }
    let found: Vec<_> = files
        .iter()
        .filter(|file| file.file_name().is_some_and(|name| name == "mod.rs"))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with(".venv") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Every guarantee of `docs/semantics.md` is named by a test that proves it.
#[test]
fn every_guarantee_is_proved_by_a_test() {
    /// Says what is assumed; there is nothing to prove.
    const ASSUMED: [u32; 1] = [25];
    let page = std::fs::read_to_string(root().join("docs/semantics.md")).unwrap();
    let mut numbers: Vec<u32> = page
        .split("**S")
        .skip(1)
        .map(|rest| rest.split('.').next().unwrap().parse().unwrap())
        .collect();
    // They stand where they belong, in the order of the page; their numbers stay.
    numbers.sort_unstable();
    let last = numbers.last().copied().unwrap_or_default();
    assert_eq!(
        numbers,
        (1..=last).collect::<Vec<_>>(),
        "each number once, none left out"
    );

    let mut files = Vec::new();
    for folder in ["protocol", "celeriac", "node", "supervisor", "cli", "tests"] {
        collect(&root().join(folder), &mut files);
    }
    let cited: Vec<String> = files
        .iter()
        .filter_map(|file| tests_of(file))
        .flat_map(|text| {
            let comments = text
                .lines()
                .filter(|line| line.trim_start().starts_with("//"));
            let words = comments.flat_map(|line| line.split(|c: char| !c.is_alphanumeric()));
            words.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let missing: Vec<_> = numbers
        .into_iter()
        .filter(|number| !ASSUMED.contains(number))
        .filter(|number| !cited.contains(&format!("S{number}")))
        .collect();
    assert!(missing.is_empty(), "guarantees without a test: {missing:?}");
}
