//! The OpenAPI document, made from the handlers it describes.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::{
    Components, Content, Info, Ref, RefOr, Response, ResponseBuilder, path::Operation,
};

use super::Desk;
use super::problem::{FieldError, PROBLEM_JSON, Problem};

/// Where the document is served.
pub(super) const PATH: &str = "/api/v1/openapi.json";

#[derive(OpenApi)]
#[openapi(components(schemas(Problem, FieldError)))]
struct Base;

/// Completes what the handlers say of themselves: title, and the problems that every
/// operation may answer with.
pub(super) fn complete(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    document.merge(Base::openapi());
    document.info = Info::builder()
        .title("celeriac supervisor")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The API of a celeriac cluster's supervisor. Times are RFC 3339 in UTC, durations \
             are numbers of seconds, errors are problem documents of RFC 9457.",
        ))
        .build();
    document.components.get_or_insert_with(Components::new);
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ];
        operations.into_iter().flatten().for_each(add_problems);
    }
    document
}

/// Adds the answers that need no handler to come about.
fn add_problems(operation: &mut Operation) {
    let answers = &mut operation.responses.responses;
    let takes_input = operation.request_body.is_some()
        || operation
            .parameters
            .as_ref()
            .is_some_and(|all| !all.is_empty());
    let input = takes_input.then_some(("400", "A field is wrong; nothing was changed"));
    let body = operation.request_body.is_some();
    let body = body.then_some([
        ("413", "The body is too large"),
        ("415", "The body is no JSON by its content type"),
    ]);
    let always = [
        ("401", "No proof of who asks, or a wrong one"),
        ("403", "Who asks may not do this"),
        ("default", "Something else is wrong"),
    ];
    let all = always
        .into_iter()
        .chain(input)
        .chain(body.into_iter().flatten());
    for (status, description) in all {
        answers
            .entry(status.to_owned())
            .or_insert_with(|| RefOr::T(problem(description)));
    }
    // Handlers name further statuses by words alone.
    for (status, answer) in answers.iter_mut() {
        if let RefOr::T(answer) = answer {
            let is_error = status.starts_with(['4', '5']) || status == "default";
            if is_error && answer.content.is_empty() {
                *answer = problem(&answer.description);
            }
        }
    }
}

fn problem(description: &str) -> Response {
    let content = Content::new(Some(RefOr::<utoipa::openapi::Schema>::Ref(
        Ref::from_schema_name("Problem"),
    )));
    ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_JSON, content)
        .build()
}

/// Makes the route that serves the document.
pub(super) fn route(document: &utoipa::openapi::OpenApi) -> Router<Desk> {
    // Its own derive of Serialize writes it: what it is made of can all be written.
    let text = document.to_json().unwrap_or_default();
    let text = axum::body::Bytes::from(text);
    let serve = move || {
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "public, max-age=300"),
        ];
        std::future::ready((headers, text.clone()))
    };
    Router::new().route(PATH, get(serve))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use serde_json::Value;

    fn document() -> Value {
        serde_json::to_value(crate::http::described().1).unwrap()
    }

    fn operations(document: &Value) -> Vec<(String, Value)> {
        let paths = document["paths"].as_object().unwrap();
        let each = |(path, item): (&String, &Value)| {
            let methods = item.as_object().unwrap().clone().into_iter();
            let path = path.clone();
            methods
                .map(move |(method, operation)| (format!("{method} {path}"), operation))
                .collect::<Vec<_>>()
        };
        paths.iter().flat_map(each).collect()
    }

    #[test]
    fn every_operation_says_what_it_is_and_what_it_answers() {
        let document = document();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let mut ids = BTreeSet::new();
        for (route, operation) in operations(&document) {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(id.contains('_'), "{route}: {id} says too little");
            assert!(ids.insert(id), "{route}: its id is not its own");
            assert!(operation["summary"].is_string(), "{route}: no summary");
            assert!(operation["tags"][0].is_string(), "{route}: no tag");
            let answers = operation["responses"].as_object().unwrap();
            assert!(
                answers.keys().any(|status| status.starts_with('2')),
                "{route}"
            );
            for (status, answer) in answers {
                assert!(
                    answer["description"]
                        .as_str()
                        .is_some_and(|d| !d.is_empty()),
                    "{route}"
                );
                let problem = &answer["content"]["application/problem+json"]["schema"]["$ref"];
                if status.starts_with('4') || status == "default" {
                    assert_eq!(problem, "#/components/schemas/Problem", "{route} {status}");
                }
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].is_string(), "{route}: {parameter}");
            }
        }
        assert!(ids.len() > 10);
    }

    // S48: no route is without a rule.
    #[test]
    fn every_route_that_changes_something_has_a_rule() {
        for (route, _) in operations(&document()) {
            let (method, path) = route.split_once(' ').unwrap();
            let method = method.to_uppercase();
            if method != "GET" {
                let rule = crate::access::rules::known(&method, path);
                assert!(rule.is_some(), "{route} is missing in access/rules.rs");
            }
        }
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
}
