//! The OpenAPI document.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// Written by hand; a test holds it against the router.
const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::http::view::{NodeView, QueueView, TaskView};

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    #[test]
    fn it_lists_exactly_the_routes_of_the_router() {
        let document = document();
        let mut written = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                written.insert(format!("{method} {path}"));
            }
        }
        let served: BTreeSet<_> = crate::http::routes()
            .iter()
            .flat_map(|(path, methods, _)| methods.iter().map(move |m| format!("{m} {path}")))
            .filter(|route| !route.contains("/page."))
            .collect();
        assert_eq!(written, served);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(references.len() > 10);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    fn collect(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                references.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| collect(value, references));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
            _ => {}
        }
    }

    #[test]
    fn the_schemas_have_exactly_the_fields_that_are_sent() {
        let now = std::time::Instant::now();
        let node = NodeView::new(
            crate::cluster::Node::new("w", now),
            Some(crate::board::Facts::default()),
            now,
        );
        let task = TaskView {
            result: Some(celeriac_protocol::Value::Null),
            ..TaskView::default()
        };
        let queue = QueueView::new(("q".to_owned(), crate::board::Depth::default()), now);
        let sent = [
            ("Node", serde_json::to_value(node).unwrap()),
            ("Task", serde_json::to_value(task).unwrap()),
            ("Queue", serde_json::to_value(queue).unwrap()),
        ];
        for (schema, value) in sent {
            let pointer = format!("/components/schemas/{schema}/properties");
            let document = document();
            let written: BTreeSet<_> = document
                .pointer(&pointer)
                .unwrap()
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect();
            let sent: BTreeSet<_> = value.as_object().unwrap().keys().cloned().collect();
            assert_eq!(written, sent, "{schema}");
        }
    }
}
