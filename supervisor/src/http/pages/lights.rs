//! What the frame of every page says of the cluster's health.

use super::shell::{Badge, Light};
use super::text::grouped;
use crate::cluster::NodeState;
use crate::http::Desk;

/// Lights beyond the broker's.
pub(super) fn all(_desk: &Desk) -> Vec<Light> {
    Vec::new()
}

/// The figures beside the links: nodes in trouble, and dead letters.
pub(super) fn badges(desk: &Desk) -> [Option<Badge>; 2] {
    let trouble = |state| matches!(state, NodeState::Suspect | NodeState::Lost);
    let nodes = desk.board.nodes.iter();
    let nodes = nodes.filter(|node| trouble(node.state)).count();
    [badge(nodes as u64, "suspect or lost", "bad"), None]
}

fn badge(count: u64, what: &'static str, tone: &'static str) -> Option<Badge> {
    (count > 0).then(|| Badge {
        count: grouped(count),
        what,
        tone,
    })
}
