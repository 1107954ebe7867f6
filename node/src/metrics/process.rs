//! What the kernel says of this process and machine.

use std::fs;

/// What the kernel says of this process. Where there is no `/proc` everything is 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Process {
    /// Seconds of processor time in user code.
    pub(crate) utime: f64,
    /// Seconds of processor time in the kernel.
    pub(crate) stime: f64,
    /// Page faults that needed no reading.
    pub(crate) minflt: u64,
    /// Page faults that had to read.
    pub(crate) majflt: u64,
    /// Resident memory, in bytes.
    pub(crate) rss: u64,
    /// The most resident memory there ever was, in bytes.
    pub(crate) max_rss: u64,
    /// How often the main thread waited.
    pub(crate) nvcsw: u64,
    /// How often it was made to.
    pub(crate) nivcsw: u64,
}

/// The unit of times in `/proc`: the kernel's interface to programs fixes it.
const TICKS: f64 = 100.0;

impl Process {
    /// Asks the kernel.
    pub(crate) fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self::parse(&stat, &status)
    }

    fn parse(stat: &str, status: &str) -> Self {
        // The program's name may contain anything, so count from its closing bracket.
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        let fields: Vec<u64> = after
            .split(' ')
            .map(|field| field.parse().unwrap_or(0))
            .collect();
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
        let line = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.unwrap_or(0_u64)
        };
        Self {
            utime: field(14) as f64 / TICKS,
            stime: field(15) as f64 / TICKS,
            minflt: field(10),
            majflt: field(12),
            rss: line("VmRSS") << 10,
            max_rss: line("VmHWM") << 10,
            nvcsw: line("voluntary_ctxt_switches"),
            nivcsw: line("nonvoluntary_ctxt_switches"),
        }
    }
}

/// Returns the load averages of 1, 5 and 15 minutes; 0 where nobody counts them.
pub(crate) fn load_average() -> [f64; 3] {
    parse_load(&fs::read_to_string("/proc/loadavg").unwrap_or_default())
}

fn parse_load(text: &str) -> [f64; 3] {
    let mut fields = text
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0));
    std::array::from_fn(|_| fields.next().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lines_are_read() {
        let stat =
            "77 (my (odd) name) S 1 77 77 0 -1 4194560 900 0 3 0 150 25 0 0 20 0 8 0 4711 1 2";
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n\
                      voluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        let expected = Process {
            utime: 1.5,
            stime: 0.25,
            minflt: 900,
            majflt: 3,
            rss: 1 << 20,
            max_rss: 2 << 20,
            nvcsw: 12,
            nivcsw: 3,
        };
        assert_eq!(Process::parse(stat, status), expected);
        assert_eq!(Process::parse("", ""), Process::default());
    }

    #[test]
    fn this_process_has_memory() {
        let process = Process::read();
        assert!(
            process.rss > 0 && process.max_rss >= process.rss,
            "{process:?}"
        );
    }

    #[test]
    fn load_has_three_numbers() {
        assert_eq!(parse_load("3.60 2.48 1.40 2/300 4711\n"), [3.6, 2.48, 1.4]);
        assert_eq!(parse_load(""), [0.0; 3]);
    }
}
