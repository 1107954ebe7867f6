//! What handlers take from a request; what is wrong with it becomes a [`Problem`] that
//! names the field.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use super::Problem;
use crate::cluster::cut;

/// The query of a request. Give `T` the attribute `deny_unknown_fields`.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Query<T>(pub(in crate::http) T);

/// The variable segments of a path.
#[derive(Debug, Clone)]
pub(in crate::http) struct Path<T>(pub(in crate::http) T);

/// A JSON body; none at all counts as `{}`. Give `T` the attribute
/// `deny_unknown_fields`.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Body<T>(pub(in crate::http) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|error| wrong("query", inner(&error.body_text()), parts.uri.query()))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|error| {
                let expected = "percent-encoded UTF-8 of the form that the document gives";
                Problem::field("path", expected, cut(&error.body_text(), FOUND))
            })
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        content_type(request.headers())?;
        let bytes =
            Bytes::from_request(request, state)
                .await
                .map_err(|error| match error.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => {
                        let most = super::BODY;
                        let detail = format!("body: expected at most {most} bytes, found more");
                        Problem::new(413, "too_large", detail)
                    }
                    _ => Problem::invalid(format!(
                        "the body could not be read: {}",
                        error.body_text()
                    )),
                })?;
        let bytes = if bytes.is_empty() {
            &b"{}"[..]
        } else {
            &bytes[..]
        };
        Json::from_bytes(bytes)
            .map(|Json(value)| Self(value))
            .map_err(|error| wrong("body", inner(&error.body_text()), None))
    }
}

/// How much of what was found is told back.
const FOUND: usize = 200;

/// The content type is not a formality: a form on a foreign page can send anything but
/// this one without asking first.
fn content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default()
        .trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let found = cut(kind, 100);
    let detail = format!("content-type: expected application/json, found '{found}'");
    Err(Problem::new(415, "content_type", detail))
}

/// Drops what axum says before serde's words.
fn inner(text: &str) -> &str {
    const PREFIXES: [&str; 3] = [
        "Failed to deserialize query string: ",
        "Failed to deserialize the JSON body into the target type: ",
        "Failed to parse the request body as JSON: ",
    ];
    let stripped = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix));
    stripped.unwrap_or(text)
}

/// Turns serde's words into a field, what was expected, and what was found.
///
/// serde writes `path: invalid type: string "1m", expected f64 at line 1 column 5`,
/// `unknown field`, `missing field`, or the text of a type's own parser.
pub(in crate::http) fn wrong(whole: &str, text: &str, query: Option<&str>) -> Problem {
    let (path, said) = match text.split_once(": ") {
        Some((path, said)) if is_path(path) => (path, said),
        _ => ("", text),
    };
    let said = match said.rsplit_once(" at line ") {
        Some((before, _)) if query.is_none() => before,
        _ => said,
    };
    let field = if path.is_empty() || path == "." {
        whole
    } else {
        path
    };
    if let Some(rest) = said.strip_prefix("unknown field `") {
        let (name, known) = rest.split_once('`').unwrap_or((rest, ""));
        let known = known
            .strip_prefix(", expected ")
            .unwrap_or("no field")
            .replace('`', "");
        let known = known.strip_prefix("one of ").unwrap_or(&known).to_owned();
        return Problem::field(
            cut(name, FOUND),
            format!("one of: {known}"),
            "an unknown name",
        );
    }
    if let Some(name) = said.strip_prefix("missing field `") {
        let name = name.trim_end_matches('`');
        let name = match field == whole {
            true => name.to_owned(),
            false => format!("{field}.{name}"),
        };
        return Problem::field(name, "a value", "none");
    }
    if let Some(name) = said.strip_prefix("duplicate field `") {
        return Problem::field(name.trim_end_matches('`'), "one value", "several");
    }
    // The last, because what was found may hold the word too.
    if let Some((found, expected)) = said.rsplit_once(", expected ") {
        let found = ["invalid type: ", "invalid value: ", "unknown variant "]
            .iter()
            .find_map(|prefix| found.strip_prefix(prefix))
            .unwrap_or(found);
        return Problem::field(field, words(expected), cut(&found.replace('`', "'"), FOUND));
    }
    if let Some((expected, found)) = said
        .strip_prefix("expected ")
        .and_then(|rest| rest.split_once(", found "))
    {
        return Problem::field(field, expected, cut(found, FOUND));
    }
    let value = query.and_then(|query| {
        url_pairs(query)
            .find(|(name, _)| name == field)
            .map(|(_, value)| format!("'{}'", cut(&value, FOUND)))
    });
    match (value, said) {
        (Some(value), "provided string was not `true` or `false`") => {
            Problem::field(field, "true or false", value)
        }
        (Some(value), _)
            if said.contains("number") || said.contains("digit") || said.contains("float") =>
        {
            Problem::field(field, "a number in range", value)
        }
        (Some(value), _) => Problem::field(field, format!("a valid value ({said})"), value),
        // What a type of several forms says of itself.
        (None, _) if field != whole => Problem::field(field, said, "another value"),
        (None, _) => {
            let expected = if whole == "body" { "JSON" } else { "a query" };
            Problem::field(field, expected, cut(said, FOUND))
        }
    }
}

/// Rust's names of types, in words.
fn words(expected: &str) -> String {
    match expected {
        "u8" => "a whole number of 0 to 255",
        "u16" => "a whole number of 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i32" | "i64" => "a whole number",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => return other.replace('`', "'"),
    }
    .to_owned()
}

fn is_path(text: &str) -> bool {
    let known =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']' | '?');
    !text.is_empty() && text.chars().all(known)
}

/// Reads the pairs of a query or of a form.
pub(in crate::http) fn url_pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    type Pairs = Vec<(String, String)>;
    let uri: Option<axum::http::Uri> = format!("/?{query}").parse().ok();
    let pairs = uri.and_then(|uri| axum::extract::Query::<Pairs>::try_from_uri(&uri).ok());
    pairs.map(|pairs| pairs.0).unwrap_or_default().into_iter()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        #[allow(dead_code)]
        name: String,
        #[allow(dead_code)]
        count: Option<u64>,
        #[allow(dead_code)]
        share: Option<f64>,
        #[allow(dead_code)]
        on: Option<bool>,
        #[allow(dead_code)]
        inside: Option<Box<Shape>>,
        #[allow(dead_code)]
        either: Option<Either>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(untagged, expecting = "a count or a name")]
    enum Either {
        #[allow(dead_code)]
        Count(u64),
        #[allow(dead_code)]
        Name(String),
    }

    fn body(text: &str) -> String {
        let error = Json::<Shape>::from_bytes(text.as_bytes()).unwrap_err();
        wrong("body", inner(&error.body_text()), None)
            .detail()
            .to_owned()
    }

    fn query(text: &str) -> String {
        let uri = format!("/?{text}").parse().unwrap();
        let error = axum::extract::Query::<Shape>::try_from_uri(&uri).unwrap_err();
        wrong("query", inner(&error.body_text()), Some(text))
            .detail()
            .to_owned()
    }

    #[test]
    fn what_is_wrong_in_a_body_is_named() {
        let cases = [
            (
                r#"{"name":"a","count":-1}"#,
                "count: expected a whole number, 0 or more, found integer '-1'",
            ),
            (
                r#"{"name":"a","share":"1m"}"#,
                "share: expected a number, found string \"1m\"",
            ),
            (
                r#"{"name":3}"#,
                "name: expected a string, found integer '3'",
            ),
            (
                r#"{"nmae":"a"}"#,
                "nmae: expected one of: name, count, share, on, inside, either, found an unknown name",
            ),
            (r#"{}"#, "name: expected a value, found none"),
            (
                r#"{"name":"a","inside":{}}"#,
                "inside.name: expected a value, found none",
            ),
            (
                r#"{"name":"a","inside":{"name":"b","on":1}}"#,
                "inside.on: expected true or false, found integer '1'",
            ),
            (
                r#"{"name":"a","either":true}"#,
                "either: expected a count or a name, found another value",
            ),
            ("[]", "body: expected an object, found invalid length 0"),
            (
                "{",
                "body: expected JSON, found EOF while parsing an object",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(body(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_query_is_named() {
        let cases = [
            (
                "name=a&count=-1",
                "count: expected a number in range, found '-1'",
            ),
            (
                "name=a&count=x%20y",
                "count: expected a number in range, found 'x y'",
            ),
            ("name=a&on=yes", "on: expected true or false, found 'yes'"),
            ("name=a&name=b", "name: expected one value, found several"),
            (
                "nmae=a",
                "nmae: expected one of: name, count, share, on, inside, either, found an unknown name",
            ),
            ("", "name: expected a value, found none"),
        ];
        for (text, expected) in cases {
            assert_eq!(query(text), expected, "{text}");
        }
    }
}
