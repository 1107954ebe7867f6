//! One field of a cron line, by Celery's rules.

use crate::error::{Error, Result};

/// A kind of field: its name and the numbers it may hold.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) first: u32,
    pub(super) last: u32,
    /// Names by the number of the first; their first three letters count.
    names: &'static [&'static str],
}

pub(super) const SECOND: Kind = Kind::new("second", 0, 59, &[]);
pub(super) const MINUTE: Kind = Kind::new("minute", 0, 59, &[]);
pub(super) const HOUR: Kind = Kind::new("hour", 0, 23, &[]);
pub(super) const DAY_OF_MONTH: Kind = Kind::new("day of month", 1, 31, &[]);
pub(super) const MONTH: Kind = Kind::new(
    "month",
    1,
    12,
    &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
);
pub(super) const DAY_OF_WEEK: Kind = Kind::new(
    "day of week",
    0,
    6,
    &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
);

/// The numbers of a field, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Set(u64);

impl Set {
    pub(super) const fn contains(self, number: u32) -> bool {
        self.0 >> number & 1 == 1
    }

    /// Returns the first number not below another one.
    pub(super) const fn from(self, number: u32) -> Option<u32> {
        let rest = if number < 64 {
            self.0 >> number << number
        } else {
            0
        };
        if rest == 0 {
            return None;
        }
        Some(rest.trailing_zeros())
    }

    pub(super) fn first(self) -> u32 {
        self.0.trailing_zeros()
    }

    pub(super) const fn len(self) -> u32 {
        self.0.count_ones()
    }

    pub(super) const fn one(number: u32) -> Self {
        Self(1 << number)
    }
}

impl Kind {
    const fn new(
        name: &'static str,
        first: u32,
        last: u32,
        names: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            first,
            last,
            names,
        }
    }

    /// Reads a field that starts at a column of the line, counted from 1.
    pub(super) fn parse(&self, text: &str, column: usize) -> Result<Set> {
        let mut bits = 0;
        let mut at = column;
        for part in text.split(',') {
            for number in self.part(part, at)? {
                bits |= 1 << number;
            }
            at += part.chars().count() + 1;
        }
        Ok(Set(bits))
    }

    /// Reads `*`, `N`, `N-N`, the first and last with `/step`.
    fn part(&self, part: &str, column: usize) -> Result<Vec<u32>> {
        if part.is_empty() {
            return Err(self.wrong(column, &self.expected(), "nothing"));
        }
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let numbers: Vec<u32> = if range == "*" {
            (self.first..=self.last).collect()
        } else if let Some((from, to)) = range.split_once('-') {
            let to_column = column + from.chars().count() + 1;
            let (from, to) = (self.number(from, column)?, self.number(to, to_column)?);
            if from <= to {
                (from..=to).collect()
            } else {
                // Over the end and on from the beginning.
                (from..=self.last).chain(self.first..=to).collect()
            }
        } else if step.is_some() {
            let expected = "* or a range such as 0-30 before a step";
            return Err(self.wrong(column, expected, part));
        } else {
            vec![self.number(range, column)?]
        };
        let Some(step) = step else {
            return Ok(numbers);
        };
        let wrong = || {
            let column = column + range.chars().count() + 1;
            self.wrong(column, "a step of 1 or more", step)
        };
        if !step.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        match step.parse::<usize>() {
            Ok(step) if step > 0 => Ok(numbers.into_iter().step_by(step).collect()),
            _ => Err(wrong()),
        }
    }

    fn number(&self, text: &str, column: usize) -> Result<u32> {
        let number = if text.bytes().all(|byte| byte.is_ascii_digit()) {
            text.parse().ok()
        } else if text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            let start = text.get(..3).map(str::to_ascii_lowercase);
            let names = self.names.iter().zip(self.first..);
            start
                .and_then(|start| names.clone().find(|(name, _)| **name == start))
                .map(|(_, number)| number)
        } else {
            None
        };
        number
            .filter(|number| (self.first..=self.last).contains(number))
            .ok_or_else(|| self.wrong(column, &self.expected(), text))
    }

    fn expected(&self) -> String {
        let (first, last) = (self.first, self.last);
        match (self.names.first(), self.names.last()) {
            (Some(from), Some(to)) => {
                let sunday = if first == 0 { " (Sunday is 0)" } else { "" };
                format!("{first} to {last} or {from} to {to}{sunday}")
            }
            _ => format!("{first} to {last}"),
        }
    }

    fn wrong(&self, column: usize, expected: &str, found: &str) -> Error {
        let found = if found.is_empty() { "nothing" } else { found };
        Error::invalid(
            format!("crontab, {} at column {column}", self.name),
            expected,
            found,
        )
    }
}
