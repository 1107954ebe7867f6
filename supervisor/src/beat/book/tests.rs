#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::time::UNIX_EPOCH;

use celeriac::schedule::{Misfire, tick_id};
use proptest::prelude::*;

use super::super::plan::Origin;
use super::*;

fn at(seconds: f64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs_f64(1_700_000_000.0 + seconds)
}

fn now(seconds: f64) -> Now {
    Now {
        wall: at(seconds),
        steady: Instant::now(),
    }
}

fn every(seconds: u64) -> Entry {
    Entry::every(Duration::from_secs(seconds), "task").unwrap()
}

fn planned(entry: Entry) -> Planned {
    Planned {
        entry,
        origin: Origin::Config,
        revision: 0,
    }
}

/// A book that knows one entry since second 0.
fn book(entry: Entry) -> Book {
    let mut book = Book::default();
    book.plan(vec![planned(entry)], at(0.0));
    book.load(HashMap::new());
    book
}

fn ticks(book: &mut Book, seconds: f64) -> Vec<u64> {
    let due = book.due(now(seconds));
    let ticks: Vec<_> = due.into_iter().flat_map(|(_, ticks)| ticks).collect();
    for tick in &ticks {
        book.sent("task", sent(*tick));
    }
    book.over("task", None, Instant::now());
    let since = |tick: SystemTime| tick.duration_since(at(0.0)).unwrap().as_secs();
    ticks.into_iter().map(since).collect()
}

fn sent(tick: SystemTime) -> Sent {
    Sent {
        tick,
        at: tick,
        task_id: tick_id("task", tick).to_string(),
        term: 1,
    }
}

#[test]
fn ticks_come_once_each_in_their_order() {
    let mut book = book(every(10));
    assert!(ticks(&mut book, 9.9).is_empty());
    assert_eq!(ticks(&mut book, 10.0), [10]);
    assert!(ticks(&mut book, 10.0).is_empty());
    assert_eq!(
        book.idle(now(12.0), Duration::from_secs(60)),
        Duration::from_secs(8)
    );
    assert_eq!(ticks(&mut book, 23.0), [20]);
}

// S42: what happens to missed ticks is the entry's policy, and a gap shorter than the grace
// is none.
#[test]
fn missed_ticks_go_by_the_policy() {
    let all = Misfire::All { most: 3 };
    let cases = [
        (Misfire::Skip, 13.0, vec![10, 11, 12, 13], 0),
        (Misfire::Skip, 100.0, vec![95, 96, 97, 98, 99, 100], 1),
        (Misfire::Once, 100.0, vec![94, 95, 96, 97, 98, 99, 100], 1),
        (all, 100.0, vec![92, 93, 94, 95, 96, 97, 98, 99, 100], 1),
    ];
    for (misfire, then, expected, dropped) in cases {
        let mut book = book(every(1).misfire(misfire));
        for second in 1..=9 {
            ticks(&mut book, f64::from(second));
        }
        assert_eq!(ticks(&mut book, then), expected, "{misfire}");
        assert_eq!(
            book.lines().next().unwrap().mark.missed,
            dropped,
            "{misfire}"
        );
    }
}

#[test]
fn what_is_older_than_the_deadline_is_nobodys() {
    let deadline = Duration::from_secs(20);
    let entry = every(10)
        .misfire(Misfire::All { most: 100 })
        .deadline(deadline);
    assert_eq!(ticks(&mut book(entry), 75.0), [60, 70]);
}

// S43: a clock that is set back sends nothing again; one that is set forward is a gap.
#[test]
fn a_clock_that_jumps_sends_nothing_twice() {
    let mut book = book(every(10).misfire(Misfire::Once));
    assert_eq!(ticks(&mut book, 30.0), [20, 30]);
    for back in [29.0, 0.0, -500.0, 30.0, 39.9] {
        assert!(ticks(&mut book, back).is_empty());
    }
    assert_eq!(ticks(&mut book, 40.0), [40]);
    assert_eq!(ticks(&mut book, 10_001.0), [9_990, 10_000]);
}

#[test]
fn an_entry_that_changes_or_is_enabled_begins_anew() {
    let mut book = book(every(10).disabled());
    assert!(ticks(&mut book, 100.0).is_empty());
    book.plan(vec![planned(every(10))], at(105.0));
    assert!(ticks(&mut book, 109.0).is_empty());
    assert_eq!(ticks(&mut book, 110.0), [110]);
    book.plan(vec![planned(every(7))], at(200.0));
    assert!(ticks(&mut book, 200.5).is_empty());
    // What has nothing to do with ticks changes nothing about them.
    book.plan(vec![planned(every(7).arg(1))], at(209.0));
    assert_eq!(ticks(&mut book, 209.0).len(), 1);
}

#[test]
fn a_tick_that_cannot_be_sent_stays_due_and_holds_up_nobody() {
    let mut book = book(every(10));
    let other = every(10).named("other");
    book.plan(vec![planned(every(10)), planned(other)], at(0.0));
    book.load(HashMap::new());
    assert_eq!(book.due(now(10.0)).len(), 2);
    assert!(book.due(now(20.0)).is_empty(), "both are under way");
    let failed = Instant::now();
    book.over("task", Some("no such queue".to_owned()), failed);
    book.sent("other", sent(at(10.0)));
    book.over("other", None, failed);
    let later = |millis| Now {
        wall: at(11.0),
        steady: failed + Duration::from_millis(millis),
    };
    assert!(book.due(later(100)).is_empty());
    let again = book.due(later(300));
    assert_eq!((again.len(), &again[0].1), (1, &vec![at(10.0)]));
    assert_eq!(book.lag(at(12.0)), Duration::from_secs(2));
}

#[test]
fn jitter_delays_and_keeps_the_order() {
    let entry = every(10).jitter(Duration::from_secs(10));
    let mut book = book(entry.clone());
    for second in 0..200 {
        let due = book.due(now(f64::from(second)));
        for (_, ticks) in due {
            for tick in ticks {
                assert!(entry.jittered(tick) <= at(f64::from(second)));
                book.sent("task", sent(tick));
            }
            book.over("task", None, Instant::now());
        }
    }
    assert!((18..=19).contains(&book.lines().next().unwrap().mark.sent));
}

#[test]
fn the_store_knows_more_than_a_process_that_just_started() {
    let mut book = Book::default();
    let name = || "task".to_owned();
    book.plan(
        vec![planned(every(10).misfire(Misfire::All { most: 9 }))],
        at(100.0),
    );
    assert!(
        book.due(now(110.0)).is_empty(),
        "nothing is due before the store was asked"
    );
    let mark = Mark {
        upto: at(80.0),
        last: Some(sent(at(80.0))),
        sent: 8,
        ..book.lines().next().unwrap().mark.clone()
    };
    // A tick that another leader sent meanwhile counts, in whichever order both are known.
    book.hear("task", sent(at(90.0)));
    book.load(HashMap::from([(name(), mark.clone())]));
    assert_eq!(book.take_dirty().len(), 1);
    book.load(HashMap::from([(name(), mark)]));
    assert_eq!(ticks(&mut book, 110.0), [100, 110]);
    assert!(book.take_dirty().len() == 1 && book.take_dirty().is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    /// Time passes.
    Pass(u64),
    /// The clock is set back.
    Back(u64),
    /// The leader dies: the next one has what the store has.
    Die,
    /// The leader dies after this many messages, of which the store does not know.
    DieAfter(usize),
    /// The broker is out of reach for one turn.
    Fail,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..9_000_u64).prop_map(Step::Pass),
        1 => (0..200_000_u64).prop_map(Step::Pass),
        1 => (0..100_000_u64).prop_map(Step::Back),
        1 => Just(Step::Die),
        1 => (0..4_usize).prop_map(Step::DieAfter),
        1 => Just(Step::Fail),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    // S42, S43: under a policy that makes up for everything, each tick is sent, and none
    // under two ids or by a leader that could know of it.
    #[test]
    fn no_tick_is_lost_and_none_is_sent_twice(steps in steps(), interval in 1..40_u64) {
        let entry = every(interval).misfire(Misfire::All { most: 1000 });
        let (mut clock, mut latest) = (0_u64, 0_u64);
        let mut stored = HashMap::new();
        let mut sent_ones: Vec<SystemTime> = Vec::new();
        let mut unknown: HashSet<SystemTime> = HashSet::new();
        let mut book = book(entry.clone());
        for (name, mark) in book.take_dirty() {
            stored.insert(name, mark);
        }
        let mut steady = Instant::now();
        for step in steps.into_iter().chain([Step::Pass(200_000)]) {
            let mut die = None;
            let mut fail = false;
            match step {
                Step::Pass(millis) => clock += millis,
                Step::Back(millis) => clock = clock.saturating_sub(millis),
                Step::Die => die = Some(0),
                Step::DieAfter(count) => die = Some(count),
                Step::Fail => fail = true,
            }
            latest = latest.max(clock);
            steady += Duration::from_secs(60);
            let wall = at(clock as f64 / 1e3);
            for (entry, ticks) in book.due(Now { wall, steady }) {
                let reach = if fail { 0 } else { die.unwrap_or(usize::MAX) };
                for tick in ticks.into_iter().take(reach) {
                    prop_assert!(
                        !sent_ones.contains(&tick) || unknown.contains(&tick),
                        "sent twice though it was known"
                    );
                    sent_ones.push(tick);
                    if die.is_some() {
                        unknown.insert(tick);
                    } else {
                        book.sent(&entry.name, sent(tick));
                    }
                }
                book.over(&entry.name, fail.then(|| "down".to_owned()), steady - Duration::from_secs(60));
            }
            if die.is_some() {
                book = Book::default();
                book.plan(vec![planned(entry.clone())], wall);
                book.load(stored.clone());
            } else {
                stored.extend(book.take_dirty());
            }
        }
        // As late as the clock ever was, as far as it is not behind.
        clock = latest;
        let due = book.due(Now { wall: at(clock as f64 / 1e3), steady: steady + Duration::from_secs(60) });
        sent_ones.extend(due.into_iter().flat_map(|(_, ticks)| ticks));
        let all = entry.schedule.ticks_between(at(0.0), at(clock as f64 / 1e3), 100_000);
        let distinct: HashSet<_> = sent_ones.iter().copied().collect();
        for tick in &all {
            prop_assert!(distinct.contains(tick), "{tick:?} was lost");
        }
        prop_assert_eq!(distinct.len(), all.len());
    }
}
