//! Forms that were sent.

use axum::extract::{Form, FromRequest, Request};
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::cluster::cut;
use crate::http::Problem;
use crate::http::api::page::Cursor;
use crate::http::extract::Body;

/// The fields of a form, in their order; a name may stand there several times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(pub(super) Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Form::from_request(request, state).await {
            Ok(Form(pairs)) => Ok(Self(pairs)),
            Err(error) => Err(Problem::new(
                error.status().as_u16(),
                "form",
                format!(
                    "expected a form, found something else: {}",
                    error.body_text()
                ),
            )),
        }
    }
}

impl Fields {
    /// Reads a query as fields.
    pub(super) fn of_query(query: &str) -> Self {
        let uri = format!("/?{query}").parse::<axum::http::Uri>().ok();
        let pairs = uri.and_then(|uri| axum::extract::Query::try_from_uri(&uri).ok());
        Self(
            pairs
                .map(|axum::extract::Query(pairs)| pairs)
                .unwrap_or_default(),
        )
    }

    /// Returns what was written into a field, without spaces around it; `None` when
    /// there is nothing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(field, _)| field == name);
        pair.map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// Like [`Self::get`], as a text of its own, empty when there is nothing.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// Returns every value of a field.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        let pairs = self.0.iter().filter(move |(field, _)| field == name);
        pairs.map(|(_, value)| value.as_str())
    }

    pub(super) fn is_ticked(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns what must be there.
    pub(super) fn need(&self, name: &str) -> Result<&str, Problem> {
        self.get(name)
            .ok_or_else(|| Problem::field(name, "a value", "none"))
    }

    /// Reads a number, if there is one.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let number = text.parse().ok();
        number
            .map(Some)
            .ok_or_else(|| Problem::field(name, "a number", found(text)))
    }

    /// Reads where a list goes on.
    pub(super) fn cursor<T: FromStr>(&self, name: &str) -> Result<Option<Cursor<T>>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let read = serde_json::from_value(Value::from(text)).ok();
        let expected = "the cursor of a page before";
        read.map(Some)
            .ok_or_else(|| Problem::field(name, expected, found(text)))
    }

    /// Insists on the word that a question asks for.
    pub(super) fn confirm(&self, expected: &str) -> Result<(), Problem> {
        let typed = self.get("confirm").unwrap_or_default();
        if typed == expected {
            return Ok(());
        }
        let found = if typed.is_empty() {
            "nothing".to_owned()
        } else {
            found(typed)
        };
        Err(Problem::field(
            "confirm",
            format!("'{expected}', to confirm"),
            found,
        ))
    }

    /// Reads a JSON array; nothing is an empty one.
    pub(super) fn array(&self, name: &str) -> Result<Vec<Value>, Problem> {
        match self.json(name)? {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => Ok(values),
            Some(_) => Err(Problem::field(
                name,
                "a JSON array such as [1, \"a\"]",
                found(self.get(name).unwrap_or_default()),
            )),
        }
    }

    /// Reads a JSON object; nothing is an empty one.
    pub(super) fn object(&self, name: &str) -> Result<Map<String, Value>, Problem> {
        match self.json(name)? {
            None => Ok(Map::new()),
            Some(Value::Object(map)) => Ok(map),
            Some(_) => Err(Problem::field(
                name,
                "a JSON object such as {\"a\": 1}",
                found(self.get(name).unwrap_or_default()),
            )),
        }
    }

    fn json(&self, name: &str) -> Result<Option<Value>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        serde_json::from_str(text)
            .map(Some)
            .map_err(|error| Problem::field(name, "JSON", format!("{} ({error})", found(text))))
    }
}

/// Makes the body of a request to the API, which checks it as it checks any other.
pub(super) fn body<T: DeserializeOwned>(value: Value) -> Result<Body<T>, Problem> {
    let read = serde_json::from_value(value);
    read.map(Body)
        .map_err(|error| Problem::invalid(error.to_string()))
}

fn found(text: &str) -> String {
    format!("'{}'", cut(text, 80))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn fields_are_read_and_what_is_wrong_is_named() {
        let fields = Fields::of_query("a=1&b=+x%2By+&id=1&id=2&n=x&list=%5B1%5D&empty=");
        assert_eq!(fields.get("b"), Some("x+y"));
        assert_eq!(fields.get("empty"), None);
        assert_eq!(fields.all("id").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(fields.number::<u32>("a").unwrap(), Some(1));
        assert!(
            fields
                .number::<u32>("n")
                .unwrap_err()
                .detail()
                .starts_with("n: expected a number")
        );
        assert_eq!(fields.array("list").unwrap(), [Value::from(1)]);
        assert!(
            fields
                .object("list")
                .unwrap_err()
                .detail()
                .starts_with("list: expected a JSON object")
        );
        assert_eq!(fields.object("none").unwrap(), Map::new());
    }

    #[test]
    fn a_question_wants_its_word() {
        assert!(Fields::of_query("confirm=celery").confirm("celery").is_ok());
        assert!(
            Fields::of_query("confirm=Celery")
                .confirm("celery")
                .is_err()
        );
        let error = Fields::default().confirm("celery").unwrap_err();
        assert_eq!(
            error.detail(),
            "confirm: expected 'celery', to confirm, found nothing"
        );
    }
}
