//! What the examples share: where the servers are, and a node for one queue.
//!
//! Without any setting they run in this process's memory. With `CELERIAC_BROKER` and
//! `CELERIAC_RESULT_BACKEND` they run on servers, such as `amqp://localhost` and
//! `redis://localhost`.

use celeriac_node::Config;

/// Returns the broker's URL: `CELERIAC_BROKER`, or memory.
pub fn broker() -> String {
    std::env::var("CELERIAC_BROKER").unwrap_or_else(|_| "memory://".to_owned())
}

/// Returns the result backend's URL: `CELERIAC_RESULT_BACKEND`, else answers through the
/// broker, or memory when the broker is memory.
pub fn backend() -> String {
    std::env::var("CELERIAC_RESULT_BACKEND").unwrap_or_else(|_| {
        let memory = broker().starts_with("memory:");
        if memory { "memory://" } else { "rpc://" }.to_owned()
    })
}

/// Returns the settings of a node that takes tasks from one queue.
pub fn node_config(queue: &str) -> Config {
    Config {
        queues: vec![queue.to_owned()],
        ..Config::default()
    }
}
