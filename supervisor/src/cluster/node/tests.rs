use super::*;

const RULES: Rules = Rules {
    lost_after: Duration::from_secs(30),
    forget_after: Duration::from_secs(600),
};

fn beat(pid: i64, clock: u64) -> Beat {
    Beat {
        pid: Some(pid),
        clock,
        timestamp: clock as f64,
        freq: Some(2.0),
        ..Beat::default()
    }
}

fn node(now: Instant) -> Node {
    let mut node = Node::new("w1@host", now);
    node.beat(&beat(1, 10), true, now);
    node
}

#[test]
fn silence_leads_from_online_over_suspect_to_lost() {
    let start = Instant::now();
    let node = node(start);
    let cases = [
        (0.0, NodeState::Online),
        (4.0, NodeState::Online),
        (4.1, NodeState::Suspect),
        (34.0, NodeState::Suspect),
        (34.1, NodeState::Lost),
        (10_000.0, NodeState::Lost),
    ];
    for (seconds, state) in cases {
        let now = start + Duration::from_secs_f64(seconds);
        assert_eq!(node.judge(now, RULES), state, "after {seconds} s");
    }
}

#[test]
fn any_sign_of_life_brings_a_node_back() {
    let start = Instant::now();
    let later = start + Duration::from_secs(100);
    let signs: [fn(&mut Node, Instant); 3] = [
        |node, now| assert!(!node.beat(&beat(1, 11), false, now)),
        |node, now| node.task_event(now),
        |node, now| node.alive(now),
    ];
    for sign in signs {
        let mut node = node(start);
        assert_eq!(node.judge(later, RULES), NodeState::Lost);
        sign(&mut node, later);
        assert_eq!(node.judge(later, RULES), NodeState::Online);
    }
}

#[test]
fn a_draining_node_says_so_and_falls_silent_like_others() {
    let start = Instant::now();
    let mut node = node(start);
    node.beat(
        &Beat {
            draining: true,
            ..beat(1, 11)
        },
        false,
        start,
    );
    assert_eq!(node.judge(start, RULES), NodeState::Draining);
    assert_eq!(
        node.judge(start + Duration::from_secs(5), RULES),
        NodeState::Suspect
    );
    node.beat(&beat(1, 12), false, start);
    assert_eq!(node.judge(start, RULES), NodeState::Online);
}

#[test]
fn a_heartbeat_that_the_farewell_overtook_does_not_revive() {
    let start = Instant::now();
    let mut node = node(start);
    node.goodbye(&beat(1, 20), start);
    assert_eq!(node.judge(start, RULES), NodeState::Offline);
    node.beat(&beat(1, 19), false, start);
    assert_eq!(node.judge(start, RULES), NodeState::Offline);
    node.beat(&beat(1, 21), false, start);
    assert_eq!(node.judge(start, RULES), NodeState::Online);
}

#[test]
fn a_new_process_of_the_same_name_is_a_restart() {
    let start = Instant::now();
    let mut node = node(start);
    node.goodbye(&beat(1, 20), start);
    assert!(node.beat(&beat(2, 1), true, start));
    assert_eq!((node.restarts, node.pid), (1, Some(2)));
    assert_eq!(node.judge(start, RULES), NodeState::Online);
    // The old process's farewell, late, does not end the new one.
    let mut farewell = beat(1, 20);
    farewell.timestamp = 0.5;
    node.goodbye(&farewell, start);
    assert_eq!(node.judge(start, RULES), NodeState::Online);
}

#[test]
fn absurd_promises_are_not_believed() {
    let start = Instant::now();
    for freq in [0.0, -1.0, 1e300, f64::NAN, f64::INFINITY] {
        let mut node = node(start);
        node.beat(
            &Beat {
                freq: Some(freq),
                ..beat(1, 11)
            },
            false,
            start,
        );
        assert_eq!(node.judge(start, RULES), NodeState::Online, "{freq}");
        let later = start + Duration::from_secs(7_200 + 31);
        assert_eq!(node.judge(later, RULES), NodeState::Lost, "{freq}");
    }
}

#[test]
fn only_who_is_gone_is_forgotten() {
    let start = Instant::now();
    let node = node(start);
    assert!(!node.is_forgettable(start + Duration::from_secs(599), RULES));
    assert!(node.is_forgettable(start + Duration::from_secs(601), RULES));
}

#[test]
fn missing_events_are_counted_between_reports() {
    let start = Instant::now();
    let mut node = node(start);
    let report = |node: &mut Node, sent| {
        let clock = node.clock + 1;
        node.beat(
            &Beat {
                sent: Some(sent),
                ..beat(1, clock)
            },
            false,
            start,
        );
        node.gaps.missed
    };
    assert_eq!(
        report(&mut node, 1_000),
        0,
        "what was sent before we listened is not missing"
    );
    for _ in 0..5 {
        node.task_event(start);
    }
    assert_eq!(report(&mut node, 1_005), 0);
    node.task_event(start);
    assert_eq!(report(&mut node, 1_010), 4);
    assert_eq!(
        report(&mut node, 3),
        4,
        "a counter that went back starts again"
    );
}
