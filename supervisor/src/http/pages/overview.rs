//! The first page: what needs attention, rates, latencies, backlog, nodes.

use std::cmp::Reverse;
use std::time::Instant;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::form::Fields;
use super::lights;
use super::row::{NodeRow, is_gone};
use super::schedules::Row;
use super::shell::{self, Place, Shell, Visit};
use super::text::{self, Markup, grouped};
use crate::beat::View;
use crate::http::api::pools::{PoolList, PoolView};
use crate::http::view::{NodeView, QueueView};
use crate::http::{Desk, Problem, api};
use crate::rates::{Total, Window};
use crate::recorder::micros;
use crate::store::{HOUR, Span, States};

mod attention;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    shell: Shell,
    ranges: Vec<Range>,
    range: &'static str,
    total_name: &'static str,
    attention: Vec<attention::Item>,
    figures: Vec<Figure>,
    replicas: Option<String>,
    ended: String,
    waits: String,
    runs: String,
    names: Vec<Name>,
    queues: Vec<QueueView>,
    nodes: Vec<NodeRow>,
    broker: String,
}

struct Range {
    key: &'static str,
    name: &'static str,
    here: bool,
}

/// One figure of the strip.
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) unit: String,
    pub(super) tone: &'static str,
    pub(super) href: String,
}

/// The tasks of one name.
struct Name {
    name: String,
    href: Markup,
    failed: u64,
    succeeded: u64,
    open: u64,
}

/// Ranges of the charts: key, name on the tab, in a sentence, window.
const RANGES: [(&str, &str, &str, Window); 4] = [
    ("10m", "10 min", "ten minutes", Window::Seconds(600)),
    ("1h", "1 h", "hour", Window::Minutes(60)),
    ("6h", "6 h", "six hours", Window::Minutes(360)),
    ("24h", "24 h", "day", Window::Minutes(1_440)),
];
/// How many rows each small table has.
const ROWS: usize = 8;

pub(super) async fn page(State(desk): State<Desk>, visit: Visit) -> Result<Response, Problem> {
    let wanted = Fields::of_query(&visit.query).text("range");
    let range = RANGES.iter().find(|(key, ..)| *key == wanted);
    let (key, _, total_name, window) = *range.unwrap_or(&RANGES[0]);
    let total = desk
        .board
        .rates
        .snapshot(window, celeriac::clock::now())
        .total;
    let mut nodes: Vec<_> = api::nodes::all(&desk, None).collect();
    let mut queues = api::queues::all(&desk);
    let names = names(&desk).await;
    let schedules = desk.board.beat.view();
    let attention = attention::items(&attention::Facts {
        nodes: &nodes,
        queues: &queues,
        names: &names,
        total: &total,
        window: total_name,
        letters: lights::letters(&desk),
        late: late(&schedules),
        unled: !schedules.leads
            && !schedules.lines.is_empty()
            && schedules.leader(Instant::now()).is_none(),
        store: desk.store.trouble().map(|trouble| trouble.to_string()),
    });
    let figures = figures(&nodes, &queues, &total);
    let replicas = api::pools::all(&desk).await.map(|known| replicas(&known));
    queues.sort_by_key(|queue| Reverse(queue.ready));
    queues.truncate(ROWS);
    nodes.sort_by_key(|node| (is_gone(node.state), Reverse((node.active, node.processed))));
    let quantiles = |[p50, p95, p99]: [Option<f64>; 3]| match p50 {
        None => format!("none in the last {total_name}"),
        Some(_) => format!(
            "p50 {} · p95 {} · p99 {}",
            text::maybe_span(p50),
            text::maybe_span(p95),
            text::maybe_span(p99)
        ),
    };
    let shown = Overview {
        ranges: RANGES
            .iter()
            .map(|&(range, name, ..)| Range {
                key: range,
                name,
                here: range == key,
            })
            .collect(),
        range: key,
        total_name,
        attention,
        figures,
        replicas,
        ended: format!(
            "{} succeeded, {} failed",
            grouped(total.succeeded),
            grouped(total.failed)
        ),
        waits: quantiles(total.queue_time),
        runs: quantiles(total.runtime),
        names: names.into_iter().take(ROWS).collect(),
        queues,
        nodes: nodes.iter().take(ROWS).map(NodeRow::of).collect(),
        broker: desk.app.broker().url().to_owned(),
        shell: Shell::new(&desk, &visit, Place::Overview, "Overview").live("overview node"),
    };
    Ok(shell::page(&shown.shell, &shown))
}

/// The names of schedules whose tick is late or could not be sent.
fn late(view: &View) -> Vec<String> {
    let rows = view.lines.iter().map(Row::of);
    let late = rows.filter(|row| matches!(row.state, "late" | "failing"));
    late.map(|row| row.name).collect()
}

/// The tasks of a day by name, those that fail first; without the store those of the
/// history in memory.
async fn names(desk: &Desk) -> Vec<Name> {
    let (known, now) = (desk.board.history.counts(), micros(celeriac::clock::now()));
    let day = Span {
        from: now - 23 * HOUR,
        to: now + 1,
    };
    // A store that is away is not waited for.
    let stored = match desk.store.trouble() {
        Some(_) => None,
        None => desk.store.series().counts(day).await.ok(),
    };
    let mut ended = stored.unwrap_or_default();
    for name in known.keys() {
        ended.entry(name.clone()).or_default();
    }
    let names = ended.into_iter().map(|(name, states)| {
        let known = known.get(&name);
        let of = |wanted: &[&str]| {
            let in_memory = known.into_iter();
            let count = |states: &States| -> u64 {
                let states = states
                    .iter()
                    .filter(|(state, _)| wanted.contains(&state.as_str()));
                states.map(|(_, count)| count).sum()
            };
            // What ended just now is not in the store yet.
            count(&states).max(in_memory.map(count).sum())
        };
        let (failed, succeeded) = (of(&["FAILURE", "REJECTED"]), of(&["SUCCESS"]));
        let open = |(state, count): (&String, &u64)| {
            let ended = ["FAILURE", "REJECTED", "SUCCESS", "REVOKED", "IGNORED"];
            (!ended.contains(&state.as_str())).then_some(*count)
        };
        Name {
            href: text::url(&name),
            open: known.into_iter().flatten().filter_map(open).sum(),
            name,
            failed,
            succeeded,
        }
    });
    let mut names: Vec<_> = names.collect();
    names.sort_by(|a, b| (b.failed, b.succeeded, &a.name).cmp(&(a.failed, a.succeeded, &b.name)));
    names
}

/// Says in a line how many pods of nodes there are and shall be.
fn replicas(known: &PoolList) -> String {
    if known.age_seconds.is_none() {
        return "Replicas are not known".to_owned();
    }
    let sum = |of: fn(&PoolView) -> u64| grouped(known.pools.iter().map(of).sum::<u64>());
    format!(
        "{} of {} pods in {}, {} ready, {} draining",
        sum(|pool| pool.actual),
        sum(|pool| pool.desired),
        text::many(known.pools.len() as u64, "pool"),
        sum(|pool| pool.ready),
        sum(PoolView::leaving),
    )
}

fn figures(nodes: &[NodeView], queues: &[QueueView], total: &Total) -> Vec<Figure> {
    let at_work = || nodes.iter().filter(|node| !is_gone(node.state));
    let online = nodes
        .iter()
        .filter(|node| matches!(node.state, "online" | "draining"))
        .count();
    let trouble = nodes
        .iter()
        .filter(|node| matches!(node.state, "suspect" | "lost"))
        .count();
    let running: u64 = at_work().filter_map(|node| node.active).sum();
    let slots: u64 = at_work().filter_map(|node| node.concurrency).sum();
    let waiting: u64 = queues.iter().filter_map(|queue| queue.ready).sum();
    let figure = |name, value: String, unit: String, tone, href: &str| Figure {
        name,
        value,
        unit,
        tone,
        href: href.to_owned(),
    };
    vec![
        figure(
            "Nodes online",
            grouped(online as u64),
            if trouble > 0 {
                format!("{trouble} in trouble")
            } else {
                String::new()
            },
            if trouble > 0 { "bad" } else { "" },
            "/nodes",
        ),
        figure(
            "Running",
            grouped(running),
            if slots > 0 {
                format!("of {}", grouped(slots))
            } else {
                String::new()
            },
            "",
            "/tasks?state=STARTED",
        ),
        figure(
            "Waiting in queues",
            grouped(waiting),
            String::new(),
            "",
            "/queues",
        ),
        figure(
            "Throughput",
            text::rate(total.per_second),
            "/s".to_owned(),
            "",
            "/tasks",
        ),
        figure(
            "Failed",
            grouped(total.failed),
            total.failure_ratio.map(text::percent).unwrap_or_default(),
            if total.failed > 0 { "bad" } else { "" },
            "/tasks?state=FAILURE",
        ),
        figure(
            "Queue time p95",
            text::maybe_span(total.queue_time[1]),
            String::new(),
            "",
            "/queues",
        ),
        figure(
            "Run time p95",
            text::maybe_span(total.runtime[1]),
            String::new(),
            "",
            "/tasks?state=SUCCESS",
        ),
    ]
}
