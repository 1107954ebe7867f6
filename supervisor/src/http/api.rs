//! The API, version 1.

pub(super) mod nodes;
pub(super) mod queues;
pub(super) mod send;
pub(super) mod tasks;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

use super::Problem;

/// Takes a query, or says in the house's form what is wrong with it.
fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    query
        .map(|Query(value)| value)
        .map_err(|error| Problem::invalid(error.body_text()))
}
