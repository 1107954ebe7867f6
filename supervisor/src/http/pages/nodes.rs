//! The page of all nodes.

use std::cmp::Reverse;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::form::Fields;
use super::row::NodeRow;
use super::shell::{self, Place, Shell, Visit};
use super::text;
use crate::cluster::NodeState;
use crate::http::api::pools::PoolList;
use crate::http::view::NodeView;
use crate::http::{Desk, Problem, api};

#[derive(Template)]
#[template(path = "nodes.html")]
struct Nodes {
    shell: Shell,
    nodes: Vec<NodeRow>,
    cut: usize,
    tabs: Vec<Tab>,
    heads: Vec<Head>,
    filtered: bool,
    filter: String,
    broker: String,
    pools: Option<PoolList>,
    /// When they were read.
    read: String,
}

struct Tab {
    name: &'static str,
    href: String,
    count: usize,
    here: bool,
}

struct Head {
    name: &'static str,
    href: String,
    numeric: bool,
    sort: Option<&'static str>,
}

/// How many nodes the page lists.
const ROWS: usize = 500;

const HEADS: [(&str, &str, bool); 8] = [
    ("Node", "name", false),
    ("State", "state", false),
    ("Software", "software", false),
    ("Running", "running", true),
    ("Processed", "processed", true),
    ("Load", "load", true),
    ("Queues", "", false),
    ("Last sign", "seen", true),
];

pub(super) async fn page(State(desk): State<Desk>, visit: Visit) -> Result<Response, Problem> {
    let fields = Fields::of_query(&visit.query);
    let filter = fields.text("state");
    let sort = fields.get("sort").unwrap_or("state").to_owned();
    let (key, falling) = match sort.strip_prefix('-') {
        Some(key) => (key, true),
        None => (sort.as_str(), false),
    };
    let all: Vec<_> = api::nodes::all(&desk, None).collect();
    let mut tabs = vec![Tab {
        name: "all",
        href: "/nodes".to_owned(),
        count: all.len(),
        here: filter.is_empty(),
    }];
    for state in NodeState::ALL.map(NodeState::as_str) {
        let count = all.iter().filter(|node| node.state == state).count();
        if count > 0 || filter == state {
            tabs.push(Tab {
                name: state,
                href: format!("/nodes?state={state}"),
                count,
                here: filter == state,
            });
        }
    }
    let chosen = all
        .into_iter()
        .filter(|node| filter.is_empty() || node.state == filter);
    let mut chosen: Vec<_> = chosen.collect();
    order(&mut chosen, key, falling);
    let heads = HEADS.map(|(name, head, numeric)| Head {
        name,
        numeric,
        href: match head {
            "" => String::new(),
            _ => {
                let down = if head == key && !falling { "-" } else { "" };
                let state = if filter.is_empty() {
                    String::new()
                } else {
                    format!("&state={}", text::url(&filter))
                };
                format!("/nodes?sort={down}{head}{state}")
            }
        },
        sort: (head == key).then_some(if falling { "descending" } else { "ascending" }),
    });
    let pools = api::pools::all(&desk).await;
    let shown = Nodes {
        cut: chosen.len().saturating_sub(ROWS),
        nodes: chosen.iter().take(ROWS).map(NodeRow::of).collect(),
        tabs,
        heads: heads.into(),
        filtered: !filter.is_empty(),
        filter,
        broker: desk.app.broker().url().to_owned(),
        read: pools
            .as_ref()
            .and_then(|pools| pools.age_seconds)
            .map_or_else(String::new, read),
        pools,
        shell: Shell::new(&desk, &visit, Place::Nodes, "Nodes").live("node"),
    };
    Ok(shell::page(&shown.shell, &shown))
}

/// Says how old the figures of pools are.
fn read(age: f64) -> String {
    match age {
        ..1.0 => "read just now".to_owned(),
        age => format!("read {} ago", text::span(age.floor())),
    }
}

/// Sorts by a column; those in trouble come first unless told otherwise.
fn order(nodes: &mut [NodeView], key: &str, falling: bool) {
    let rank = |node: &NodeView| match node.state {
        "lost" => 0,
        "suspect" => 1,
        "draining" => 2,
        "online" => 3,
        _ => 4,
    };
    let figure = |value: Option<f64>| (value.unwrap_or(-1.0) * 1e3) as i64;
    match key {
        "name" => nodes.sort_by(|a, b| a.name.cmp(&b.name)),
        "software" => {
            nodes.sort_by(|a, b| (&a.software, &a.version).cmp(&(&b.software, &b.version)))
        }
        "running" => nodes.sort_by_key(|node| Reverse(node.active)),
        "processed" => nodes.sort_by_key(|node| Reverse(node.processed)),
        "load" => nodes.sort_by_key(|node| Reverse(figure(node.loadavg.map(|load| load[0])))),
        "seen" => nodes.sort_by_key(|node| figure(Some(node.silent_seconds))),
        _ => nodes.sort_by_key(rank),
    }
    if falling {
        nodes.reverse();
    }
}
