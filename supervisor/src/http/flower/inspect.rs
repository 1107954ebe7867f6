//! What workers say of themselves, asked when somebody wants to know.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use celeriac::control::Command;
use celeriac_protocol::{Table, Value};
use futures_util::future::join_all;

use crate::access::Redaction;
use crate::http::Desk;

/// What workers said of themselves. Nobody is asked before somebody wants to know, and
/// one question goes out at a time.
#[derive(Debug, Default)]
pub(crate) struct Inspector {
    asking: tokio::sync::Mutex<()>,
    known: Mutex<BTreeMap<String, BTreeMap<String, serde_json::Value>>>,
}

/// How long workers have to answer.
const ANSWER: Duration = Duration::from_secs(1);

/// What is asked of all.
const OF_ALL: [&str; 4] = ["stats", "active_queues", "registered", "conf"];
/// What is asked of one: lists of tasks can be long.
const OF_ONE: [&str; 4] = ["scheduled", "active", "reserved", "revoked"];

impl Inspector {
    /// Returns what is known of the workers that are there.
    pub(super) fn known(&self, desk: &Desk) -> serde_json::Value {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let there = known
            .iter()
            .filter(|(name, _)| desk.board.nodes.contains_key(*name));
        let there = there.map(|(name, info)| {
            let info = info
                .iter()
                .map(|(method, said)| (method.clone(), said.clone()));
            (name.clone(), serde_json::Value::Object(info.collect()))
        });
        serde_json::Value::Object(there.collect())
    }

    /// Says whether nothing is known yet of some worker that is there.
    pub(super) fn lacks(&self, desk: &Desk) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut nodes = desk.board.nodes.iter();
        nodes.any(|node| alive(node.state) && !known.contains_key(&node.name))
    }

    /// Asks one worker for everything, or all for what is short.
    pub(super) async fn ask(&self, desk: &Desk, worker: Option<&str>) -> celeriac::Result<()> {
        let _one = self.asking.lock().await;
        let nodes: Vec<String> = match worker {
            Some(worker) => vec![worker.to_owned()],
            None => {
                let nodes = desk.board.nodes.iter();
                let nodes = nodes.filter(|node| alive(node.state));
                nodes.map(|node| node.name.clone()).collect()
            }
        };
        if nodes.is_empty() {
            return Ok(());
        }
        let mut methods = OF_ALL.to_vec();
        if worker.is_some() {
            methods.extend(OF_ONE);
        }
        let ask = |method: &'static str| {
            let control = desk.app.control().to(nodes.clone()).within(ANSWER);
            async move { (method, control.ask(command(method)).await) }
        };
        let answers = join_all(methods.into_iter().map(ask)).await;
        let now = celeriac::clock::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs_f64();
        for (method, replies) in answers {
            for (node, said) in replies? {
                // Others may listen to the broker too; who is no node here has no place.
                if nodes.contains(&node) && !is_error(&said) {
                    self.note(
                        node,
                        method,
                        shown(&desk.config.redaction, method, said),
                        now,
                    );
                }
            }
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|name, _| desk.board.nodes.contains_key(name));
        Ok(())
    }

    fn note(&self, node: String, method: &str, said: Value, now: f64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let info = known.entry(node).or_default();
        info.insert(
            method.to_owned(),
            serde_json::to_value(said).unwrap_or_default(),
        );
        info.insert("timestamp".to_owned(), now.into());
    }
}

pub(super) fn alive(state: crate::cluster::NodeState) -> bool {
    use crate::cluster::NodeState;
    matches!(state, NodeState::Online | NodeState::Draining)
}

fn command(method: &str) -> Command {
    match method {
        "registered" => Command::registered(Vec::<String>::new()),
        "conf" => Command::conf(false),
        "active" => Command::active(true),
        other => Command::new(other),
    }
}

fn is_error(said: &Value) -> bool {
    said.as_map().is_some_and(|map| map.get("error").is_some())
}

/// Hides what nobody is to see of an answer.
fn shown(redaction: &Redaction, method: &str, said: Value) -> Value {
    match method {
        "active" | "reserved" | "scheduled" => match said {
            Value::Array(items) => Value::Array(
                items
                    .into_iter()
                    .map(|item| request(redaction, item))
                    .collect(),
            ),
            other => other,
        },
        "conf" => redaction.value(said),
        "stats" => without_alternates(said),
        _ => said,
    }
}

/// Hides arguments of a request, and of the one inside of a scheduled one.
fn request(redaction: &Redaction, item: Value) -> Value {
    let Value::Map(table) = item else { return item };
    let name = table.get("name").and_then(Value::as_str).map(str::to_owned);
    let entries = table.into_iter().map(|(key, value)| {
        let value = match (key.as_str(), value) {
            ("args" | "kwargs", Value::Str(mut text)) => {
                redaction.arguments(name.as_deref(), &mut text);
                text.into()
            }
            ("args" | "kwargs", value) => redaction.argument_value(name.as_deref(), value),
            ("request", value) => request(redaction, value),
            (_, value) => value,
        };
        (key, value)
    });
    Value::Map(entries.collect::<Table>())
}

/// Other addresses of the broker may hold its password, whatever the worker meant.
fn without_alternates(mut stats: Value) -> Value {
    let strip = |holder: &mut Value| {
        let Value::Map(table) = holder else { return };
        if let Some(Value::Map(broker)) = table.get_mut("broker") {
            broker.remove("alternates");
        }
    };
    strip(&mut stats);
    if let Value::Map(table) = &mut stats
        && let Some(consumer) = table.get_mut("consumer")
    {
        strip(consumer);
    }
    stats
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn hidden(method: &str, json: &str) -> String {
        let said = serde_json::from_str(json).unwrap();
        serde_json::to_string(&shown(&Redaction::default(), method, said)).unwrap()
    }

    #[test]
    fn answers_are_shown_without_secrets() {
        for (method, said) in [
            (
                "active",
                r#"[{"name":"a","kwargs":{"password":"hush"},"args":"[{'token': 'hush'}]"}]"#,
            ),
            (
                "scheduled",
                r#"[{"eta":"x","request":{"name":"a","args":[{"api_key":"hush"}]}}]"#,
            ),
            (
                "conf",
                r#"{"security_key_password":"hush","timezone":"UTC"}"#,
            ),
            (
                "stats",
                r#"{"broker":{"alternates":["amqp://u:hush@h"],"port":1}}"#,
            ),
            (
                "stats",
                r#"{"consumer":{"broker":{"alternates":["amqp://u:hush@h"]}}}"#,
            ),
        ] {
            let found = hidden(method, said);
            assert!(!found.contains("hush"), "{found}");
        }
        assert_eq!(
            hidden("active", r#"[{"name":"a","args":[1]}]"#),
            r#"[{"name":"a","args":[1]}]"#
        );
    }
}
