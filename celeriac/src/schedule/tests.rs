//! Laws of all schedules.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;

fn at(text: &str) -> SystemTime {
    text.parse::<jiff::Timestamp>().unwrap().into()
}

fn texts(ticks: &[SystemTime]) -> Vec<String> {
    let zone = Zone::utc();
    ticks.iter().map(|tick| zone.civil(*tick)).collect()
}

#[test]
fn an_interval_counts_from_the_epoch_or_from_its_start() {
    let ten = Schedule::every(Duration::from_secs(10)).unwrap();
    assert_eq!(
        texts(&ten.upcoming(at("2026-03-29T00:59:51Z"), 2)),
        ["2026-03-29T01:00:00+00:00", "2026-03-29T01:00:10+00:00"]
    );
    let start = at("2026-01-01T00:00:03Z");
    let from = Schedule::Interval(
        Interval::new(Duration::from_secs(10))
            .unwrap()
            .starting(start),
    );
    assert_eq!(from.next_after(UNIX_EPOCH), Some(start));
    assert_eq!(
        from.next_after(start),
        Some(start + Duration::from_secs(10))
    );
    let before_epoch = UNIX_EPOCH - Duration::from_nanos(1);
    assert_eq!(ten.next_after(before_epoch), Some(UNIX_EPOCH));
}

#[test]
fn the_last_ticks_of_a_long_time_are_found_without_walking_it() {
    let second = Schedule::every(Duration::from_secs(1)).unwrap();
    let (from, to) = (at("1999-01-01T00:00:00Z"), at("2026-11-22T10:00:00.5Z"));
    assert_eq!(
        texts(&second.ticks_between(from, to, 2)),
        ["2026-11-22T09:59:59+00:00", "2026-11-22T10:00:00+00:00"]
    );
    assert!(second.ticks_between(to, to, 2).is_empty());
    assert!(second.ticks_between(to, from, 2).is_empty());
    assert!(second.ticks_between(from, to, 0).is_empty());
    let once = Schedule::once("2020-02-29T12:00:00Z").unwrap();
    assert_eq!(once.ticks_between(from, to, 5).len(), 1);
    assert_eq!(once.last_between(to, to), None);
    let few = second.ticks_between(to, to + Duration::from_secs(3), 5);
    assert_eq!(few.len(), 3);
    assert!(few.is_sorted());
}

#[test]
fn what_lies_beyond_time_has_no_next_tick() {
    let far = UNIX_EPOCH + Duration::from_secs(400_000_000_000);
    for schedule in [
        Schedule::every(Duration::from_secs(1)).unwrap(),
        Schedule::crontab("* * * * *").unwrap(),
        Schedule::solar(SunEvent::Sunset, 0.0, 0.0).unwrap(),
    ] {
        assert_eq!(schedule.next_after(far), None, "{schedule}");
    }
}
