//! Arguments of requests, as Flower reads them: from the query and from a form.

use std::collections::HashMap;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;

use super::Failure;
use crate::cluster::cut;
use crate::http::api::check;
use crate::http::extract::url_pairs;

/// The arguments of a request; the last one of a name counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Arguments(HashMap<String, String>);

impl<S: Send + Sync> FromRequest<S> for Arguments {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let query = request.uri().query().unwrap_or_default();
        let mut arguments: HashMap<_, _> = url_pairs(query).collect();
        let kind = request.headers().get(header::CONTENT_TYPE);
        let form = kind.is_some_and(|kind| {
            let kind = kind.as_bytes();
            kind.to_ascii_lowercase()
                .starts_with(b"application/x-www-form-urlencoded")
        });
        if form {
            let body = Bytes::from_request(request, state).await;
            let body =
                body.map_err(|error| Failure::new(error.status().as_u16(), error.body_text()))?;
            let body = std::str::from_utf8(&body)
                .map_err(|_| Failure::new(400, "Invalid form: expected UTF-8"))?;
            arguments.extend(url_pairs(body));
        }
        Ok(Self(arguments))
    }
}

impl Arguments {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Failure> {
        let value = self.text(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| Failure::new(400, format!("Missing argument {name}")))
    }

    /// Reads a name that nodes and brokers can take.
    pub(super) fn name(&self, name: &str) -> Result<&str, Failure> {
        let value = self.required(name)?;
        match check::is_name(value) {
            true => Ok(value),
            false => Err(invalid(value, "name")),
        }
    }

    /// Reads a number; the words of an error call the type as Python does.
    pub(super) fn number<T: FromStr>(&self, name: &str, kind: &str) -> Result<Option<T>, Failure> {
        self.text(name).map(|text| parse(text, kind)).transpose()
    }

    pub(super) fn required_number<T: FromStr>(&self, name: &str, kind: &str) -> Result<T, Failure> {
        parse(self.required(name)?, kind)
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.text(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("n" | "no" | "f" | "false" | "off" | "0") => Ok(false),
            Some("y" | "yes" | "t" | "true" | "on" | "1") => Ok(true),
            Some(other) => Err(invalid(other, "bool")),
        }
    }
}

fn parse<T: FromStr>(text: &str, kind: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| invalid(text, kind))
}

fn invalid(text: &str, kind: &str) -> Failure {
    let found = cut(text, 100);
    Failure::new(400, format!("Invalid argument '{found}' of type '{kind}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_as_python_would() {
        let pairs = [
            ("n", "3"),
            ("bad", "x"),
            ("empty", " "),
            ("yes", "On"),
            ("no", "0"),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let arguments = Arguments(pairs.into_iter().collect());
        assert_eq!(arguments.number::<i64>("n", "int"), Ok(Some(3)));
        assert_eq!(arguments.number::<i64>("none", "int"), Ok(None));
        let error = |failure: Failure| (failure.status, failure.message);
        assert_eq!(
            arguments.number::<i64>("bad", "int").map_err(error),
            Err((400, "Invalid argument 'x' of type 'int'".to_owned()))
        );
        assert_eq!(
            arguments.required("empty").map_err(error),
            Err((400, "Missing argument empty".to_owned()))
        );
        assert_eq!(arguments.flag("yes"), Ok(true));
        assert_eq!(arguments.flag("no"), Ok(false));
        assert_eq!(arguments.flag("none"), Ok(false));
        assert!(arguments.flag("bad").is_err());
    }
}
