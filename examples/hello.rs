//! Defines a task, runs a node, reads a result: `cargo run -p celeriac-examples --example hello`

use std::error::Error;
use std::time::Duration;

use celeriac::{App, task};
use celeriac_examples::{backend, broker};
use celeriac_node::{Config, Node, Shutdown};

const QUEUE: &str = "examples.hello";

/// Adds two numbers.
#[task(name = "demo.add")]
async fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = App::builder("hello")
        .broker(broker())
        .backend(backend())
        .default_queue(QUEUE)
        .task(add)
        .build()?;

    // A node runs the tasks. It could be another process on another machine.
    let config = Config {
        queues: vec![QUEUE.into()],
        ..Config::default()
    };
    let shutdown = Shutdown::new();
    let node = tokio::spawn(Node::new(app.clone(), config)?.run(shutdown.clone()));

    let result = add.call(2, 3).send(&app).await?;
    let sum = result.get(Duration::from_secs(10)).await?;
    println!("2 + 3 = {sum}");
    assert_eq!(sum, 5);

    // The function itself is still there, for tests.
    assert_eq!(add::run(2, 3).await, 5);

    shutdown.drain();
    println!("node {}", node.await??);
    app.close().await;
    Ok(())
}
