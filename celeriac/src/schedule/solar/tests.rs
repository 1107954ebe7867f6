#![allow(clippy::unwrap_used)]

use super::*;
use crate::schedule::time::SECOND;

/// Made by `tests/python/solar_table.py`.
const CELERY: &str = include_str!("celery.tsv");

struct Row {
    solar: Solar,
    after: i64,
    found: i64,
}

fn rows() -> impl Iterator<Item = Row> {
    CELERY.lines().map(|line| {
        let cells: Vec<_> = line.split('\t').collect();
        let degrees = |at: usize| cells[at].parse().unwrap();
        Row {
            solar: Solar::new(cells[0].parse().unwrap(), degrees(1), degrees(2)).unwrap(),
            after: cells[3].parse().unwrap(),
            found: cells[4].parse().unwrap(),
        }
    })
}

/// Returns how many rows were seen, and by how many seconds the worst is off.
fn worst(fits: impl Fn(f64) -> bool) -> (usize, i64) {
    let rows: Vec<_> = rows().filter(|row| fits(row.solar.latitude)).collect();
    let errors = rows.iter().map(|row| {
        let next = row.solar.next(row.after * SECOND).unwrap() / SECOND;
        (next - row.found).abs()
    });
    (rows.len(), errors.max().unwrap())
}

// S39: the sun's events are those that Celery computes, to the minute.
#[test]
fn events_are_celerys_to_some_seconds_between_65_south_and_north() {
    let (rows, worst) = worst(|latitude| latitude.abs() <= 65.0);
    assert!(rows > 900, "{rows} rows");
    assert!(worst <= 15, "{worst} s");
}

#[test]
fn near_the_poles_the_next_day_that_has_an_event_is_celerys() {
    let (rows, worst) = worst(|latitude| latitude.abs() > 65.0);
    assert!(rows > 200, "{rows} rows");
    assert!(worst <= 90, "{worst} s");
}

#[test]
fn at_the_pole_the_sun_does_not_rise_every_day_and_nobody_waits_for_ever() {
    for event in SunEvent::ALL {
        let next = Solar::new(event, 90.0, 0.0).unwrap().next(0);
        assert_eq!(next.is_some(), event == SunEvent::SolarNoon, "{event}");
    }
}

#[test]
fn every_day_has_one_and_none_is_asked_for_twice() {
    for event in SunEvent::ALL {
        for longitude in [-180.0, -97.3, 0.0, 52.4, 180.0] {
            let solar = Solar::new(event, 47.0, longitude).unwrap();
            let mut at = 1_760_000_000 * SECOND;
            for _ in 0..400 {
                let next = solar.next(at).unwrap();
                let hours = (next - at) / SECOND / 3600;
                let first = at == 1_760_000_000 * SECOND;
                assert!(
                    first || (23..25).contains(&hours),
                    "{solar}: {hours} h after {at}"
                );
                assert_eq!(solar.next(next - 1), Some(next));
                assert_eq!(solar.next(at + (next - at) / 2), Some(next));
                at = next;
            }
        }
    }
}

#[test]
fn what_is_no_event_or_no_place_is_refused() {
    let wrong = |latitude, longitude| {
        let solar = Solar::new(SunEvent::Sunrise, latitude, longitude);
        solar.unwrap_err().to_string()
    };
    assert_eq!(
        wrong(90.1, 0.0),
        "solar, latitude: expected -90 to 90 degrees, found 90.1"
    );
    assert_eq!(
        wrong(0.0, f64::NAN),
        "solar, longitude: expected -180 to 180 degrees, found NaN"
    );
    let error = "moonrise".parse::<SunEvent>().unwrap_err().to_string();
    assert!(error.contains("solar_noon"), "{error}");
}
