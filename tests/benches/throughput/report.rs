//! The table.

use std::fmt;

use super::measure::Sample;

/// All rows, printed as Markdown.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    memory: Vec<(&'static str, f64)>,
}

/// Ours beside its peers.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) ours: Vec<Sample>,
    pub(crate) peers: Vec<(&'static str, Vec<Sample>)>,
}

impl Report {
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(crate) fn memory(&mut self, name: &'static str, mib: f64) {
        self.memory.push((name, mib));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| what | who | tasks/s (median, min to max) | CPU per task, µs | ours to theirs, rate | ours to theirs, CPU |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for row in &self.rows {
            writeln!(
                f,
                "| {} | celeriac | {} | {} | | |",
                row.name,
                spread(&row.ours, Sample::rate, 0),
                spread(&row.ours, Sample::cpu_micros, 1)
            )?;
            for (name, samples) in &row.peers {
                writeln!(
                    f,
                    "| {} | {name} | {} | {} | {:.2} | {:.2} |",
                    row.name,
                    spread(samples, Sample::rate, 0),
                    spread(samples, Sample::cpu_micros, 1),
                    median(&row.ours, Sample::rate) / median(samples, Sample::rate),
                    median(&row.ours, Sample::cpu_micros) / median(samples, Sample::cpu_micros),
                )?;
            }
        }
        for (name, mib) in &self.memory {
            writeln!(f, "\n{name}: {mib:.1} MiB")?;
        }
        Ok(())
    }
}

fn sorted(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    let values = sorted(samples, of);
    values[values.len() / 2]
}

fn spread(samples: &[Sample], of: impl Fn(&Sample) -> f64 + Copy, digits: usize) -> String {
    let values = sorted(samples, of);
    let (low, high) = (values[0], values[values.len() - 1]);
    format!(
        "{:.digits$} ({low:.digits$} to {high:.digits$})",
        median(samples, of)
    )
}
