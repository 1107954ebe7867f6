use super::*;

const RULES: Rules = Rules {
    lost_beats: 3,
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

/// Lets time pass as the model does; says how many pings went out.
fn wait(node: &mut Node, from: Instant, until: Instant) -> u32 {
    let (mut now, mut pings) = (from, 0);
    while now < until {
        now = (now + Duration::from_millis(250)).min(until);
        node.state = node.judge(now, RULES);
        pings += u32::from(node.ping(now));
    }
    pings
}

// S38.
#[test]
fn silence_leads_from_online_over_suspect_to_lost() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs_f64(seconds);
    let mut node = node(start);
    assert_eq!(wait(&mut node, start, at(3.0)), 0);
    assert!(
        wait(&mut node, at(3.0), at(4.0)) >= 3,
        "pinged before it is suspected"
    );
    assert_eq!(node.state, NodeState::Online);
    wait(&mut node, at(4.0), at(4.25));
    assert_eq!(node.state, NodeState::Suspect);
    // Within three heartbeats and one more turn.
    let pings = wait(&mut node, at(4.25), at(6.75));
    assert_eq!(node.state, NodeState::Lost);
    assert!((7..=9).contains(&pings), "{pings}");
    assert_eq!(
        wait(&mut node, at(6.75), at(500.0)),
        0,
        "the lost are left alone"
    );
    assert_eq!(node.state, NodeState::Lost);
}

// S38.
#[test]
fn one_answered_ping_in_time_keeps_a_node() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs_f64(seconds);
    let mut node = node(start);
    for turn in 0..100 {
        let turn = f64::from(turn) * 5.9;
        wait(&mut node, at(turn), at(turn + 5.9));
        assert_ne!(node.state, NodeState::Lost);
        node.alive(at(turn + 5.9));
    }
}

#[test]
fn nobody_is_lost_while_nobody_listens() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs_f64(seconds);
    let mut node = node(start);
    wait(&mut node, start, at(5.5));
    node.forgive(at(5.5));
    wait(&mut node, at(5.5), at(9.0));
    assert_eq!(node.state, NodeState::Online);
    wait(&mut node, at(9.0), at(13.0));
    node.forgive(at(13.0));
    assert_eq!(
        node.judge(at(13.0), RULES),
        NodeState::Lost,
        "it was lost before"
    );
}

#[test]
fn any_sign_of_life_brings_a_node_back() {
    let start = Instant::now();
    let later = start + Duration::from_secs(100);
    let signs: [fn(&mut Node, Instant); 3] = [
        |node, now| assert!(!node.beat(&beat(1, 11), false, now)),
        |node, now| node.task_event(11, now),
        |node, now| node.alive(now),
    ];
    for sign in signs {
        let mut node = node(start);
        wait(&mut node, start, later);
        assert_eq!(node.state, NodeState::Lost);
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
        let later = start + Duration::from_secs(3 * 3_600 + 2);
        wait(&mut node, start, later);
        assert_eq!(node.state, NodeState::Lost, "{freq}");
    }
}

#[test]
fn only_who_is_gone_is_forgotten() {
    let start = Instant::now();
    let mut node = node(start);
    wait(&mut node, start, start + Duration::from_secs(500));
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
    for clock in [9, 101, 102, 102, 105, 104, 103, 101] {
        node.task_event(clock, start);
    }
    assert_eq!(report(&mut node, 1_005), 0);
    node.task_event(107, start);
    assert_eq!(report(&mut node, 1_010), 0, "they may have been overtaken");
    node.task_event(106, start);
    assert_eq!(report(&mut node, 1_010), 3);
    assert_eq!(report(&mut node, 1_010), 3, "what is settled counts once");
    assert_eq!(
        report(&mut node, 3),
        3,
        "a counter that went back starts again"
    );
}

// S24: what a node had to drop is counted, also by its last word.
#[test]
fn a_farewell_settles_what_is_missing() {
    let start = Instant::now();
    let mut node = node(start);
    let report = |sent, clock| Beat {
        sent: Some(sent),
        ..beat(1, clock)
    };
    node.beat(&report(10, 11), false, start);
    for clock in [12, 13] {
        node.task_event(clock, start);
    }
    node.goodbye(&report(15, 20), start);
    assert_eq!(node.gaps.missed, 3);
}

#[test]
fn a_heartbeat_of_the_process_before_is_no_restart() {
    let start = Instant::now();
    let mut node = node(start);
    let mut young = beat(2, 1);
    young.timestamp = 20.0;
    assert!(node.beat(&young, true, start));
    let mut straggler = beat(1, 11);
    straggler.timestamp = 19.5;
    assert!(!node.beat(&straggler, false, start));
    assert_eq!((node.restarts, node.pid), (1, Some(2)));
    // A host whose clock is an hour behind is no straggler.
    let mut elsewhere = beat(3, 1);
    elsewhere.timestamp = 20.0 - 3_600.0;
    assert!(node.beat(&elsewhere, false, start));
    assert_eq!((node.restarts, node.pid), (2, Some(3)));
}

#[test]
fn a_heartbeat_that_was_overtaken_changes_nothing_but_shows_life() {
    let start = Instant::now();
    let later = start + Duration::from_secs(3);
    let mut node = node(start);
    let draining = Beat {
        draining: true,
        active: Some(1),
        ..beat(1, 12)
    };
    node.beat(&draining, false, start);
    node.beat(&beat(1, 11), false, later);
    assert_eq!(node.judge(later, RULES), NodeState::Draining);
    assert_eq!((node.active, node.last_seen), (Some(1), later));
}
