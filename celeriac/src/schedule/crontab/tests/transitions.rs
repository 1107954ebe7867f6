//! Clock changes: every one of 1970 to 2037 in ten zones, against an oracle that walks minute
//! by minute and knows nothing of offsets.

use std::collections::HashSet;

use super::super::*;

/// Half an hour, two hours, a skipped day, a winter time that is the exception, Ramadan.
const ZONES: [&str; 10] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Tehran",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Asia/Gaza",
    "Europe/Dublin",
    "Antarctica/Troll",
];

/// 1970-01-02 and 2038-01-01.
const YEARS: (i64, i64) = (DAY, 2_145_916_800);
const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

/// A civil minute: day of the week from Sunday, hour, minute.
type Fits = fn(u32, u32, u32) -> bool;

struct Case {
    line: &'static str,
    fits: Fits,
    /// Whether skipped times are made up for.
    made_up: bool,
    /// Whether repeated times are ticks twice.
    repeats: bool,
    /// How far round a change it is followed.
    hours: i64,
}

const fn fixed(line: &'static str, fits: Fits) -> Case {
    Case {
        line,
        fits,
        made_up: true,
        repeats: false,
        hours: 27,
    }
}

const fn hourly(line: &'static str, hours: i64, fits: Fits) -> Case {
    Case {
        line,
        fits,
        made_up: false,
        repeats: true,
        hours,
    }
}

const CASES: [Case; 14] = [
    fixed("30 2 * * *", |_, h, m| (h, m) == (2, 30)),
    fixed("0 3 * * *", |_, h, m| (h, m) == (3, 0)),
    fixed("0 0 * * *", |_, h, m| (h, m) == (0, 0)),
    fixed("59 23 * * *", |_, h, m| (h, m) == (23, 59)),
    fixed("15,45 0-3 * * *", |_, h, m| h <= 3 && m % 30 == 15),
    fixed("0 */2 * * *", |_, h, m| h % 2 == 0 && m == 0),
    fixed("20 22-4 * * *", |_, h, m| (h >= 22 || h <= 4) && m == 20),
    fixed("0 1 * * sun", |d, h, m| (d, h, m) == (0, 1, 0)),
    Case {
        repeats: true,
        ..fixed("*/15 2 * * *", |_, h, m| h == 2 && m % 15 == 0)
    },
    Case {
        repeats: true,
        ..fixed("*/20 23-3 * * *", |_, h, m| {
            (h == 23 || h <= 3) && m % 20 == 0
        })
    },
    hourly("7 * * * *", 27, |_, _, m| m == 7),
    hourly("5,35 0-23 * * *", 27, |_, _, m| m % 30 == 5),
    hourly("*/15 * * * *", 9, |_, _, m| m % 15 == 0),
    hourly("* * * * *", 3, |_, _, _| true),
];

/// Walks civil time as people live it: what was passed is known, what is jumped is skipped.
fn oracle(case: &Case, minutes: &[(i64, i64)]) -> Vec<i64> {
    let fits = |civil: i64| {
        let of_day = civil.rem_euclid(DAY);
        let day_of_week = (civil.div_euclid(DAY) + 4).rem_euclid(7) as u32;
        let (hour, minute) = ((of_day / HOUR) as u32, (of_day % HOUR / MINUTE) as u32);
        (case.fits)(day_of_week, hour, minute)
    };
    let mut ticks = Vec::new();
    let mut passed = minutes[0].1 - MINUTE;
    for (at, civil) in minutes {
        let repeated = *civil <= passed;
        let own = fits(*civil) && (case.repeats || !repeated);
        let skipped = (passed / MINUTE + 1..civil / MINUTE).any(|civil| fits(civil * MINUTE));
        if own || (case.made_up && skipped) {
            ticks.push(*at);
        }
        passed = passed.max(*civil);
    }
    ticks
}

fn changes(zone: &Zone) -> Vec<Change> {
    let next = |change: &Change| zone.change_after(change.at);
    std::iter::successors(zone.change_after(YEARS.0), next)
        .take_while(|change| change.at < YEARS.1)
        .collect()
}

// S40: clock changes lose and double no tick, and ticks do not depend on who asks from where.
#[test]
fn every_change_of_ten_zones_is_as_a_walk_by_the_minute_finds_it() {
    let mut seen = 0;
    for name in ZONES {
        let zone: Zone = name.parse().unwrap();
        let changes = changes(&zone);
        assert!(!changes.is_empty(), "{name} has changes");
        for change in changes {
            // A day more than is compared, so that what was passed is known.
            let from = change.at - 52 * HOUR;
            let minutes: Vec<_> = (from..change.at + 28 * HOUR)
                .step_by(60)
                .map(|at| (at, at + zone.offset(at).unwrap()))
                .collect();
            for case in &CASES {
                compare(case, &zone, change, &minutes);
            }
            seen += 1;
        }
    }
    assert!(seen > 900, "{seen} changes");
}

fn compare(case: &Case, zone: &Zone, change: Change, minutes: &[(i64, i64)]) {
    let mut crontab = Crontab::parse(case.line).unwrap();
    crontab.zone = zone.clone();
    let (from, to) = (change.at - case.hours * HOUR, change.at + case.hours * HOUR);
    let next = |after: i64| crontab.next(after * SECOND).unwrap() / SECOND;
    let told = || format!("{} {zone} round {change:?}", case.line);

    let mut expected = oracle(case, minutes);
    expected.retain(|tick| (from + 1..=to).contains(tick));
    let found: Vec<_> = std::iter::successors(Some(next(from)), |at| Some(next(*at)))
        .take_while(|at| *at <= to)
        .collect();
    assert_eq!(found, expected, "{}", told());
    assert!(found.is_sorted_by(|a, b| a < b), "{}", told());

    // From wherever it is asked, the answer is the same.
    for after in (from..to).step_by(5_003) {
        let index = expected.partition_point(|tick| *tick <= after);
        if let Some(tick) = expected.get(index) {
            assert_eq!(next(after), *tick, "{} from {after}", told());
        }
    }
    if !case.repeats {
        let civil = found.iter().map(|at| at + zone.offset(*at).unwrap());
        let different: HashSet<_> = civil.collect();
        assert_eq!(
            different.len(),
            found.len(),
            "{}: a civil time twice",
            told()
        );
    }
}

#[test]
fn an_hour_that_comes_twice_or_never() {
    for (line, after, expected) in [
        // Berlin skips 02:00 to 03:00 on 2026-03-29 at 01:00 UTC.
        (
            "30 2 * * *",
            1_774_743_000,
            &[1_774_746_000, 1_774_830_600][..],
        ),
        (
            "0,30 * * * *",
            1_774_744_200,
            &[1_774_746_000, 1_774_747_800],
        ),
        (
            "*/15 2 * * *",
            1_774_743_000,
            &[1_774_746_000, 1_774_828_800],
        ),
        // It has 02:00 to 03:00 twice on 2026-10-25, from 00:00 UTC.
        ("30 2 * * *", 1_792_886_400, &[1_792_888_200, 1_792_978_200]),
        (
            "30 * * * *",
            1_792_886_400,
            &[1_792_888_200, 1_792_891_800, 1_792_895_400],
        ),
    ] {
        let mut crontab = Crontab::parse(line).unwrap();
        crontab.zone = "Europe/Berlin".parse().unwrap();
        let mut at = after;
        for tick in expected {
            at = crontab.next(at * SECOND).unwrap() / SECOND;
            assert_eq!(at, *tick, "{line} after {after}");
        }
    }
}
