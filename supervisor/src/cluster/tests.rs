use std::time::Duration;

use celeriac_protocol::event::{Event, EventKind, TaskSent, WorkerStatus};
use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    lost_beats: 3,
    forget_after: Duration::from_secs(600),
};

fn event(host: &str, pid: u32, clock: u64, kind: EventKind) -> Event {
    Event {
        hostname: host.to_owned(),
        utcoffset: 0.0,
        pid,
        clock,
        timestamp: clock as f64,
        kind,
    }
}

fn beat(host: &str, pid: u32, clock: u64) -> Event {
    let status = WorkerStatus {
        freq: 2.0,
        ..WorkerStatus::default()
    };
    event(host, pid, clock, EventKind::WorkerHeartbeat(status))
}

fn apply(cluster: &mut Cluster, event: Event, now: Instant) -> Vec<Action> {
    let sender = event.hostname.clone();
    cluster.apply(&sender, &Reading::of(event), now, 0.0)
}

/// Lets time pass in small steps, as the owner of the model does.
fn pass(cluster: &mut Cluster, from: Instant, until: Instant) {
    let mut now = from;
    while now < until {
        now += Duration::from_millis(500);
        cluster.tick(now);
    }
}

fn changed(node: &str, from: NodeState, to: NodeState) -> Action {
    Action::Changed {
        node: node.to_owned(),
        from,
        to,
    }
}

#[test]
fn the_life_of_a_node_is_told_in_actions() {
    let mut cluster = Cluster::new(RULES, 10);
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let w1 = || "w1".to_owned();
    assert_eq!(
        apply(&mut cluster, beat("w1", 1, 1), start),
        [Action::Joined { node: w1() }]
    );
    assert_eq!(apply(&mut cluster, beat("w1", 1, 2), at(2)), []);
    assert_eq!(cluster.tick(at(5)), []);
    let ping = || Action::Ping { nodes: vec![w1()] };
    assert_eq!(cluster.tick(at(6)), [ping()]);
    assert_eq!(
        cluster.tick(at(7)),
        [changed("w1", NodeState::Online, NodeState::Suspect), ping()]
    );
    assert_eq!(cluster.tick(at(7)), []);
    assert_eq!(
        cluster.alive("w1", at(8)),
        [changed("w1", NodeState::Suspect, NodeState::Online)]
    );
    let mut told = Vec::new();
    for second in 9..50 {
        told.extend(cluster.tick(at(second)));
    }
    let lost = told.pop();
    assert_eq!(
        lost,
        Some(changed("w1", NodeState::Suspect, NodeState::Lost))
    );
    let suspect = changed("w1", NodeState::Online, NodeState::Suspect);
    told.retain(|action| *action != suspect);
    assert_eq!(told, vec![ping(); told.len()]);
    assert_eq!(
        apply(&mut cluster, beat("w1", 2, 3), at(60)),
        [
            Action::Restarted { node: w1() },
            changed("w1", NodeState::Lost, NodeState::Online)
        ],
    );
    let farewell = event(
        "w1",
        2,
        4,
        EventKind::WorkerOffline(WorkerStatus::default()),
    );
    assert_eq!(
        apply(&mut cluster, farewell, at(61)),
        [changed("w1", NodeState::Online, NodeState::Offline)],
    );
    assert_eq!(cluster.tick(at(662)), [Action::Forgotten { node: w1() }]);
    assert_eq!(cluster.nodes().count(), 0);
}

#[test]
fn task_events_show_life_but_make_no_node() {
    let mut cluster = Cluster::new(RULES, 10);
    let start = Instant::now();
    let started = || {
        event(
            "w1",
            1,
            5,
            EventKind::TaskStarted {
                uuid: "t".to_owned(),
            },
        )
    };
    assert_eq!(apply(&mut cluster, started(), start), []);
    assert_eq!(cluster.nodes().count(), 0);
    apply(&mut cluster, beat("w1", 1, 6), start);
    let later = start + Duration::from_secs(100);
    pass(&mut cluster, start, later);
    assert_eq!(
        apply(&mut cluster, started(), later),
        [changed("w1", NodeState::Lost, NodeState::Online)],
    );
}

#[test]
fn queues_are_learned_from_what_clients_send() {
    let mut cluster = Cluster::new(RULES, 10);
    let sent = TaskSent {
        uuid: "t".into(),
        queue: Some("mail".into()),
        ..TaskSent::default()
    };
    let sent = event("gen1@c", 1, 1, EventKind::TaskSent(Box::new(sent)));
    let actions = apply(&mut cluster, sent.clone(), Instant::now());
    assert_eq!(
        actions,
        [Action::Queue {
            name: "mail".to_owned()
        }]
    );
    assert_eq!(apply(&mut cluster, sent, Instant::now()), []);
}

#[test]
fn a_full_table_drops_who_is_gone_and_refuses_who_is_too_many() {
    let mut cluster = Cluster::new(RULES, 2);
    let start = Instant::now();
    apply(&mut cluster, beat("w1", 1, 1), start);
    apply(
        &mut cluster,
        beat("w2", 1, 1),
        start + Duration::from_secs(100),
    );
    assert_eq!(
        apply(
            &mut cluster,
            beat("w3", 1, 1),
            start + Duration::from_secs(100)
        ),
        []
    );
    assert_eq!(cluster.refused, 1);
    pass(&mut cluster, start, start + Duration::from_secs(100));
    assert_eq!(
        apply(
            &mut cluster,
            beat("w3", 1, 2),
            start + Duration::from_secs(100)
        ),
        [
            Action::Forgotten { node: "w1".into() },
            Action::Joined { node: "w3".into() }
        ],
    );
}

proptest! {
    /// Whatever hosts say, and whenever: the table is bounded, and every node in it was
    /// told of by exactly one join more than it was forgotten.
    #[test]
    fn the_table_is_bounded_and_told_of(
        steps in prop::collection::vec((0..12u8, 0..5u8, 0..60u64), 0..200),
    ) {
        let mut cluster = Cluster::new(RULES, 5);
        let mut now = Instant::now();
        let mut told = std::collections::BTreeSet::new();
        for (at, (host, what, pause)) in steps.into_iter().enumerate() {
            now += Duration::from_secs(pause);
            let (host, clock) = (format!("w{host}"), at as u64);
            let actions = match what {
                0 => cluster.tick(now),
                1 => {
                    let status = WorkerStatus::default();
                    apply(&mut cluster, event(&host, 1, clock, EventKind::WorkerOffline(status)), now)
                }
                what => apply(&mut cluster, beat(&host, u32::from(what), clock), now),
            };
            for action in actions {
                match action {
                    Action::Joined { node } => prop_assert!(told.insert(node)),
                    Action::Forgotten { node } => prop_assert!(told.remove(&node)),
                    _ => {}
                }
            }
            prop_assert!(cluster.nodes().count() <= 5);
            prop_assert!(cluster.nodes().map(|node| &node.name).eq(told.iter()));
        }
    }
}
