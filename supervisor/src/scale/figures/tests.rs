#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn node(slots: u64, running: u64, reserved: u64) -> Member {
    Member {
        slots,
        running,
        reserved,
        tells: true,
        ..Member::default()
    }
}

fn ready(ready: u64) -> Backlog {
    Backlog {
        ready,
        ..Backlog::default()
    }
}

// S55: a full prefetch is no empty queue.
#[test]
fn what_nodes_hold_counts_like_what_waits() {
    let figures = Figures::of([ready(0)], [node(4, 4, 16), node(4, 0, 0)]);
    assert_eq!((figures.tasks(), figures.slots, figures.nodes), (20, 8, 2));
    assert_eq!(figures.load(), Some(2.5));
    assert_eq!(figures.slots_per_node(), Some(4));
    assert!(figures.is_active(0.0));
}

#[test]
fn a_draining_node_gives_no_places_and_keeps_the_fleet_active() {
    let draining = Member {
        draining: true,
        ..node(4, 3, 1)
    };
    let figures = Figures::of([ready(0)], [draining, node(2, 1, 0)]);
    assert_eq!((figures.tasks(), figures.slots, figures.nodes), (1, 2, 1));
    assert_eq!(figures.draining, 4);
    let alone = Figures::of([ready(0)], [draining]);
    assert_eq!((alone.tasks(), alone.load()), (0, None));
    assert!(alone.is_active(0.0) && !alone.is_active(4.0));
}

#[test]
fn what_is_handed_out_counts_where_nodes_do_not_tell() {
    let unacked = |count| Backlog {
        unacked: Some(count),
        ..ready(5)
    };
    let python = Member {
        tells: false,
        ..node(2, 2, 1)
    };
    assert_eq!(Figures::of([unacked(10)], [python]).reserved, 8);
    // It may acknowledge before it runs a task: what events tell is the least.
    assert_eq!(Figures::of([unacked(1)], [python]).reserved, 1);
    // The broker's figure is older than what nodes say of themselves.
    assert_eq!(Figures::of([unacked(10)], [node(2, 2, 1)]).reserved, 1);
    assert_eq!(Figures::of([unacked(10)], []).reserved, 0);
}

#[test]
fn paused_queues_ask_for_no_nodes() {
    let paused = Backlog {
        paused: true,
        recent: true,
        oldest: Some(Duration::from_secs(900)),
        ..ready(1_000)
    };
    let figures = Figures::of([paused], [node(4, 0, 0)]);
    assert_eq!((figures.tasks(), figures.paused), (0, 1_000));
    assert_eq!(figures.oldest, Some(Duration::ZERO));
    assert!(!figures.is_active(0.0));
}

#[test]
fn the_oldest_is_of_all_queues_and_never_guessed() {
    let waits = |seconds| Backlog {
        oldest: Some(Duration::from_secs(seconds)),
        ..ready(1)
    };
    let age = |backlogs: &[Backlog]| Figures::of(backlogs.iter().copied(), []).oldest;
    assert_eq!(age(&[]), Some(Duration::ZERO));
    assert_eq!(age(&[ready(0)]), Some(Duration::ZERO));
    assert_eq!(
        age(&[waits(3), waits(9), ready(0)]),
        Some(Duration::from_secs(9))
    );
    assert_eq!(age(&[waits(3), ready(1)]), None, "one of them is not known");
}

#[test]
fn what_just_went_somewhere_keeps_the_fleet_active() {
    let recent = Backlog {
        recent: true,
        ..ready(0)
    };
    let figures = Figures::of([recent], [node(4, 0, 0)]);
    assert_eq!(figures.tasks(), 0);
    assert!(figures.is_active(0.0));
    assert!(
        !figures.is_active(5.0),
        "a few tasks are not to wake anybody"
    );
}

fn backlogs() -> impl Strategy<Value = Vec<Backlog>> {
    let one = (
        any::<u64>(),
        any::<Option<u64>>(),
        any::<bool>(),
        any::<bool>(),
    );
    let one = one.prop_map(|(ready, unacked, paused, recent)| Backlog {
        ready,
        unacked,
        paused,
        recent,
        oldest: None,
    });
    prop::collection::vec(one, 0..6)
}

fn members() -> impl Strategy<Value = Vec<Member>> {
    let figures = (any::<u64>(), any::<u64>(), any::<u64>());
    let one = (figures, any::<bool>(), any::<bool>(), any::<bool>());
    let one = one.prop_map(
        |((slots, running, reserved), tells, draining, unplaced)| Member {
            slots,
            running,
            reserved,
            tells,
            draining,
            unplaced,
        },
    );
    prop::collection::vec(one, 0..6)
}

proptest! {
    // S55: whatever nodes and brokers say, figures neither wrap around nor invent places.
    #[test]
    fn figures_are_numbers(backlogs in backlogs(), members in members()) {
        let figures = Figures::of(backlogs.clone(), members.clone());
        let most = backlogs.iter().filter(|b| !b.paused).map(|b| b.ready).max();
        prop_assert!(figures.tasks() >= most.unwrap_or(0));
        prop_assert_eq!(figures.load().is_some(), figures.slots > 0);
        if let Some(load) = figures.load() {
            prop_assert!(load.is_finite() && load >= 0.0);
        }
        if let Some(slots) = figures.slots_per_node() {
            prop_assert!(slots >= 1 && slots <= figures.slots);
        }
        prop_assert!(figures.tasks() == 0 || figures.is_active(0.0));
    }

    #[test]
    fn more_work_is_never_fewer_tasks_and_more_places_never_more_load(
        backlogs in backlogs(),
        members in members(),
        more in 1_u64..1_000,
    ) {
        let before = Figures::of(backlogs.clone(), members.clone());
        let mut busier = backlogs.clone();
        busier.push(ready(more));
        prop_assert!(Figures::of(busier, members.clone()).tasks() >= before.tasks());
        let mut larger = members;
        larger.push(node(more, 0, 0));
        let after = Figures::of(backlogs, larger);
        prop_assert!(after.tasks() >= before.tasks());
        if let (Some(before), Some(after)) = (before.load(), after.load()) {
            prop_assert!(after <= before);
        }
    }
}
