//! Errors as clients see them.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::StoreError;

/// An error, as a problem document of RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `about:blank`: the status and `code` say what kind it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    status: u16,
    /// What was expected, what was found, and what to do, for a person.
    detail: String,
    /// The kind of error, for a program.
    code: &'static str,
    /// The fields that are wrong, where it is fields that are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// In how many seconds to try again, told by a header.
    #[serde(skip)]
    after: Option<u64>,
}

/// A field of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// The field's path in the body, or the parameter's name.
    field: String,
    expected: String,
    found: String,
}

/// The media type of problem documents.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

impl Problem {
    /// Builds a problem; a status that is none becomes 500.
    pub(crate) fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            errors: Vec::new(),
            after: None,
        }
    }

    /// Says when to try again.
    pub(crate) const fn after(mut self, seconds: u64) -> Self {
        self.after = Some(seconds);
        self
    }

    /// One field of the request is wrong: 400.
    pub(crate) fn field(
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        let error = FieldError {
            field: field.into(),
            expected: expected.into(),
            found: found.into(),
        };
        Self::invalid(error.to_string()).and(error)
    }

    /// The request as a whole is wrong: 400.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(400, "invalid", detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, "not_found", detail)
    }

    /// What is there stands against it: 409.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(409, "conflict", detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(403, "forbidden", detail)
    }

    /// Something that is needed is out of reach; later it may work: 503.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(503, "unavailable", detail)
    }

    fn and(mut self, error: FieldError) -> Self {
        self.errors.push(error);
        self
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            field,
            expected,
            found,
        } = self;
        write!(f, "{field}: expected {expected}, found {found}")
    }
}

impl From<celeriac::Error> for Problem {
    fn from(error: celeriac::Error) -> Self {
        use celeriac::Error;
        let (status, code) = match &error {
            Error::Unavailable { .. } | Error::Closed(_) => (503, "unavailable"),
            Error::Timeout { .. } => (504, "timeout"),
            Error::Refused { .. } => (409, "refused"),
            Error::Invalid { .. } | Error::Encode(_) => (400, "invalid"),
            Error::Unsupported { .. } => (422, "unsupported"),
            // What came from the broker or the backend was not what it should be.
            Error::Decode(_) => (502, "malformed"),
            _ => (500, "internal"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::TooLong(_) => Self::new(504, "timeout", error.to_string()),
            StoreError::Conflict(_) => Self::conflict(error.to_string()),
            StoreError::Unavailable(_)
            | StoreError::Denied(_)
            | StoreError::ReadOnly(_)
            | StoreError::Full(_)
            | StoreError::Unknown(_)
            | StoreError::Closed => Self::unavailable(error.to_string()),
            _ => Self::new(500, "internal", error.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, after) = (self.status, self.after);
        let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (code, Json(&self)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static(PROBLEM_JSON);
        headers.insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        match status {
            503 => {
                let retry = headers.entry(header::RETRY_AFTER);
                retry.or_insert(HeaderValue::from_static("5"));
            }
            // Basic as well as Bearer, because a browser knows how to ask for the former.
            401 => {
                let ask = HeaderValue::from_static("Basic realm=\"celeriac\", charset=\"UTF-8\"");
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                headers.append(header::WWW_AUTHENTICATE, ask);
            }
            _ => {}
        }
        // Pages show it in their own way.
        response.extensions_mut().insert(self);
        response
    }
}
