//! Dropping the messages of a queue.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Identity;
use crate::cluster::cut;
use crate::feed::Change;
use crate::http::extract::{Body, Path};
use crate::http::{Desk, Problem};

/// How to purge a queue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Purge {
    /// How many messages are ready, or the queue's name: the sign that this is meant.
    confirm: Confirm,
}

/// A sign that something is meant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "the number of ready messages, or the queue's name"
)]
pub(in crate::http) enum Confirm {
    Count(u64),
    Name(String),
}

/// What was dropped.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Purged {
    queue: String,
    /// How many messages were dropped.
    pub(in crate::http) purged: u64,
}

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new().routes(routes!(purge))
}

/// Decides whether a purge is meant.
fn confirmed(name: &str, ready: u64, confirm: &Confirm) -> Result<(), Problem> {
    match confirm {
        Confirm::Name(given) if given == name => Ok(()),
        Confirm::Name(given) => {
            let found = format!("'{}'", cut(given, 80));
            let expected = format!("the queue's name, '{}'", cut(name, 255));
            Err(Problem::field("confirm", expected, found))
        }
        Confirm::Count(given) if *given == ready => Ok(()),
        Confirm::Count(given) => {
            let detail =
                format!("confirm: expected {ready}, as many messages are ready, found {given}");
            Err(Problem::conflict(detail))
        }
    }
}

#[utoipa::path(
    post,
    path = "/api/v1/queues/{name}/purge",
    operation_id = "purge_queue",
    tag = "queues",
    summary = "Drops the messages that are ready in a queue",
    params(("name" = String, Path, description = "The queue's name")),
    request_body = Purge,
    responses(
        (status = 200, body = Purged, description = "The messages are gone"),
        (status = 404, description = "The broker has no such queue"),
        (status = 409, description = "Another number of messages is ready"),
    ),
)]
pub(in crate::http) async fn purge(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
    Body(Purge { confirm }): Body<Purge>,
) -> Result<Json<Purged>, Problem> {
    super::super::check::name("name", &name)?;
    // The broker's word of now, not that of the last look.
    let Some(status) = desk.app.broker().queue(&name).await? else {
        let detail = format!("the broker has no queue '{}'", cut(&name, 255));
        return Err(Problem::not_found(detail));
    };
    confirmed(&name, status.ready, &confirm)?;
    let purged = desk.app.broker().purge(&name).await?;
    desk.audit(&who, "queue.purge", &name, json!({ "purged": purged }))
        .await;
    desk.board.feed.publish(Change::Queue {
        name: name.clone(),
        what: "purged",
    });
    Ok(Json(Purged {
        queue: name,
        purged,
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_the_name_or_the_count_confirms() {
        let ask = |text: &str| {
            let purge: Purge = serde_json::from_str(text).unwrap();
            confirmed("mail", 3, &purge.confirm).map_err(|problem| problem.status())
        };
        assert_eq!(ask(r#"{"confirm":3}"#), Ok(()));
        assert_eq!(ask(r#"{"confirm":"mail"}"#), Ok(()));
        assert_eq!(ask(r#"{"confirm":2}"#), Err(409));
        assert_eq!(ask(r#"{"confirm":"mial"}"#), Err(400));
        assert!(serde_json::from_str::<Purge>(r#"{"confirm":true}"#).is_err());
        assert!(serde_json::from_str::<Purge>("{}").is_err());
    }
}
