//! Replies as Celery's command line writes them.

use celeriac::Value;

/// Returns what a node answered: who, whether well, and what.
pub(super) fn of(node: &str, reply: &Value) -> String {
    let (verdict, text) = verdict(reply);
    let mut lines = format!("->  {node}: {verdict}");
    for line in text.lines() {
        lines.push_str("\n    ");
        lines.push_str(line);
    }
    lines
}

fn verdict(reply: &Value) -> (&'static str, String) {
    let said = |key: &str| reply.as_map().and_then(|map| map.get(key));
    match (said("error"), said("ok")) {
        (Some(error), _) => ("ERROR", indented(&plain(error))),
        (_, Some(ok)) => ("OK", indented(&plain(ok))),
        _ => ("OK", listed(reply)),
    }
}

fn indented(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

fn listed(reply: &Value) -> String {
    match reply.as_array() {
        Some([]) => "- empty -".to_owned(),
        Some(items) => {
            let items = items.iter().map(|item| format!("* {}", plain(item)));
            items.collect::<Vec<_>>().join("\n")
        }
        None => plain(reply),
    }
}

/// A text as it is, anything else as JSON.
fn plain(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => serde_json::to_string_pretty(value).unwrap_or_else(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn replies_look_as_in_celery() {
        let reply = |json: &str| of("w1@vm", &serde_json::from_str(json).unwrap());
        assert_eq!(reply(r#"{"ok":"pong"}"#), "->  w1@vm: OK\n        pong");
        assert_eq!(reply("[]"), "->  w1@vm: OK\n    - empty -");
        assert_eq!(reply(r#"["a","b"]"#), "->  w1@vm: OK\n    * a\n    * b");
        assert_eq!(
            reply(r#"{"error":"TypeError('no')"}"#),
            "->  w1@vm: ERROR\n        TypeError('no')"
        );
        assert!(reply(r#"{"clock":3}"#).contains("\"clock\": 3"));
    }
}
