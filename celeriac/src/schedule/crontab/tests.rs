#![allow(clippy::unwrap_used)]

mod transitions;

use super::*;

#[test]
fn errors_name_the_field_its_column_and_what_was_expected() {
    for (line, error) in [
        (
            "*/5 * * *",
            "crontab: expected five fields (minute, hour, day of month, month, day of week), six \
             with the second first, or a name such as @hourly, found \"*/5 * * *\"",
        ),
        (
            "0 3,25 * * *",
            "crontab, hour at column 5: expected 0 to 23, found 25",
        ),
        (
            "0 0 * * mon-7",
            "crontab, day of week at column 13: expected 0 to 6 or sun to sat (Sunday is 0), found 7",
        ),
        (
            "*/0 * * * *",
            "crontab, minute at column 3: expected a step of 1 or more, found 0",
        ),
        (
            "5/10 * * * *",
            "crontab, minute at column 1: expected * or a range such as 0-30 before a step, found 5/10",
        ),
        (
            "1,,2 * * * *",
            "crontab, minute at column 3: expected 0 to 59, found nothing",
        ),
        (
            "0 0 30 feb *",
            "crontab, day of month at column 5: expected a day that month feb has, found 30",
        ),
        (
            "61 * * * * *",
            "crontab, second at column 1: expected 0 to 59, found 61",
        ),
    ] {
        assert_eq!(Crontab::parse(line).unwrap_err().to_string(), error);
    }
}

/// Made by `tests/python/crontab_table.py`.
const CELERY: &str = include_str!("celery.tsv");

// S39: cron lines mean what they mean to Celery.
#[test]
fn lines_have_the_runs_that_celery_computes_and_are_refused_where_celery_refuses_them() {
    let (mut runs, mut refused) = (0, 0);
    for row in CELERY.lines() {
        let (line, rest) = row.split_once('\t').unwrap();
        let parsed = Crontab::parse(line);
        if rest == "refused" {
            assert!(parsed.is_err(), "{line} is taken");
            refused += 1;
            continue;
        }
        let crontab = parsed.unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut steps = rest.split('\t').map(|step| step.parse::<i64>().unwrap());
        let mut at = steps.next().unwrap();
        for step in steps {
            let next = crontab.next(at * SECOND).unwrap() / SECOND;
            assert_eq!(next - at, step, "{line} after {at}");
            at = next;
            runs += 1;
        }
    }
    assert!(
        runs > 7000 && refused > 200,
        "{runs} runs, {refused} refused"
    );
}

#[test]
fn six_fields_begin_with_the_second() {
    let crontab = Crontab::parse("*/20 59 23 31 12 *").unwrap();
    let mut at = 1_767_225_500 * SECOND; // 2025-12-31T23:58:20Z
    let mut found = Vec::new();
    for _ in 0..4 {
        at = crontab.next(at).unwrap();
        found.push(at / SECOND - 1_767_225_540);
    }
    assert_eq!(found, [0, 20, 40, 365 * DAY]);
}

#[test]
fn names_for_whole_lines_are_lines() {
    for (name, line) in ALIASES {
        let (named, plain) = (Crontab::parse(name).unwrap(), Crontab::parse(line).unwrap());
        assert_eq!(named.line(), name);
        for at in [0, 1_700_000_000, 1_800_000_000] {
            assert_eq!(named.next(at * SECOND), plain.next(at * SECOND), "{name}");
        }
    }
}

#[test]
fn what_comes_seldom_is_found_and_costs_little() {
    // Of the leap days after that of 2096, those of 2104 and 2108 are no Mondays.
    let crontab = Crontab::parse("0 0 29 2 mon").unwrap();
    let next = crontab.next(4_000_000_000 * SECOND).unwrap();
    assert_eq!(next / SECOND, 4_486_147_200); // 2112-02-29
    // The longest wait there is: over the year 2100, which has no leap day.
    for day in 0..7 {
        let crontab = Crontab::parse(&format!("0 0 29 2 {day}")).unwrap();
        let mut at = 0;
        for _ in 0..12 {
            at = crontab.next(at).unwrap();
        }
    }
}
