//! Errors as clients see them.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error as clients see it: a status, and `{"error": {"code", "message"}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Problem {
    /// Builds a problem; a status that is none becomes 500.
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "not_found", message)
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

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            // Basic as well as Bearer, because a browser knows how to ask for the former.
            StatusCode::UNAUTHORIZED => {
                let ask = HeaderValue::from_static("Basic realm=\"celeriac\", charset=\"UTF-8\"");
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                headers.append(header::WWW_AUTHENTICATE, ask);
            }
            _ => {}
        }
        response
    }
}
