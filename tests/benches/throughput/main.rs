//! Celeriac beside its peers, in one run: a table of rates, CPU and memory.
//!
//! `./tests/run with cargo bench -p celeriac-tests`, or `just bench`. With
//! `--bench throughput --` come options: `--tasks N`, `--runs N`, `--only NAME`.
//!
//! Each measurement is a process of its own, this program again in a role, so that its
//! CPU time is its own. Ours and its peer take turns, run by run, because the machine
//! is not equally fast at all times; the ratio is that of the medians.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark stops at the first error"
)]

/// As in the stock binary; the peers' roles have it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod celery;
mod history;
mod measure;
mod report;
mod roles;

use self::measure::{Sample, role};
use self::report::{Report, Row};

fn main() {
    let options = Options::read();
    if let Some(role) = &options.role {
        return roles::play(role, &options);
    }
    let mut report = Report::default();
    for measurement in measurements() {
        if options
            .only
            .as_ref()
            .is_none_or(|only| measurement.name.contains(only.as_str()))
        {
            report.add(run(&measurement, &options));
        }
    }
    if options.only.is_none() {
        report.memory("idle node, resident", measure::idle_node_memory());
    }
    println!("{report}");
    let only = options.only.as_deref();
    if only.is_none_or(|only| "history".contains(only)) {
        println!("{}", history::run(&options));
    }
}

/// Ours and a peer doing the same.
struct Measurement {
    name: &'static str,
    /// The role that fills the queue first, for those that empty it.
    fill: Option<&'static str>,
    ours: &'static str,
    peers: &'static [Peer],
}

struct Peer {
    name: &'static str,
    role: &'static str,
    /// Slow ones do a part of the tasks; rates are per second all the same.
    share: usize,
}

fn measurements() -> Vec<Measurement> {
    vec![
        Measurement {
            name: "memory: send",
            fill: None,
            ours: "memory-send",
            peers: &[],
        },
        Measurement {
            name: "memory: run",
            fill: None,
            ours: "memory-run",
            peers: &[],
        },
        Measurement {
            name: "memory: send and run",
            fill: None,
            ours: "memory-both",
            peers: &[],
        },
        Measurement {
            name: "rabbitmq: send",
            fill: None,
            ours: "amqp-send",
            peers: &[Peer {
                name: "bare lapin",
                role: "lapin-send",
                share: 1,
            }],
        },
        Measurement {
            name: "rabbitmq: run",
            fill: Some("lapin-send"),
            ours: "amqp-run",
            peers: &[
                Peer {
                    name: "bare lapin, acks one by one",
                    role: "lapin-consume",
                    share: 1,
                },
                Peer {
                    name: "bare lapin, acks by 64",
                    role: "lapin-consume-64",
                    share: 1,
                },
                Peer {
                    name: "celery, prefork 2",
                    role: "celery-prefork",
                    share: 10,
                },
                Peer {
                    name: "celery, threads 10",
                    role: "celery-threads",
                    share: 10,
                },
            ],
        },
    ]
}

fn run(measurement: &Measurement, options: &Options) -> Row {
    let mut ours = Vec::new();
    let mut peers: Vec<Vec<Sample>> = measurement.peers.iter().map(|_| Vec::new()).collect();
    for number in 0..options.runs {
        eprintln!(
            "{}: run {} of {}",
            measurement.name,
            number + 1,
            options.runs
        );
        ours.push(one(measurement.fill, measurement.ours, options.tasks));
        for (peer, samples) in measurement.peers.iter().zip(&mut peers) {
            samples.push(one(measurement.fill, peer.role, options.tasks / peer.share));
        }
    }
    let names = measurement.peers.iter().map(|peer| peer.name);
    Row {
        name: measurement.name,
        ours,
        peers: names.zip(peers).collect(),
    }
}

fn one(fill: Option<&str>, name: &str, tasks: usize) -> Sample {
    let queue = measure::fresh_queue();
    if let Some(fill) = fill {
        role(fill, tasks, &queue);
    }
    let sample = match name.strip_prefix("celery-") {
        Some(pool) => celery::drain(pool, tasks, &queue),
        None => role(name, tasks, &queue),
    };
    measure::delete_queue(&queue);
    sample
}

/// What the command line says.
pub(crate) struct Options {
    pub(crate) tasks: usize,
    pub(crate) runs: usize,
    pub(crate) only: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) queue: String,
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            tasks: 100_000,
            runs: 5,
            only: None,
            role: None,
            queue: String::new(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .unwrap_or_else(|| panic!("{word}: expected a value"))
            };
            match word.as_str() {
                "--tasks" => options.tasks = value().parse().unwrap(),
                "--runs" => options.runs = value().parse().unwrap(),
                "--only" => options.only = Some(value()),
                "--role" => options.role = Some(value()),
                "--queue" => options.queue = value(),
                // Cargo adds it.
                "--bench" => {}
                other => panic!("expected --tasks, --runs or --only, found {other}"),
            }
        }
        options
    }
}
