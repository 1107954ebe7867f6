//! The identity as an argument of handlers.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::access::Identity;
use crate::http::Problem;

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let known = parts.extensions.get::<Self>().cloned();
        // Refused, not answered as somebody with less: a route that the gate does not
        // guard is a mistake of ours.
        known.ok_or_else(|| Problem::new(500, "internal", "the request passed no gate"))
    }
}
