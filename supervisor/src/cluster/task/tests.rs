#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn call(retries: u64) -> Call {
    Call {
        name: Some("add".into()),
        args: Some("(2, 3)".into()),
        retries,
        ..Call::default()
    }
}

fn said(at: u64) -> Said {
    Said {
        at: at as f64,
        clock: at,
    }
}

/// A life with one retry, as the events tell it, in order.
fn life() -> Vec<(Said, Fact)> {
    let exception = Some("ValueError('no')".to_owned());
    vec![
        (
            said(1),
            Fact::Sent(
                call(0),
                Route {
                    queue: Some("q".into()),
                    client: "gen1@c".into(),
                },
            ),
        ),
        (said(2), Fact::Received(call(0))),
        (said(3), Fact::Started),
        (
            said(4),
            Fact::Retried {
                exception: exception.clone(),
                traceback: None,
            },
        ),
        (said(5), Fact::Received(call(1))),
        (said(6), Fact::Started),
        (said(7), Fact::Custom("PROGRESS".into())),
        (
            said(8),
            Fact::Succeeded {
                result: Some("5".into()),
                runtime: Some(0.25),
            },
        ),
    ]
}

fn merged(events: &[(Said, Fact)]) -> Task {
    let sender: Arc<str> = "w1@host".into();
    let mut task = Task::new("t".into(), 1);
    for (said, fact) in events {
        task.merge(*said, &sender, fact.clone());
    }
    task
}

#[test]
fn each_event_in_order_gives_its_state() {
    let states: Vec<_> = (1..=8)
        .map(|count| merged(&life()[..count]).state().to_string())
        .collect();
    let expected = [
        "PENDING", "RECEIVED", "STARTED", "RETRY", "RECEIVED", "STARTED", "PROGRESS", "SUCCESS",
    ];
    assert_eq!(states, expected);
}

#[test]
fn a_finished_task_knows_its_life() {
    let task = merged(&life());
    assert_eq!(task.name().unwrap().as_ref(), "add");
    assert_eq!(task.call().unwrap().retries, 1);
    assert_eq!(task.route().unwrap().queue.as_deref(), Some("q"));
    let times = (
        task.sent_at(),
        task.received_at(),
        task.started_at(),
        task.finished_at(),
    );
    assert_eq!(times, (Some(1.0), Some(5.0), Some(6.0), Some(8.0)));
    let standing = task.standing().unwrap();
    assert_eq!(
        (standing.result.as_deref(), standing.runtime),
        (Some("5"), Some(0.25))
    );
    assert_eq!(standing.exception, None);
}

#[test]
fn precedence_among_ready_states_is_that_of_celery() {
    let success = || Fact::Succeeded {
        result: None,
        runtime: None,
    };
    let failure = || Fact::Failed {
        exception: None,
        traceback: None,
    };
    let revoked = || Fact::Revoked { reason: "revoked" };
    let cases: [(Fact, Fact, State); 6] = [
        (success(), failure(), State::Success),
        (success(), revoked(), State::Success),
        (failure(), revoked(), State::Failure),
        (success(), Fact::Started, State::Success),
        (failure(), Fact::Received(call(0)), State::Failure),
        (revoked(), Fact::Rejected, State::Revoked),
    ];
    for (strong, weak, state) in cases {
        // Also when the weaker one is later by the clock: a task that ran twice is done.
        assert_eq!(
            merged(&[(said(1), strong.clone()), (said(2), weak.clone())]).state(),
            &state
        );
        assert_eq!(
            merged(&[(said(2), weak), (said(1), strong)]).state(),
            &state
        );
    }
}

#[test]
fn a_stored_result_gives_way_to_the_event_of_the_same_outcome() {
    let result = || Fact::Succeeded {
        result: Some("\"5\"".into()),
        runtime: None,
    };
    let event = || Fact::Succeeded {
        result: Some("'5'".into()),
        runtime: Some(0.5),
    };
    let (nobody, node): (Arc<str>, Arc<str>) = ("".into(), "w1@host".into());
    for result_first in [true, false] {
        let mut task = Task::new("t".into(), 1);
        if result_first {
            task.merge(said(9), &nobody, result());
            assert_eq!((task.state(), task.worker()), (&State::Success, None));
        }
        task.merge(said(8), &node, event());
        task.merge(said(9), &nobody, result());
        assert_eq!(task.standing().unwrap().runtime, Some(0.5));
        assert_eq!(task.worker(), Some(&node));
    }
}

#[test]
fn a_lone_late_event_is_enough() {
    let task = merged(&[(said(9), Fact::Started)]);
    assert_eq!((task.state(), task.name()), (&State::Started, None));
}

proptest! {
    /// Any order and any duplication of a task's events ends in the same task.
    #[test]
    fn merging_is_free_of_order(
        order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle(),
        again in prop::collection::vec((0..8usize, 0..8usize), 0..12),
        until in 1..=8usize,
    ) {
        let life = life();
        let expected = merged(&life[..until]);
        let mut events: Vec<_> = order.into_iter().filter(|at| *at < until).collect();
        for (what, place) in again {
            if what < until {
                events.insert(place.min(events.len()), what);
            }
        }
        let events: Vec<_> = events.into_iter().map(|at| life[at].clone()).collect();
        prop_assert_eq!(merged(&events), expected);
    }
}
