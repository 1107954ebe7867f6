//! What the frame of every page says of the cluster's health.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use super::shell::{Badge, Light};
use super::text::{self, grouped};
use crate::cluster::NodeState;
use crate::http::Desk;
use crate::letters::{Fate, Filter};

/// How many dead letters are kept: counted now and then, not for each page.
#[derive(Debug, Default)]
pub(in crate::http) struct LetterCount {
    count: AtomicU64,
    /// When it was counted last, in seconds since the epoch.
    at: AtomicI64,
}

/// How long a count holds, in seconds.
const FRESH: i64 = 5;

/// Lights beyond the broker's.
pub(super) fn all(desk: &Desk) -> Vec<Light> {
    let mut lights = vec![match desk.store.trouble() {
        None => Light::new("good", "store keeps the history"),
        Some(trouble) => Light::new("bad", format!("store: {trouble}")),
    }];
    let beat = desk.board.beat.view();
    lights.push(match (beat.leads, beat.leader(Instant::now())) {
        (true, _) => Light::new("good", "leads the schedules"),
        (false, Some(leader)) => Light::new("good", format!("stands by; {} leads", leader.name)),
        // Who has nothing to send needs no leader.
        (false, None) if beat.lines.is_empty() => return lights,
        (false, None) => Light::new("warn", "nobody leads the schedules"),
    });
    lights
}

/// The figures beside the links: nodes in trouble, and dead letters.
pub(super) fn badges(desk: &Desk) -> [Option<Badge>; 2] {
    let trouble = |state| matches!(state, NodeState::Suspect | NodeState::Lost);
    let nodes = desk.board.nodes.iter();
    let nodes = nodes.filter(|node| trouble(node.state)).count();
    [
        badge(nodes as u64, "suspect or lost", "bad"),
        badge(letters(desk), "kept", ""),
    ]
}

/// Returns how many dead letters are kept, as of a moment ago, and counts them anew when
/// that was too long ago.
pub(super) fn letters(desk: &Desk) -> u64 {
    let known = &desk.live.letters;
    let now = text::now().as_second();
    let at = known.at.load(Ordering::Relaxed);
    let stale = (now - at).abs() >= FRESH;
    let mine = stale
        && known
            .at
            .compare_exchange(at, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
    if mine {
        let desk = desk.clone();
        tokio::spawn(async move {
            let kept = Filter {
                state: Some(Fate::KEPT),
                ..Filter::default()
            };
            if let Ok(count) = desk.store.count_letters(&kept).await {
                desk.live.letters.count.store(count, Ordering::Relaxed);
            }
        });
    }
    known.count.load(Ordering::Relaxed)
}

fn badge(count: u64, what: &'static str, tone: &'static str) -> Option<Badge> {
    (count > 0).then(|| Badge {
        count: grouped(count),
        what,
        tone,
    })
}
