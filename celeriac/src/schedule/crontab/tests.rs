#![allow(clippy::unwrap_used)]

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
