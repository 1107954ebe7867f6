//! The state of the cluster at a glance, and its figures over time.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::span::Span;
use crate::cluster::NodeState;
use crate::http::extract::Query;
use crate::http::view::moment;
use crate::http::{Desk, Problem};
use crate::rates::{Series, Total, Window};

/// The state of the cluster at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Overview {
    /// The time of these figures.
    pub(in crate::http) at: String,
    /// The name of the app.
    pub(in crate::http) app: String,
    /// Whether everything that the supervisor needs is there.
    pub(in crate::http) ready: bool,
    pub(in crate::http) broker: BrokerView,
    /// What happened in the last minute.
    pub(in crate::http) last_minute: Total,
    /// What happened in the last ten minutes.
    pub(in crate::http) last_ten_minutes: Total,
    /// How many tasks of the recent history are in which state.
    pub(in crate::http) tasks: BTreeMap<String, u64>,
    pub(in crate::http) backlog: Backlog,
    /// How many nodes are in which state.
    pub(in crate::http) nodes: BTreeMap<String, u64>,
    pub(in crate::http) load: LoadView,
    pub(in crate::http) dropped: Dropped,
    pub(in crate::http) store: StoreView,
}

/// The store of tasks, schedules and dead letters.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Store)]
pub(in crate::http) struct StoreView {
    /// Where it is, without its password.
    pub(in crate::http) place: String,
    /// Why it cannot be written now; `null` when it can.
    pub(in crate::http) error: Option<String>,
    /// How many tasks it has, as last counted.
    pub(in crate::http) tasks: u64,
    /// How many tasks wait to be written.
    pub(in crate::http) waiting: u64,
}

/// The broker as the supervisor sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct BrokerView {
    /// Without its password.
    pub(in crate::http) url: String,
    pub(in crate::http) up: bool,
    /// Whether events of nodes are being consumed.
    pub(in crate::http) consuming: bool,
}

/// What waits in the known queues.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(in crate::http) struct Backlog {
    pub(in crate::http) queues: u64,
    /// How many messages are ready.
    pub(in crate::http) ready: u64,
    /// How many queues are paused.
    pub(in crate::http) paused: u64,
}

/// How much the nodes have to do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Load)]
pub(in crate::http) struct LoadView {
    pub(in crate::http) running: u64,
    /// How many tasks the nodes run at most, as far as they said.
    pub(in crate::http) slots: u64,
    /// (ready + reserved + running) / slots; `null` without slots.
    pub(in crate::http) load: Option<f64>,
}

/// What the supervisor did not get or could not keep since it started.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(in crate::http) struct Dropped {
    /// Events that nodes say they sent and that never came.
    pub(in crate::http) events_missed: u64,
    /// Events that came while the part that keeps them was being restarted.
    pub(in crate::http) events_dropped: u64,
    /// Messages and events that could not be read.
    pub(in crate::http) events_malformed: u64,
    /// Events of nodes beyond the most that are followed.
    pub(in crate::http) nodes_refused: u64,
    /// States of tasks that were not stored because the store was slow or down; a later
    /// state of the same task may be.
    pub(in crate::http) history_dropped: u64,
    /// Final states of tasks that were not stored.
    pub(in crate::http) history_lost: u64,
}

/// Which figures.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct SeriesQuery {
    /// How far back, such as 10m: up to 10m by the second, up to 24h by the minute, up to
    /// 30d by the hour. Ten minutes unless told.
    #[param(value_type = Option<String>)]
    window: Option<Span>,
    /// From point to point: 1s, 1m or 1h; what suits the window unless told.
    #[param(value_type = Option<String>)]
    step: Option<Span>,
}

pub(in crate::http) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(overview))
        .routes(routes!(series))
}

#[utoipa::path(
    get,
    path = "/api/v1/overview",
    operation_id = "get_overview",
    tag = "overview",
    summary = "Shows the cluster at a glance",
    responses((status = 200, body = Overview, description = "The cluster now")),
)]
async fn overview(State(desk): State<Desk>) -> Json<Overview> {
    Json(now(&desk))
}

#[utoipa::path(
    get,
    path = "/api/v1/series",
    operation_id = "get_series",
    tag = "overview",
    summary = "Shows rates and percentiles over time",
    params(SeriesQuery),
    responses(
        (status = 200, body = Series, description = "Figures ready for a chart"),
        (status = 503, description = "The store, which has the hours, is out of reach"),
    ),
)]
async fn series(
    State(desk): State<Desk>,
    Query(query): Query<SeriesQuery>,
) -> Result<Json<Series>, Problem> {
    let now = celeriac::clock::now();
    Ok(Json(match asked(&query)? {
        Asked::Recent(window) => desk.board.rates.snapshot(window, now),
        Asked::Hours(hours) => Series::stored(&desk.store, hours, now).await?,
    }))
}

/// Where figures come from.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// Memory.
    Recent(Window),
    /// The store.
    Hours(u64),
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const BY_SECOND: u64 = 10 * MINUTE;
const BY_MINUTE: u64 = 24 * HOUR;
const BY_HOUR: u64 = 30 * 24 * HOUR;

/// Decides which figures a query asks for.
fn asked(query: &SeriesQuery) -> Result<Asked, Problem> {
    let window = query.window.map_or(BY_SECOND, |span| span.0.as_secs());
    if !(1..=BY_HOUR).contains(&window) {
        let found = format!("{window} s");
        return Err(Problem::field("window", "1s to 30d", found));
    }
    let step = match query.step {
        Some(span) => span.0.as_secs(),
        None if window <= BY_SECOND => 1,
        None if window <= BY_MINUTE => MINUTE,
        None => HOUR,
    };
    let points = |seconds: u64| usize::try_from(seconds).unwrap_or(usize::MAX);
    match step {
        1 if window <= BY_SECOND => Ok(Asked::Recent(Window::Seconds(points(window)))),
        1 => Err(Problem::field(
            "step",
            "1m or 1h for a window of more than 10m",
            "1s",
        )),
        MINUTE if window <= BY_MINUTE => {
            let minutes = points(window.div_ceil(MINUTE));
            Ok(Asked::Recent(Window::Minutes(minutes)))
        }
        MINUTE => {
            let expected = "1h for a window of more than 24h";
            Err(Problem::field("step", expected, "1m"))
        }
        HOUR => Ok(Asked::Hours(window.div_ceil(HOUR))),
        other => {
            let found = format!("{other} s");
            Err(Problem::field("step", "1s, 1m or 1h", found))
        }
    }
}

/// Returns the state of the cluster now. Reads memory only.
pub(in crate::http) fn now(desk: &Desk) -> Overview {
    let (recorded, trouble) = (desk.board.recorder.figures(), desk.store.trouble());
    let (board, at) = (&desk.board, celeriac::clock::now());
    let total = |window| board.rates.snapshot(window, at).total;
    let up = desk.app.broker().link().borrow().is_up();
    let consuming = board.is_consuming();
    let load = desk.scale.fleet();
    let metrics = &board.metrics;
    Overview {
        at: moment::of(at),
        app: desk.app.name().to_owned(),
        ready: up && consuming && trouble.is_none(),
        broker: BrokerView {
            url: desk.app.broker().url().to_owned(),
            up,
            consuming,
        },
        last_minute: total(Window::Seconds(60)),
        last_ten_minutes: total(Window::Seconds(600)),
        tasks: board.history.totals(),
        backlog: backlog(desk),
        nodes: nodes(desk),
        load: LoadView {
            running: load.running + load.draining,
            slots: load.slots,
            load: load.load(),
        },
        dropped: Dropped {
            events_missed: metrics.events_missed.get(),
            events_dropped: metrics.events_dropped.get(),
            events_malformed: metrics.events_malformed.get(),
            nodes_refused: metrics.nodes_refused.get(),
            history_dropped: recorded.dropped,
            history_lost: recorded.lost,
        },
        store: StoreView {
            place: desk.store.place().to_string(),
            error: trouble.map(|error| error.to_string()),
            tasks: recorded.stored,
            waiting: recorded.waiting,
        },
    }
}

/// Counts nodes by state.
fn nodes(desk: &Desk) -> BTreeMap<String, u64> {
    let states = NodeState::ALL.map(|state| (state.as_str().to_owned(), 0));
    let mut states = BTreeMap::from(states);
    for node in &desk.board.nodes {
        *states.entry(node.state.as_str().to_owned()).or_default() += 1;
    }
    states
}

fn backlog(desk: &Desk) -> Backlog {
    let mut backlog = Backlog::default();
    for depth in &desk.board.queues {
        backlog.queues += 1;
        backlog.ready += depth.status.map_or(0, |(ready, _)| ready);
    }
    backlog.paused = desk.board.pauses.count() as u64;
    backlog
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    #[test]
    fn a_window_gets_the_step_that_suits_it() {
        let ask = |window: Option<u64>, step: Option<u64>| {
            let span = |seconds| Span(Duration::from_secs(seconds));
            let (window_, step_) = (window.map(span), step.map(span));
            window_of(window_, step_)
        };
        let recent = |window| Asked::Recent(window);
        assert_eq!(ask(None, None).unwrap(), recent(Window::Seconds(600)));
        assert_eq!(ask(Some(60), None).unwrap(), recent(Window::Seconds(60)));
        assert_eq!(ask(Some(3_601), None).unwrap(), recent(Window::Minutes(61)));
        assert_eq!(
            ask(Some(600), Some(60)).unwrap(),
            recent(Window::Minutes(10))
        );
        assert_eq!(ask(Some(86_401), None).unwrap(), Asked::Hours(25));
        assert_eq!(ask(Some(7_200), Some(3_600)).unwrap(), Asked::Hours(2));
        for (window, step) in [(0, 1), (2_592_001, 3_600), (86_401, 60), (601, 1), (60, 5)] {
            let problem = ask(Some(window), Some(step)).unwrap_err();
            assert_eq!(problem.status(), 400, "{window} {step}");
        }
    }

    fn window_of(window: Option<Span>, step: Option<Span>) -> Result<Asked, Problem> {
        asked(&SeriesQuery { window, step })
    }
}
