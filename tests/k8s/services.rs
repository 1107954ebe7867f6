//! Our processes of `compose.yaml`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::drift::Process;
use crate::tools::root;

/// Returns our processes of the compose file.
pub(crate) fn processes() -> Vec<Process> {
    let path = root().join("compose.yaml");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file: Value =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let services = file["services"].as_object().unwrap();
    let all = services
        .iter()
        .map(|(name, service)| process(name, service));
    let ours: Vec<_> = all
        .filter(|process| {
            process
                .variables
                .keys()
                .any(|name| name.starts_with("CELERIAC_"))
        })
        .collect();
    assert!(
        !ours.is_empty(),
        "expected services of ours in compose.yaml"
    );
    ours
}

fn process(name: &str, service: &Value) -> Process {
    let command = words(&service["command"]);
    let test = words(&service["healthcheck"]["test"]);
    let test = test.strip_prefix(&["CMD".to_owned()]).unwrap_or(&test);
    Process {
        title: format!("service {name}"),
        args: command,
        variables: variables(&service["environment"]),
        shared: BTreeMap::new(),
        files: BTreeMap::new(),
        ports: published(&service["ports"]),
        asked: Vec::new(),
        run: if test.is_empty() {
            Vec::new()
        } else {
            vec![("healthcheck".to_owned(), test.to_vec())]
        },
    }
}

/// Reads a list, or a line of words.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(line) => line.split_whitespace().map(str::to_owned).collect(),
        Value::Array(words) => words.iter().map(word).collect(),
        _ => Vec::new(),
    }
}

fn word(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Reads a map, or a list of `NAME=value`.
fn variables(value: &Value) -> BTreeMap<String, String> {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| (name.clone(), word(value)))
            .collect(),
        Value::Array(list) => list
            .iter()
            .filter_map(|one| {
                let (name, value) = one.as_str()?.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect(),
        _ => BTreeMap::new(),
    }
}

/// Returns the container's side of published ports: `127.0.0.1:9595:9595`.
fn published(value: &Value) -> Vec<i32> {
    let ports = value.as_array().into_iter().flatten();
    ports
        .filter_map(|port| {
            let text = word(port);
            let inner = text.rsplit(':').next()?;
            inner.split('/').next()?.parse().ok()
        })
        .collect()
}
