//! Follows a task's progress and its failure: `cargo run -p celeriac-examples --example results`

use std::error::Error;
use std::time::Duration;

use celeriac::{App, Context, TaskError, protocol::json, task};
use celeriac_examples::{backend, broker, node_config};
use celeriac_node::{Node, Shutdown};

const QUEUE: &str = "examples.results";
const SOON: Duration = Duration::from_secs(30);

/// Copies files one by one and says how far it is.
#[task(track_started)]
async fn copy(ctx: Context, files: u64) -> Result<u64, TaskError> {
    for file in 0..files {
        ctx.progress(file, files).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
        if file == 3 {
            return Err(TaskError::python("OSError", "the disk is full"));
        }
    }
    Ok(files)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = App::builder("results")
        .broker(broker())
        .backend(backend())
        .default_queue(QUEUE)
        .task(copy)
        .build()?;
    let shutdown = Shutdown::new();
    let node = Node::new(app.clone(), node_config(QUEUE))?;
    let node = tokio::spawn(node.run(shutdown.clone()));

    let mut copied = copy.call(3).send(&app).await?;
    loop {
        let now = copied.changed(SOON).await?;
        println!("{} {}", now.status, json::to_string(&now.result)?);
        if now.status.is_ready() {
            break;
        }
    }
    assert_eq!(copied.get(SOON).await?, 3);

    let failed = copy.call(5).send(&app).await?;
    match failed.get(SOON).await {
        Err(celeriac::Error::Failed { exception, .. }) => println!("failed: {exception}"),
        other => return Err(format!("expected a failure, found {other:?}").into()),
    }

    shutdown.drain();
    println!("node {}", node.await??);
    app.close().await;
    Ok(())
}
