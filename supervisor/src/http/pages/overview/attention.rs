//! What an operator should look at first. Pure.

use super::Name;
use crate::http::pages::text::{self, grouped};
use crate::http::view::{NodeView, QueueView};
use crate::rates::Total;

/// Something to look at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) tone: &'static str,
    pub(super) kind: &'static str,
    pub(super) text: String,
    pub(super) href: String,
    pub(super) act: &'static str,
}

/// How many of one kind are named one by one.
const EACH: usize = 4;
/// Up to this share of failures is everyday.
const EVERYDAY: f64 = 0.05;

/// Lists what needs attention, the most urgent first.
pub(super) fn items(
    nodes: &[NodeView],
    queues: &[QueueView],
    names: &[Name],
    total: &Total,
    window: &str,
) -> Vec<Item> {
    let mut items = Vec::new();
    for state in ["lost", "suspect"] {
        let silent: Vec<_> = nodes.iter().filter(|node| node.state == state).collect();
        let tone = if state == "lost" { "bad" } else { "warn" };
        few(
            &mut items,
            &silent,
            |node| Item {
                tone,
                kind: state,
                text: format!(
                    "{} has been silent for {}",
                    node.name,
                    text::span(node.silent_seconds)
                ),
                href: format!("/nodes/{}", text::url(&node.name)),
                act: "Look at it",
            },
            |rest| Item {
                tone,
                kind: state,
                text: format!("and {rest} more nodes"),
                href: format!("/nodes?state={state}"),
                act: "See all",
            },
        );
    }
    let orphaned: Vec<_> = queues
        .iter()
        .filter(|queue| queue.consumers == Some(0) && queue.ready.is_some_and(|ready| ready > 0))
        .collect();
    few(
        &mut items,
        &orphaned,
        |queue| Item {
            tone: "bad",
            kind: "no consumer",
            text: format!(
                "{} messages wait in {} and nobody consumes from it",
                grouped(queue.ready.unwrap_or(0)),
                queue.name
            ),
            href: format!("/queues#{}", text::url(&queue.name)),
            act: "See the queue",
        },
        |rest| Item {
            tone: "bad",
            kind: "no consumer",
            text: format!("and {rest} more queues"),
            href: "/queues".to_owned(),
            act: "See all",
        },
    );
    if total.failed > 0 {
        let share = total.failure_ratio.unwrap_or(0.0);
        let worst = names.first().filter(|name| name.failed > 0);
        let most = worst
            .map(|name| format!("; most of {}", name.name))
            .unwrap_or_default();
        items.push(Item {
            tone: if share > EVERYDAY { "bad" } else { "warn" },
            kind: "failing",
            text: format!(
                "{} tasks failed in the last {window}, {} of those that ended{most}",
                grouped(total.failed),
                text::percent(share)
            ),
            href: "/tasks?state=FAILURE".to_owned(),
            act: "See the failures",
        });
    }
    items
}

fn few<T>(
    items: &mut Vec<Item>,
    found: &[T],
    each: impl Fn(&T) -> Item,
    rest: impl Fn(usize) -> Item,
) {
    items.extend(found.iter().take(EACH).map(each));
    if found.len() > EACH {
        items.push(rest(found.len() - EACH));
    }
}
