//! Fleets of real nodes: rolled, drained, cut off.
#![allow(clippy::unwrap_used, reason = "a test says by panicking")]

mod deadline;
mod partition;
mod returned;
mod roll;

use celeriac::App;

fn unique(word: &str) -> String {
    format!("{word}-{}", uuid::Uuid::new_v4())
}

/// A client that sends to a queue.
fn client(broker: &str, backend: &str, queue: &str) -> App {
    App::builder("test")
        .broker(broker)
        .backend(backend)
        .default_queue(queue)
        .build()
        .unwrap()
}
