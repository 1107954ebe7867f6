//! The life of a process: what its probes say, and how it ends. Guarantee S51.

mod blocked;
mod drain;
mod first;
mod leader;
mod probes;
mod reasons;

use celeriac::App;
use celeriac_tests::servers;

fn unique(word: &str) -> String {
    format!("{word}-{}", uuid::Uuid::new_v4())
}

/// An app that sends to a queue.
fn sender(broker: &str, queue: &str) -> App {
    App::builder("test")
        .broker(broker)
        .backend(servers::redis_url())
        .default_queue(queue)
        .build()
        .unwrap()
}

/// The last line of a log that says anything.
fn last_line(log: &str) -> &str {
    let said = log.lines().rev().find(|line| !line.trim().is_empty());
    said.unwrap_or_default()
}
