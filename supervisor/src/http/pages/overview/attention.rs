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

/// What is known.
pub(super) struct Facts<'a> {
    pub(super) nodes: &'a [NodeView],
    pub(super) queues: &'a [QueueView],
    pub(super) names: &'a [Name],
    pub(super) total: &'a Total,
    /// What the total is about, in words.
    pub(super) window: &'a str,
    /// How many dead letters are kept.
    pub(super) letters: u64,
    /// Schedules whose tick is late.
    pub(super) late: Vec<String>,
    /// Whether there are schedules and nobody leads.
    pub(super) unled: bool,
    /// Why the store cannot be written.
    pub(super) store: Option<String>,
}

/// Lists what needs attention, the most urgent first.
pub(super) fn items(facts: &Facts<'_>) -> Vec<Item> {
    let Facts {
        nodes,
        queues,
        names,
        total,
        window,
        ..
    } = *facts;
    let mut items = Vec::new();
    if let Some(trouble) = &facts.store {
        items.push(Item {
            tone: "bad",
            kind: "store",
            text: format!("the store cannot be written: {trouble}"),
            href: "/readyz".to_owned(),
            act: "See the checks",
        });
    }
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
        .filter(|queue| !queue.paused && queue.consumers == Some(0))
        .filter(|queue| queue.ready.is_some_and(|ready| ready > 0))
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
                "{} failed in the last {window}, {} of those that ended{most}",
                text::many(total.failed, "task"),
                text::percent(share)
            ),
            href: "/tasks?state=FAILURE".to_owned(),
            act: "See the failures",
        });
    }
    if facts.unled {
        items.push(Item {
            tone: "bad",
            kind: "no leader",
            text: "nobody leads: no schedule is sent".to_owned(),
            href: "/schedules".to_owned(),
            act: "See the schedules",
        });
    }
    few(
        &mut items,
        &facts.late,
        |name| Item {
            tone: "bad",
            kind: "late",
            text: format!("the schedule {name} is late"),
            href: format!("/schedules/{}", text::url(name)),
            act: "Look at it",
        },
        |rest| Item {
            tone: "bad",
            kind: "late",
            text: format!("and {rest} more schedules"),
            href: "/schedules".to_owned(),
            act: "See all",
        },
    );
    let paused: Vec<_> = queues.iter().filter(|queue| queue.paused).collect();
    few(
        &mut items,
        &paused,
        |queue| Item {
            tone: "warn",
            kind: "paused",
            text: match queue.ready {
                Some(ready) if ready > 0 => format!(
                    "{} is paused; {} in it",
                    queue.name,
                    text::many(ready, "message")
                ),
                _ => format!("{} is paused", queue.name),
            },
            href: format!("/queues#{}", text::url(&queue.name)),
            act: "See the queue",
        },
        |rest| Item {
            tone: "warn",
            kind: "paused",
            text: format!("and {rest} more queues"),
            href: "/queues".to_owned(),
            act: "See all",
        },
    );
    let growing: Vec<_> = queues
        .iter()
        .filter(|queue| !queue.paused && queue.consumers != Some(0))
        .filter_map(|queue| queue.growth_per_second.map(|growth| (queue, growth)))
        .collect();
    few(
        &mut items,
        &growing,
        |(queue, growth)| Item {
            tone: "warn",
            kind: "growing",
            text: format!(
                "{} grows by {} messages per second; {} wait in it",
                queue.name,
                text::rate(*growth),
                grouped(queue.ready.unwrap_or(0))
            ),
            href: format!("/queues#{}", text::url(&queue.name)),
            act: "See the queue",
        },
        |rest| Item {
            tone: "warn",
            kind: "growing",
            text: format!("and {rest} more queues"),
            href: "/queues".to_owned(),
            act: "See all",
        },
    );
    if facts.letters > 0 {
        let (count, verb) = match facts.letters {
            1 => ("one dead letter".to_owned(), "waits"),
            many => (format!("{} dead letters", grouped(many)), "wait"),
        };
        items.push(Item {
            tone: "warn",
            kind: "dead letters",
            text: format!("{count} {verb} to be replayed or discarded"),
            href: "/dead-letters".to_owned(),
            act: "See them",
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::board::Depth;

    fn total(failed: u64, ratio: Option<f64>) -> Total {
        Total {
            failed,
            failure_ratio: ratio,
            ..Total::default()
        }
    }

    fn kinds(
        total: &Total,
        letters: u64,
        late: &[&str],
        unled: bool,
    ) -> Vec<(&'static str, &'static str)> {
        let items = items(&Facts {
            nodes: &[],
            queues: &[],
            names: &[],
            total,
            window: "hour",
            letters,
            late: late.iter().map(|&name| name.to_owned()).collect(),
            unled,
            store: None,
        });
        items.iter().map(|item| (item.kind, item.tone)).collect()
    }

    #[test]
    fn where_all_is_well_nothing_needs_attention() {
        assert_eq!(kinds(&total(0, None), 0, &[], false), []);
    }

    #[test]
    fn many_failures_are_worse_than_few() {
        assert_eq!(
            kinds(&total(1, Some(0.01)), 0, &[], false),
            [("failing", "warn")]
        );
        assert_eq!(
            kinds(&total(9, Some(0.5)), 0, &[], false),
            [("failing", "bad")]
        );
    }

    #[test]
    fn a_queue_is_told_of_once_by_what_is_wrong_with_it() {
        let queue = |name: &str, consumers, paused, growth| QueueView {
            name: name.to_owned(),
            ready: Some(1_200),
            consumers: Some(consumers),
            paused,
            growth_per_second: growth,
            ..QueueView::new(
                String::new(),
                Depth::default(),
                Vec::new(),
                None,
                Instant::now(),
            )
        };
        let queues = [
            queue("fine", 1, false, None),
            queue("slow", 1, false, Some(3.5)),
            queue("held", 0, true, Some(3.5)),
            queue("left", 0, false, Some(3.5)),
        ];
        let items = items(&Facts {
            nodes: &[],
            queues: &queues,
            names: &[],
            total: &total(0, None),
            window: "hour",
            letters: 0,
            late: Vec::new(),
            unled: false,
            store: Some("disk full".to_owned()),
        });
        let kinds: Vec<_> = items.iter().map(|item| item.kind).collect();
        assert_eq!(kinds, ["store", "no consumer", "paused", "growing"]);
        assert_eq!(
            items[3].text,
            "slow grows by 3.50 messages per second; 1\u{202f}200 wait in it"
        );
        assert_eq!(items[2].text, "held is paused; 1\u{202f}200 messages in it");
    }

    #[test]
    fn of_many_only_some_are_named() {
        let late = ["a", "b", "c", "d", "e", "f"];
        let found = kinds(&total(0, None), 1, &late, true);
        assert_eq!(found.len(), 1 + EACH + 1 + 1);
        assert_eq!(found.last(), Some(&("dead letters", "warn")));
    }
}
