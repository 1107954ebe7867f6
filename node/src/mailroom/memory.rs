//! The commands that look at memory.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use celeriac::protocol::Exception;

use super::arguments::Arguments;
use super::command::Answer;
use crate::metrics::process::Process;
use crate::shared::Shared;

/// So many samples are kept; the oldest go first.
const MAX: usize = 1000;

/// How many samples are told when nobody says.
const TOLD: usize = 10;

/// The samples of resident memory, in bytes, since they were last told.
#[derive(Debug, Default)]
pub(crate) struct Samples(Mutex<VecDeque<u64>>);

impl Samples {
    fn add(&self, bytes: u64) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() >= MAX {
            samples.pop_front();
        }
        samples.push_back(bytes);
    }

    /// Takes all out and returns so many of them, evenly spread.
    fn take(&self, count: usize) -> Vec<u64> {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let step = (all.len() / count.max(1)).max(1);
        all.into_iter().step_by(step).take(count).collect()
    }
}

pub(super) fn sample(shared: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    let rss = Process::read().rss;
    shared.samples.add(rss);
    Ok(Some(human(rss).into()))
}

pub(super) fn dump(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    let count = match arguments.get("samples") {
        None => TOLD,
        Some(_) => arguments.count("samples")?,
    };
    let samples = shared.samples.take(count);
    Ok(Some(table(&samples, Process::read().rss).into()))
}

/// Python's garbage has no counterpart here.
pub(super) fn graph(_: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    let text = "a node of celeriac has no Python objects to graph; memsample and memdump tell \
                its memory";
    Err(Exception::python("NotImplementedError", text))
}

fn table(samples: &[u64], end: u64) -> String {
    let mut text = String::new();
    if !samples.is_empty() {
        text.push_str("- rss (sample):\n");
    }
    for sample in samples {
        // Writing to a string does not fail.
        let _ = writeln!(text, "-    > {},", human(*sample));
    }
    let _ = writeln!(text, "- rss (end): {}.", human(end));
    text
}

/// Shows a number of bytes as Celery does: in the largest unit, with five digits.
fn human(bytes: u64) -> String {
    let units = [
        (1_u64 << 40, "TB"),
        (1 << 30, "GB"),
        (1 << 20, "MB"),
        (1 << 10, "KB"),
    ];
    let Some((size, unit)) = units.into_iter().find(|(size, _)| bytes >= *size) else {
        return format!("{bytes}b");
    };
    let value = bytes as f64 / size as f64;
    // Below 1024 in every unit but the last, so one to four digits stand before the point.
    let digits = 4_usize.saturating_sub(value.log10() as usize);
    let text = format!("{value:.digits$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_for_people() {
        for (bytes, shown) in [
            (0, "0b"),
            (1023, "1023b"),
            (1024, "1KB"),
            (1536, "1.5KB"),
            (87_556_096, "83.5MB"),
            (87_654_321, "83.594MB"),
            (1_073_741_823, "1024MB"),
            (3 << 40, "3TB"),
        ] {
            assert_eq!(human(bytes), shown);
        }
    }

    #[test]
    fn samples_are_told_once_and_bounded() {
        let samples = Samples::default();
        (0..=MAX as u64).for_each(|n| samples.add(n));
        assert_eq!(
            samples.take(10),
            (0..10).map(|n| 1 + n * 100).collect::<Vec<_>>()
        );
        assert!(samples.take(10).is_empty());
        assert_eq!(
            table(&[1024], 2048),
            "- rss (sample):\n-    > 1KB,\n- rss (end): 2KB.\n"
        );
    }
}
