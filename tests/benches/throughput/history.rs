//! What a supervisor that keeps history costs a cluster, and how it answers with it.

use std::fmt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use celeriac_tests::http;
use celeriac_tests::program::free_address;

use super::Options;
use super::measure::{self, Sample, amqp_url, pause, release_binary, resident_mib, role};

/// A cluster with history on beside one with history off, run by run.
pub(crate) struct History {
    off: Vec<Sample>,
    on: Vec<Sample>,
    last: Kept,
}

/// What the supervisor was like after the last run with history.
#[derive(Default)]
struct Kept {
    tasks: u64,
    /// From the end of the tasks until all of them were in the store.
    behind: Duration,
    resident_mib: f64,
    file_mib: f64,
    /// Times of answers in milliseconds, sorted.
    overview: Vec<f64>,
    tasks_page: Vec<f64>,
}

/// How often each page is asked for.
const LOOKS: usize = 500;
/// How long the history may take to have everything.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(options: &Options) -> History {
    let (mut off, mut on, mut last) = (Vec::new(), Vec::new(), Kept::default());
    for number in 0..options.runs {
        eprintln!("history: run {} of {}", number + 1, options.runs);
        let looks = number + 1 == options.runs;
        off.push(one(options.tasks, false, false).0);
        let (sample, kept) = one(options.tasks, true, looks);
        on.push(sample);
        last = kept;
    }
    History { off, on, last }
}

fn one(tasks: usize, keeps: bool, looks: bool) -> (Sample, Kept) {
    let queue = measure::fresh_queue();
    // Of ids of their own, so that each is a row of the history.
    role("amqp-send", tasks, &queue);
    let folder = std::env::temp_dir().join(format!("celeriac-{queue}"));
    std::fs::create_dir_all(&folder).unwrap();
    let supervisor = Supervisor::start(&folder, keeps);
    let sample = role("amqp-run-events", tasks, &queue);
    let kept = if looks {
        supervisor.look(tasks as u64, &folder)
    } else {
        Kept::default()
    };
    drop(supervisor);
    measure::delete_queue(&queue);
    std::fs::remove_dir_all(&folder).unwrap();
    (sample, kept)
}

/// A stock supervisor; dropping it kills it.
struct Supervisor {
    child: Child,
    address: String,
    runtime: tokio::runtime::Runtime,
}

impl Supervisor {
    fn start(folder: &std::path::Path, keeps: bool) -> Self {
        let binary = release_binary("celeriac");
        let (address, broker) = (free_address(), amqp_url());
        let mut command = Command::new(&binary);
        command
            .args([
                "supervisor",
                "-b",
                &broker,
                "-r",
                "disabled://",
                "-l",
                "error",
            ])
            .args(["--listen", &address, "--store"])
            .arg(folder.join("celeriac.db"));
        if !keeps {
            command.args(["--history-max-tasks", "0"]);
        }
        let advice = "build it with cargo build --release";
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; {advice}", binary.display()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let supervisor = Self {
            child,
            address,
            runtime,
        };
        let end = Instant::now() + PATIENCE;
        while supervisor.get("/readyz").is_none() {
            assert!(Instant::now() < end, "the supervisor becomes ready");
            pause(Duration::from_millis(50));
        }
        supervisor
    }

    fn get(&self, path: &str) -> Option<String> {
        let answer = self.runtime.block_on(http::get(&self.address, path)).ok()?;
        (answer.status == 200).then_some(answer.body)
    }

    /// Waits until the history has every task, and then looks at it.
    fn look(&self, tasks: u64, folder: &std::path::Path) -> Kept {
        let start = Instant::now();
        let metric = |name: &str| {
            let metrics = self.get("/metrics").unwrap_or_default();
            let mut lines = metrics.lines();
            let found = lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            found.unwrap_or(0_u64)
        };
        // Events travel for a moment; what waits is written after it.
        let (mut behind, mut quiet) = (Duration::ZERO, 0);
        while quiet < 25 && start.elapsed() < PATIENCE {
            pause(Duration::from_millis(20));
            match metric("celeriac_history_waiting ") {
                0 => quiet += 1,
                _ => (behind, quiet) = (start.elapsed(), 0),
            }
        }
        // The rows are counted twice a minute. Events may be lost: the table says how many.
        let mut count = 0;
        while count < tasks && start.elapsed() < PATIENCE {
            pause(Duration::from_millis(200));
            count = metric("celeriac_history_stored ");
        }
        let size = |name: &str| {
            let length = std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
            length as f64 / 1_048_576.0
        };
        Kept {
            tasks: count,
            behind,
            overview: self.times("/"),
            tasks_page: self.times("/tasks"),
            resident_mib: resident_mib(self.child.id()),
            file_mib: size("celeriac.db") + size("celeriac.db-wal"),
        }
    }

    fn times(&self, path: &str) -> Vec<f64> {
        let mut times: Vec<f64> = (0..LOOKS)
            .map(|_| {
                let start = Instant::now();
                assert!(self.get(path).is_some(), "{path} answers");
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.on.iter().zip(&self.off);
        let mut ratios: Vec<f64> = pairs.map(|(on, off)| on.rate() / off.rate()).collect();
        ratios.sort_by(f64::total_cmp);
        let rates = |samples: &[Sample]| {
            let mut rates: Vec<f64> = samples.iter().map(Sample::rate).collect();
            rates.sort_by(f64::total_cmp);
            rates
        };
        writeln!(f, "| history | tasks/s (median, min to max) |\n|---|---|")?;
        for (name, samples) in [("off", &self.off), ("on", &self.on)] {
            let rates = rates(samples);
            let (median, lowest, highest) = spread(&rates);
            writeln!(f, "| {name} | {median:.0} ({lowest:.0} to {highest:.0}) |")?;
        }
        let (median, lowest, highest) = spread(&ratios);
        writeln!(
            f,
            "\non to off, run by run: {median:.2} ({lowest:.2} to {highest:.2})"
        )?;
        let kept = &self.last;
        writeln!(
            f,
            "{} tasks kept {:.1} s after the last ended, in a file of {:.0} MiB; supervisor resident \
             {:.0} MiB",
            kept.tasks,
            kept.behind.as_secs_f64(),
            kept.file_mib,
            kept.resident_mib
        )?;
        for (page, times) in [("overview", &kept.overview), ("tasks", &kept.tasks_page)] {
            let at = |share: f64| times.get((times.len() as f64 * share) as usize);
            let (middle, late) = (at(0.5).unwrap_or(&0.0), at(0.99).unwrap_or(&0.0));
            writeln!(
                f,
                "page {page}: p50 {middle:.1} ms, p99 {late:.1} ms of {LOOKS}"
            )?;
        }
        Ok(())
    }
}

/// Median, lowest and highest of sorted figures.
fn spread(sorted: &[f64]) -> (f64, f64, f64) {
    let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
    (
        at(sorted.len() / 2),
        at(0),
        at(sorted.len().saturating_sub(1)),
    )
}
