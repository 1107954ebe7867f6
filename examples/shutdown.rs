//! Stops a node without losing work: `cargo run -p celeriac-examples --example shutdown`

use std::error::Error;
use std::time::Duration;

use celeriac::{App, State, task};
use celeriac_examples::{backend, broker};
use celeriac_node::{Config, Node, Reason, Shutdown};

const QUEUE: &str = "examples.shutdown";
const SOON: Duration = Duration::from_secs(30);

/// Takes a while.
#[task(track_started)]
async fn slow() -> String {
    tokio::time::sleep(Duration::from_millis(300)).await;
    "done".to_owned()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = App::builder("shutdown")
        .broker(broker())
        .backend(backend())
        .default_queue(QUEUE)
        .task(slow)
        .build()?;
    let config = Config {
        queues: vec![QUEUE.into()],
        drain_deadline: Duration::from_secs(10),
        ..Config::default()
    };
    let shutdown = Shutdown::new();
    let node = tokio::spawn(Node::new(app.clone(), config)?.run(shutdown.clone()));

    let mut result = slow.call().send(&app).await?;
    while result.changed(SOON).await?.status != State::Started {}

    // What a program does on SIGTERM. The node takes no more tasks, finishes those that
    // run, and gives back the others; a second `drain()` would not wait.
    shutdown.drain();
    let stopped = node.await??;
    println!("node {stopped}");
    assert_eq!(stopped.reason, Reason::Drained);
    assert_eq!((stopped.finished, stopped.unfinished.len()), (1, 0));
    app.close().await;
    Ok(())
}
