//! How often the nodes of a fleet are to beat.

use std::time::{Duration, Instant};

use super::node::Node;

/// How many heartbeats a second a fleet sends at most, of nodes that can be told.
const BUDGET: f64 = 200.0;
/// What a node can be told, in seconds.
const SHORTEST: f64 = 1.0;
const LONGEST: f64 = 60.0;
/// What nodes do by themselves, in seconds.
const USUAL: f64 = 2.0;
/// An interval that is this much longer or shorter is as good: two supervisors that know
/// of a few nodes more or less must not talk a node to and fro.
const TOLERANCE: f64 = 1.25;
/// After so long a node is told again; it forgets after fifteen minutes.
const RENEWAL: Duration = Duration::from_secs(300);
/// After so long a node that does not follow is told again: it may not have heard.
const REPETITION: Duration = Duration::from_secs(15);
/// How long a supervisor listens before it tells nodes to beat more often: until then it
/// has not heard of all of them. Longer than the longest interval.
const ACQUAINTANCE: Duration = Duration::from_secs(75);
/// How many nodes one message names.
const NAMES: usize = 500;

/// Returns the shortest heartbeat interval, in seconds, that a fleet of so many nodes can
/// afford.
pub(crate) fn affordable(nodes: usize) -> f64 {
    (nodes as f64 / BUDGET).clamp(SHORTEST, LONGEST)
}

/// Tells whether a node is to hear of the interval that the fleet can afford.
fn wants_telling(node: &Node, interval: f64, listening: Duration, now: Instant) -> bool {
    if !node.is_ours() || node.state.is_gone() {
        return false;
    }
    let (told, age) = match node.told {
        Some((told, at)) => (Some(told), now.saturating_duration_since(at)),
        None => (None, Duration::MAX),
    };
    let differs = |from: f64| from > interval * TOLERANCE || from * TOLERANCE < interval;
    // A node with a longer interval of its own keeps that: once told is enough.
    let too_often = node.freq * TOLERANCE < interval;
    if told.is_some_and(|told| !differs(told)) {
        return (interval > USUAL && age >= RENEWAL) || (too_often && age >= REPETITION);
    }
    let too_seldom = node.freq > interval.max(USUAL) * TOLERANCE;
    let slowed = interval > USUAL && node.freq > USUAL;
    too_often || ((too_seldom || slowed) && listening >= ACQUAINTANCE)
}

/// Picks nodes that are to be told and notes that they were; returns their names.
pub(super) fn tell<'a>(
    nodes: impl Iterator<Item = &'a mut Node>,
    interval: f64,
    listening: Duration,
    now: Instant,
) -> Vec<String> {
    let chosen = nodes.filter(|node| wants_telling(node, interval, listening, now));
    let note = |node: &mut Node| {
        node.told = Some((interval, now));
        node.name.clone()
    };
    chosen.take(NAMES).map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::node::{Beat, Software};

    fn node(name: &str, freq: f64, now: Instant) -> Node {
        let mut node = Node::new(name, now);
        let software = Software {
            ident: "celeriac".to_owned(),
            ..Software::default()
        };
        let beat = Beat {
            freq: Some(freq),
            software: Some(software),
            ..Beat::default()
        };
        node.beat(&beat, true, now);
        node
    }

    #[test]
    fn the_interval_follows_the_fleet() {
        let cases = [
            (0, 1.0),
            (200, 1.0),
            (1_000, 5.0),
            (5_000, 25.0),
            (100_000, 60.0),
        ];
        for (nodes, expected) in cases {
            assert_eq!(affordable(nodes), expected, "{nodes} nodes");
        }
    }

    // S37.
    #[test]
    fn who_beats_too_often_is_told_and_told_again_before_it_forgets() {
        let start = Instant::now();
        let mut fleet = [node("w1", 2.0, start), node("w2", 30.0, start)];
        let mut tell = |interval, at: u64| {
            let after = Duration::from_secs(at);
            tell(fleet.iter_mut(), interval, after, start + after)
        };
        assert!(tell(1.0, 0).is_empty(), "a small fleet keeps its own");
        assert_eq!(tell(5.0, 0), ["w1"]);
        assert!(tell(5.2, 1).is_empty(), "nearly the same is the same");
        assert_eq!(tell(5.2, 16), ["w1"], "it may not have heard");
        for node in &mut fleet {
            node.freq = node.freq.max(5.0);
        }
        let mut tell = |at: u64| {
            let after = Duration::from_secs(at);
            super::tell(fleet.iter_mut(), 5.2, after, start + after)
        };
        assert_eq!(tell(75), ["w2"], "told, which changes nothing for it");
        assert!(tell(315).is_empty());
        assert_eq!(tell(316), ["w1"], "before it forgets");
        assert!(tell(317).is_empty());
    }

    #[test]
    fn a_fleet_that_shrank_beats_faster_again() {
        let start = Instant::now();
        let mut fleet = [node("w1", 25.0, start)];
        let mut tell = |at: u64| {
            let after = Duration::from_secs(at);
            tell(fleet.iter_mut(), 1.0, after, start + after)
        };
        assert!(tell(10).is_empty(), "who just came has not heard of all");
        assert_eq!(tell(80), ["w1"]);
        assert!(tell(800).is_empty(), "its own interval is longer");
    }

    #[test]
    fn pythons_workers_are_told_nothing() {
        let now = Instant::now();
        let mut worker = Node::new("w1", now);
        worker.beat(&Beat::default(), true, now);
        let listening = Duration::from_secs(500);
        assert!(tell(std::iter::once(&mut worker), 60.0, listening, now).is_empty());
    }
}
