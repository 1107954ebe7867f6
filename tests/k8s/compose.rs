//! The cluster of `compose.yaml`, and the image that it builds, compared with the binary.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::drift;
use crate::finding::{Findings, assert_none};
use crate::schema::schema;
use crate::services;
use crate::tools::root;

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn compose() -> Value {
    serde_saphyr::from_str(&read("compose.yaml")).unwrap()
}

/// The services by name, and which of them are ours.
fn all(compose: &Value) -> &Map<String, Value> {
    compose["services"].as_object().unwrap()
}

fn ours(compose: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let all = all(compose).iter();
    all.filter(|(_, service)| service["image"] == "celeriac:dev")
}

fn strings(value: &Value) -> Vec<&str> {
    let all = value.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(Value::as_str).collect()
}

/// The lines of a Dockerfile that begin with a word, without it; a line that goes on is one.
fn instructions(file: &str, word: &str) -> Vec<String> {
    let text = read(file).replace("\\\n", " ");
    let lines = text.lines().filter_map(|line| line.strip_prefix(word));
    lines.map(|line| line.trim().to_owned()).collect()
}

#[test]
fn it_is_a_broker_a_backend_a_supervisor_and_two_nodes() {
    let compose = compose();
    let names: Vec<_> = all(&compose).keys().map(String::as_str).collect();
    assert_eq!(
        BTreeSet::from_iter(names),
        ["rabbitmq", "redis", "supervisor", "node"].into()
    );
    assert_eq!(compose["services"]["node"]["deploy"]["replicas"], 2);
    assert_eq!(ours(&compose).count(), 2);
}

#[test]
fn nothing_is_allowed_and_nothing_listens_beyond_this_machine() {
    let compose = compose();
    for (name, service) in all(&compose) {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name}");
        let options = strings(&service["security_opt"]);
        assert_eq!(options, ["no-new-privileges:true"], "{name}");
        assert!(service["mem_limit"].is_string(), "{name}");
        assert!(service["pids_limit"].is_u64(), "{name}");
        let user = service["user"].as_str().unwrap();
        assert!(!user.starts_with('0') && user != "root", "{name}: {user}");
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        // Whoever waits for it has something to wait for.
        assert_eq!(service["healthcheck"]["test"][0], "CMD", "{name}");
        for volume in strings(&service["volumes"]) {
            let (volume, _) = volume.split_once(':').unwrap();
            assert!(compose["volumes"].get(volume).is_some(), "{name}: {volume}");
        }
    }
}

#[test]
fn they_wait_for_servers_that_are_well() {
    let compose = compose();
    for (name, service) in ours(&compose) {
        let waits = service["depends_on"].as_object().unwrap();
        assert_eq!(waits.len(), 2, "{name}");
        for (other, how) in waits {
            assert!(all(&compose).contains_key(other), "{name}: {other}");
            assert_eq!(how["condition"], "service_healthy", "{name}: {other}");
        }
    }
}

#[test]
fn the_grace_is_one_number() {
    let compose = compose();
    for (name, service) in ours(&compose) {
        let told = &service["environment"]["CELERIAC_TERMINATION_GRACE_PERIOD"];
        assert!(told.is_string(), "{name}");
        assert_eq!(*told, service["stop_grace_period"], "{name}");
    }
}

#[test]
fn the_binary_knows_what_it_is_told() {
    let mut findings = Findings::new("compose");
    for process in services::processes() {
        drift::compare(&process, schema(), &mut findings);
    }
    let found = findings.done().into_iter();
    let found = found.map(|finding| ("compose.yaml".to_owned(), finding));
    assert_none(found.collect(), "services that the binary does not fit");
}

#[test]
fn the_image_is_what_compose_builds() {
    let compose = compose();
    let stages: Vec<String> = instructions("Dockerfile", "FROM")
        .iter()
        .filter_map(|line| line.split_once(" AS ").map(|(_, name)| name.to_owned()))
        .collect();
    let exposed = instructions("Dockerfile", "EXPOSE").join(" ");
    let exposed: Vec<_> = exposed.split(' ').collect();
    for (name, service) in ours(&compose) {
        let target = service["build"]["target"].as_str().unwrap();
        assert!(
            stages.iter().any(|stage| stage == target),
            "{name}: {target}"
        );
        for listener in ["CELERIAC_HTTP", "CELERIAC_LISTEN"] {
            if let Some(address) = service["environment"][listener].as_str() {
                let (_, port) = address.rsplit_once(':').unwrap();
                assert!(exposed.contains(&port), "{name}: {address}");
            }
        }
        let state = instructions("Dockerfile", "ENV STATE_DIRECTORY=");
        for volume in strings(&service["volumes"]) {
            assert!(volume.ends_with(&format!(":{}", state[0])), "{name}");
        }
    }
    // The same health check in both, so that a container is judged alike without compose.
    let health = instructions("Dockerfile", "HEALTHCHECK").remove(0);
    let (_, health) = health.split_once("CMD ").unwrap();
    let health: Value = serde_json::from_str(health).unwrap();
    for (_, service) in ours(&compose) {
        assert_eq!(
            strings(&health),
            strings(&service["healthcheck"]["test"])[1..]
        );
    }
}

#[test]
fn the_compilers_are_those_of_the_project() {
    let toolchain: toml::Table = read("rust-toolchain.toml").parse().unwrap();
    let version = toolchain["toolchain"]["channel"].as_str().unwrap();
    for file in ["Dockerfile", "examples/image/Dockerfile"] {
        let image = instructions(file, "ARG RUST=").remove(0);
        assert!(image.starts_with(&format!("{version}-")), "{file}: {image}");
    }
}
