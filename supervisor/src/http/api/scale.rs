//! Figures to scale by.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::extract::Query;
use crate::http::{Desk, Problem};
use crate::scale::{QueueSet, Unsure};

/// Which queues.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ScaleQuery {
    /// 1 to 32 names with commas between them: all queues of one pool of nodes.
    #[param(value_type = String, example = "celery,mail")]
    queues: Queues,
}

#[derive(Debug)]
struct Queues(QueueSet);

/// How much work a set of queues has for how many places. Flat, with a number under each
/// key, so that an autoscaler can be pointed at one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Scale)]
pub(in crate::http) struct ScaleView {
    /// The queues, sorted.
    queues: Vec<String>,
    /// Messages that wait; those of paused queues are left out.
    ready: u64,
    /// Messages that nodes took and have not started.
    reserved: u64,
    /// Tasks that run on the nodes that consume any of the queues, of whatever queue.
    running: u64,
    /// ready + reserved + running: scale to `tasks` / (tasks that a node shall have).
    tasks: u64,
    /// Places to run on these nodes; one that drains has none.
    slots: u64,
    /// Nodes that consume any of the queues and do not drain.
    nodes: u64,
    /// tasks / slots: 1 is fully busy with nothing waiting; `null` without slots.
    load: Option<f64>,
    /// How long the oldest message waits, in seconds; 0 when none does, `null` when nobody
    /// tells.
    oldest_age: Option<f64>,
    /// Whether there is work for a node, or may be.
    active: bool,
    /// Tasks on nodes that drain; they are in no other figure.
    draining: u64,
    /// Messages that wait in paused queues; they are in no other figure.
    paused: u64,
    /// Those of the queues that the broker does not have; they count as empty.
    missing: Vec<String>,
    /// How old the broker's figures are, in seconds.
    age_seconds: f64,
}

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new().routes(routes!(scale))
}

#[utoipa::path(
    get,
    path = "/api/v1/scale",
    operation_id = "get_scale",
    tag = "queues",
    summary = "Tells figures to scale by, of the queues of a pool of nodes",
    params(ScaleQuery),
    responses(
        (status = 200, body = ScaleView, description = "The figures"),
        (status = 429, description = "Too many queues are asked for"),
        (status = 503, description = "The figures are not known: scale nothing now"),
    ),
)]
async fn scale(
    State(desk): State<Desk>,
    Query(query): Query<ScaleQuery>,
) -> Result<Json<ScaleView>, Problem> {
    let Queues(queues) = query.queues;
    let told = desk.scale.ask(&queues).await.map_err(problem)?;
    let figures = told.figures;
    Ok(Json(ScaleView {
        queues: queues.names().to_vec(),
        ready: figures.ready,
        reserved: figures.reserved,
        running: figures.running,
        tasks: figures.tasks(),
        slots: figures.slots,
        nodes: figures.nodes,
        load: figures.load(),
        oldest_age: figures.oldest.map(|age| age.as_secs_f64()),
        active: figures.is_active(0.0),
        draining: figures.draining,
        paused: figures.paused,
        missing: told.missing,
        age_seconds: told.age.as_secs_f64(),
    }))
}

fn problem(unsure: Unsure) -> Problem {
    match unsure {
        Unsure::Full => Problem::new(429, "too_many", unsure.to_string()),
        _ => Problem::unavailable(format!("the figures are not known: {unsure}")).after(1),
    }
}

impl<'de> Deserialize<'de> for Queues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        QueueSet::parse(&text).map(Self).map_err(|wrong| {
            let text = format!("expected {}, found {}", wrong.expected, wrong.found);
            serde::de::Error::custom(text)
        })
    }
}
