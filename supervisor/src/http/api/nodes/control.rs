//! Controls of one node.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use celeriac::control::Command;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asked::{ask, said};
use crate::access::Identity;
use crate::http::api::check;
use crate::http::extract::{Body, Path};
use crate::http::{Desk, Problem};

/// What to change in a node, with Celery's names for it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(
    tag = "command",
    content = "arguments",
    rename_all = "snake_case",
    deny_unknown_fields
)]
pub(in crate::http) enum NodeControl {
    /// More places to run tasks.
    PoolGrow(Places),
    /// Fewer places to run tasks.
    PoolShrink(Places),
    /// New processes, where tasks have processes.
    PoolRestart(Restart),
    /// The bounds of a node that sizes itself.
    Autoscale(Bounds),
    /// One more queue to consume.
    AddConsumer(Consumer),
    /// One queue less.
    CancelConsumer(QueueName),
    /// How often tasks of one name may start.
    RateLimit(Rate),
    /// How long tasks of one name may run.
    TimeLimit(Limits),
    /// Events of tasks, from now on.
    EnableEvents(None_),
    /// No more events of tasks.
    DisableEvents(None_),
}

/// A number of places.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Places {
    /// How many; 1 unless told.
    #[serde(default = "one")]
    n: u32,
}

/// How to restart the pool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Restart {
    /// Whether workers of Celery load their modules again.
    #[serde(default)]
    reload: bool,
}

/// Bounds of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Bounds {
    max: u32,
    min: u32,
}

/// A queue to consume.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Consumer {
    queue: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<String>,
    /// direct, topic or fanout.
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routing_key: Option<String>,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct QueueName {
    queue: String,
}

/// How often tasks of one name may start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Rate {
    task_name: String,
    /// Such as 10/s, 100/m or 1000/h; 0 for no limit.
    rate_limit: String,
}

/// How long tasks of one name may run.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Limits {
    task_name: String,
    /// Seconds until the task is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    soft: Option<f64>,
    /// Seconds until the task is ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    hard: Option<f64>,
}

/// No arguments.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NoArguments)]
pub(in crate::http) struct None_ {}

/// What a node said.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct NodeReply {
    pub(in crate::http) node: String,
    /// What the node said; `null` when the command has no answer.
    pub(in crate::http) reply: Option<String>,
}

const fn one() -> u32 {
    1
}

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(control))
        .routes(routes!(drain))
        .routes(routes!(shutdown))
}

/// No node's pool is larger.
const PLACES: u32 = 100_000;
/// Some thirty years.
const SECONDS: f64 = 1e9;

impl NodeControl {
    /// Checks the arguments, each by its name.
    fn check(&self) -> Result<(), Problem> {
        let places = |field: &str, n: u32, least: u32| {
            (least..=PLACES).contains(&n).then_some(()).ok_or_else(|| {
                let expected = format!("a whole number of {least} to {PLACES}");
                Problem::field(format!("arguments.{field}"), expected, n.to_string())
            })
        };
        match self {
            Self::PoolGrow(Places { n }) | Self::PoolShrink(Places { n }) => places("n", *n, 1),
            Self::Autoscale(Bounds { max, min }) => {
                places("max", *max, 1)?;
                places("min", *min, 0)?;
                if min > max {
                    let expected = format!("at most max, which is {max}");
                    return Err(Problem::field("arguments.min", expected, min.to_string()));
                }
                Ok(())
            }
            Self::AddConsumer(consumer) => consumer.check(),
            Self::CancelConsumer(QueueName { queue }) => check::name("arguments.queue", queue),
            Self::RateLimit(Rate {
                task_name,
                rate_limit,
            }) => {
                check::name("arguments.task_name", task_name)?;
                check::rate("arguments.rate_limit", rate_limit)
            }
            Self::TimeLimit(limits) => limits.check(),
            Self::PoolRestart(_) | Self::EnableEvents(_) | Self::DisableEvents(_) => Ok(()),
        }
    }

    /// Returns the command as nodes hear it.
    fn command(&self) -> Result<(String, Command), Problem> {
        // Through a text, which keeps the order of the arguments.
        let written = serde_json::to_string(self);
        let read = written.and_then(|text| serde_json::from_str::<Said>(&text));
        let said = read.map_err(|error| Problem::new(500, "internal", error.to_string()))?;
        let mut command = Command::new(&said.command);
        for (name, value) in said.arguments {
            command = command.argument(&name, value);
        }
        Ok((said.command, command))
    }
}

/// A control as it is written.
#[derive(Deserialize)]
struct Said {
    command: String,
    arguments: celeriac_protocol::Table,
}

impl Consumer {
    fn check(&self) -> Result<(), Problem> {
        let names = [
            ("queue", Some(&*self.queue)),
            ("exchange", self.exchange.as_deref()),
            ("routing_key", self.routing_key.as_deref()),
        ];
        check::names("arguments.", names)?;
        match self.exchange_type.as_deref() {
            None | Some("direct" | "topic" | "fanout") => Ok(()),
            Some(other) => {
                let found = format!("'{}'", crate::cluster::cut(other, 60));
                let expected = "direct, topic or fanout";
                Err(Problem::field("arguments.exchange_type", expected, found))
            }
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), Problem> {
        check::name("arguments.task_name", &self.task_name)?;
        for (field, seconds) in [("arguments.soft", self.soft), ("arguments.hard", self.hard)] {
            if let Some(found) = seconds.filter(|s| !(0.001..=SECONDS).contains(s)) {
                let expected = format!("0.001 to {SECONDS} seconds");
                return Err(Problem::field(field, expected, found.to_string()));
            }
        }
        Ok(())
    }
}

#[utoipa::path(
    post,
    path = "/api/v1/nodes/{name}/control",
    operation_id = "control_node",
    tag = "nodes",
    summary = "Changes something in one node, until it ends",
    params(("name" = String, Path, description = "The node's name")),
    request_body = NodeControl,
    responses(
        (status = 200, body = NodeReply, description = "The node did it"),
        (status = 404, description = "No node has this name"),
        (status = 409, description = "The node refused, and says why"),
        (status = 504, description = "The node did not answer"),
    ),
)]
pub(in crate::http) async fn control(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
    Body(control): Body<NodeControl>,
) -> Result<Json<NodeReply>, Problem> {
    control.check()?;
    super::known(&desk, &name)?;
    let (method, command) = control.command()?;
    let reply = ask(&desk, &name, command).await?;
    let details = serde_json::to_value(&control).unwrap_or_default();
    desk.audit(&who, &format!("node.{method}"), &name, details)
        .await;
    Ok(Json(NodeReply {
        node: name,
        reply: Some(said(&reply)),
    }))
}

#[utoipa::path(
    post,
    path = "/api/v1/nodes/{name}/drain",
    operation_id = "drain_node",
    tag = "nodes",
    summary = "Lets a node take no more tasks and end when what it runs has ended",
    params(("name" = String, Path, description = "The node's name")),
    request_body = None_,
    responses(
        (status = 202, body = NodeReply, description = "The node drains"),
        (status = 404, description = "No node has this name"),
        (status = 422, description = "The node is a worker of Celery, which cannot drain"),
        (status = 504, description = "The node did not answer"),
    ),
)]
pub(in crate::http) async fn drain(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
    Body(None_ {}): Body<None_>,
) -> Result<(StatusCode, Json<NodeReply>), Problem> {
    let node = super::known(&desk, &name)?;
    let software = node.software.map(|software| software.ident);
    if software.as_deref().is_some_and(|ident| ident != "celeriac") {
        let detail = format!(
            "the node '{name}' is a worker of Celery, which has no drain; its shutdown is the \
             nearest: it takes no more tasks, finishes those that run, and ends"
        );
        return Err(Problem::new(422, "unsupported", detail));
    }
    let reply = ask(&desk, &name, Command::new("drain")).await?;
    desk.audit(&who, "node.drain", &name, serde_json::Value::Null)
        .await;
    let reply = Some(said(&reply));
    Ok((StatusCode::ACCEPTED, Json(NodeReply { node: name, reply })))
}

#[utoipa::path(
    post,
    path = "/api/v1/nodes/{name}/shutdown",
    operation_id = "shutdown_node",
    tag = "nodes",
    summary = "Ends a node as the first SIGTERM does",
    params(("name" = String, Path, description = "The node's name")),
    request_body = None_,
    responses(
        (status = 202, body = NodeReply, description = "The node was told; it does not answer"),
        (status = 404, description = "No node has this name"),
    ),
)]
pub(in crate::http) async fn shutdown(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
    Body(None_ {}): Body<None_>,
) -> Result<(StatusCode, Json<NodeReply>), Problem> {
    super::known(&desk, &name)?;
    let control = desk.app.control().to([name.as_str()]);
    control.cast(Command::new("shutdown")).await?;
    desk.audit(&who, "node.shutdown", &name, serde_json::Value::Null)
        .await;
    let told = NodeReply {
        node: name,
        reply: None,
    };
    Ok((StatusCode::ACCEPTED, Json(told)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use celeriac_protocol::Value;
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Result<NodeControl, String> {
        let control: NodeControl =
            serde_json::from_value(value).map_err(|error| error.to_string())?;
        control
            .check()
            .map_err(|problem| problem.detail().to_owned())?;
        Ok(control)
    }

    #[test]
    fn controls_become_the_commands_of_celery() {
        let control = json!({
            "command": "time_limit",
            "arguments": { "task_name": "app.add", "soft": 1.5 },
        });
        let (method, command) = read(control).unwrap().command().unwrap();
        assert_eq!(method, "time_limit");
        let expected = Command::new("time_limit")
            .argument("task_name", Value::from("app.add"))
            .argument("soft", Value::Float(1.5));
        assert_eq!(format!("{command:?}"), format!("{expected:?}"));
        let grow = read(json!({ "command": "pool_grow", "arguments": {} })).unwrap();
        assert_eq!(grow, NodeControl::PoolGrow(Places { n: 1 }));
    }

    #[test]
    fn arguments_are_checked_by_name() {
        let wrong = [
            (
                json!({ "command": "pool_grow", "arguments": { "n": 0 } }),
                "arguments.n",
            ),
            (
                json!({ "command": "pool_grow", "arguments": { "m": 1 } }),
                "unknown field `m`",
            ),
            (
                json!({ "command": "explode", "arguments": {} }),
                "unknown variant `explode`",
            ),
            (
                json!({ "command": "pool_grow", "arguments": {}, "x": 1 }),
                "invalid value",
            ),
            (
                json!({ "command": "autoscale", "arguments": { "max": 1, "min": 2 } }),
                "arguments.min",
            ),
            (
                json!({ "command": "add_consumer", "arguments": { "queue": "" } }),
                "arguments.queue",
            ),
            (
                json!({ "command": "rate_limit", "arguments": { "task_name": "a", "rate_limit": "x" } }),
                "arguments.rate_limit",
            ),
            (
                json!({ "command": "time_limit", "arguments": { "task_name": "a", "soft": -1 } }),
                "arguments.soft",
            ),
        ];
        for (control, expected) in wrong {
            let error = read(control.clone()).unwrap_err();
            assert!(error.contains(expected), "{control}: {error}");
        }
    }
}
