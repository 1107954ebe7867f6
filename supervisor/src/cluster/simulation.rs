//! A fleet, a network that loses, repeats and reorders, and what the model makes of it.

mod auditor;
mod fleet;
mod network;
mod rng;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use celeriac_protocol::State;

use self::auditor::Auditor;
use self::fleet::{Fleet, Life};
use self::network::{Network, Parcel};
use super::*;

/// One run: how many nodes, how many task events a second, for how long.
struct Plan {
    seed: u64,
    nodes: usize,
    /// Nodes that get tasks; the others live by heartbeats alone.
    busy: usize,
    events_per_second: usize,
    /// Seconds with faults, and then without.
    stormy: u64,
    calm: u64,
    /// The share of messages of each kind that is dropped.
    loss: f64,
}

/// What a run showed, all of it comparable.
#[derive(Debug, PartialEq)]
struct Report {
    /// Nodes that counted as lost though they lived.
    false_losses: u64,
    /// The longest time from a death to its being noticed, in heartbeats of that node.
    slowest: f64,
    deaths: u64,
    noticed: u64,
    pings: u64,
    audits: u64,
    heartbeats: u64,
    events: u64,
    /// The most entries that each structure had.
    most_nodes: usize,
    most_tasks: usize,
    states: BTreeMap<String, usize>,
    tasks: BTreeMap<String, u64>,
    /// Tasks that neither events nor audits after a gap had put right.
    found_at_refresh: u64,
    /// Tasks that died with their nodes.
    lost_tasks: u64,
    missed: u64,
    /// The interval that the fleet ended with.
    interval: f64,
    /// A digest of everything that was told, in order.
    digest: u64,
}

const TICK: Duration = Duration::from_millis(250);
const RULES: Rules = Rules {
    lost_beats: 3,
    forget_after: Duration::from_secs(120),
};
const HISTORY: usize = 10_000;

fn run(plan: &Plan) -> Report {
    let start = Instant::now();
    let at = |turn: u64| start + TICK * u32::try_from(turn).unwrap_or(u32::MAX);
    let mut cluster = Cluster::new(RULES, 2 * plan.nodes);
    let history = History::new(HISTORY);
    let mut network = Network::new(plan.seed, plan.loss);
    let mut fleet = Fleet::new(plan);
    let mut auditor = Auditor::default();
    let mut report = Report {
        false_losses: 0,
        slowest: 0.0,
        deaths: 0,
        noticed: 0,
        pings: 0,
        audits: 0,
        heartbeats: 0,
        events: 0,
        most_nodes: 0,
        most_tasks: 0,
        states: BTreeMap::new(),
        tasks: BTreeMap::new(),
        found_at_refresh: 0,
        lost_tasks: 0,
        missed: 0,
        interval: 0.0,
        digest: 0xcbf2_9ce4_8422_2325,
    };
    let per_second = 1_000 / TICK.as_millis() as u64;
    let turns = (plan.stormy + plan.calm) * per_second;
    // One more, for what is on its way.
    for turn in 1..=turns + 1 {
        let now = turn as f64 / per_second as f64;
        let stormy = turn <= plan.stormy * per_second;
        network.calm = !stormy;
        if turn <= turns {
            fleet.turn(now, stormy, &mut network);
        }
        for parcel in network.arrivals(now) {
            let mut actions = Vec::new();
            match parcel {
                Parcel::Event(event) => {
                    report.events += 1;
                    let sender = event.hostname.clone();
                    let reading = Reading::of(*event);
                    actions = cluster.apply(&sender, &reading, at(turn), now);
                    match reading {
                        Reading::Task {
                            id,
                            said,
                            sender,
                            fact,
                            ..
                        } => drop(history.merge(&id, said, &sender, fact, &mut None)),
                        _ => report.heartbeats += 1,
                    }
                }
                Parcel::Ping(node) => fleet.pinged(&node, now, &mut network),
                Parcel::Pong(node) => actions = cluster.alive(&node, at(turn)),
                Parcel::Pace(node, seconds) => fleet.paced(&node, seconds, now),
            }
            auditor.hear(&actions);
            take(&mut report, actions, &mut fleet, &mut network, now);
        }
        let actions = cluster.tick(at(turn));
        auditor.hear(&actions);
        take(&mut report, actions, &mut fleet, &mut network, now);
        report.audits += auditor.turn(if stormy { turn % 2 } else { 4 }, &fleet, &history, now);
        report.most_nodes = report.most_nodes.max(cluster.nodes().count());
        report.most_tasks = report.most_tasks.max(history.len());
    }
    report.deaths = fleet.deaths;
    report.missed = cluster.missed;
    report.interval = cluster.nodes().map(|node| node.freq).fold(0.0, f64::max);
    for node in cluster.nodes() {
        let state = report.states.entry(node.state.as_str().to_owned());
        *state.or_default() += 1;
        let truth = fleet.state_of(&node.name);
        assert!(
            truth.matches(node.state),
            "{}: {truth:?}, {:?}",
            node.name,
            node.state
        );
    }
    for name in fleet.alive() {
        assert!(
            cluster.node(name).is_some(),
            "{name} lives and is not known"
        );
    }
    // What each proxy does from time to time, whatever it heard.
    let before = history.counts();
    report.audits += auditor.refresh(&cluster, &fleet, &history);
    report.found_at_refresh = changed(&before, &history.counts());
    // What is thought to run does, and what is thought to be lost does not.
    let mut lost = 0;
    for node in cluster.nodes() {
        for open in history.open_on(&node.name, usize::MAX) {
            let task = history.get(&open.id);
            let is_lost = task.is_some_and(|task| task.lost_with_node);
            lost += u64::from(is_lost);
            let runs = fleet.runs(&node.name, &open.id);
            assert!(runs != is_lost, "{}: runs: {runs}, {}", open.id, node.name);
        }
    }
    report.lost_tasks = lost;
    for states in history.counts().values() {
        for (state, count) in states {
            *report.tasks.entry(state.clone()).or_default() += count;
        }
    }
    report
}

/// Does what the model asks for, and compares what it says with the truth.
fn take(
    report: &mut Report,
    actions: Vec<Action>,
    fleet: &mut Fleet,
    network: &mut Network,
    now: f64,
) {
    for action in actions {
        if !matches!(action, Action::Gap { .. } | Action::Ping { .. }) {
            for byte in format!("{action:?}").bytes() {
                report.digest = (report.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        match action {
            Action::Changed {
                node,
                to: NodeState::Lost,
                ..
            } => match fleet.state_of(&node) {
                Life::Dead { since, interval } => {
                    report.noticed += 1;
                    // From the last heartbeat that it may have sent.
                    report.slowest = report.slowest.max((now - since - JITTER) / interval);
                }
                // Its farewell was dropped: silence is all there was.
                Life::Gone => {}
                Life::Working | Life::Draining => report.false_losses += 1,
            },
            Action::Ping { nodes } => {
                report.pings += nodes.len() as u64;
                for node in nodes {
                    network.send(now, Parcel::Ping(node));
                }
            }
            Action::Pace { nodes, seconds } => {
                for node in nodes {
                    network.send(now, Parcel::Pace(node, seconds));
                }
            }
            _ => {}
        }
    }
}

type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// Returns how many tasks succeeded in between.
fn changed(before: &Counts, after: &Counts) -> u64 {
    let succeeded = |counts: &Counts| -> u64 {
        let states = counts.values();
        states
            .filter_map(|states| states.get(State::Success.as_str()))
            .sum()
    };
    succeeded(after) - succeeded(before)
}

/// What a message may take, and the model's turn on top.
const JITTER: f64 = 1.0;

fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        nodes: 1_000,
        busy: 500,
        events_per_second: 2_000,
        stormy: 510,
        calm: 90,
        loss: 0.2,
    }
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0_u64) << 10
}

// S38: ten minutes of a thousand nodes under faults.
#[test]
fn a_thousand_nodes_are_followed_through_a_storm() {
    const ALONE: &str = "CELERIAC_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        // In a process of its own: the memory of this one is that of every other test, too.
        let name = "cluster::simulation::a_thousand_nodes_are_followed_through_a_storm";
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{said}{output:?}");
        return;
    }
    let before = resident();
    let report = run(&plan(1));
    let grown = resident().saturating_sub(before) >> 20;
    println!("{report:#?}\ngrown by {grown} MiB");
    assert_eq!(report.false_losses, 0, "{report:?}");
    assert!(report.deaths > 50 && report.noticed > 50, "{report:?}");
    assert!(report.slowest <= 3.0, "{report:?}");
    assert!(report.events > 900_000, "{report:?}");
    assert!(
        report.most_nodes <= 2_000 && report.most_tasks <= HISTORY,
        "{report:?}"
    );
    assert!(grown < 100, "grown by {grown} MiB");
    assert!((4.0..=6.0).contains(&report.interval), "{report:?}");
    assert!(report.audits > 1_000, "{report:?}");
    assert!(report.found_at_refresh < 20, "{report:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let small = |seed| {
        run(&Plan {
            nodes: 100,
            busy: 50,
            events_per_second: 200,
            stormy: 120,
            calm: 40,
            ..plan(seed)
        })
    };
    let first = small(7);
    assert_eq!(first, small(7));
    assert_ne!(first.digest, small(8).digest);
}
