//! Tries again what failed, later and later: `cargo run -p celeriac-examples --example retry`

use std::error::Error;
use std::io;
use std::time::Duration;

use celeriac::{App, Context, TaskError, task};
use celeriac_examples::{backend, broker, node_config};
use celeriac_node::{Node, Shutdown};

const QUEUE: &str = "examples.retry";

/// Gets a page from a server that is not well.
#[task(max_retries = 5, backoff = "20ms..1s", jitter = false)]
async fn fetch(ctx: Context, url: String) -> Result<String, TaskError> {
    println!("try {} of {url}", ctx.retries() + 1);
    match ctx.retries() {
        // With `backoff` every error is tried again, each time after a longer wait.
        0 => Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
        // The task may say itself when.
        1 => Err(ctx.retry_after(Duration::from_millis(10))),
        // What will not get better is not tried again.
        _ if url.starts_with("gopher:") => {
            Err(TaskError::python("ValueError", format!("cannot fetch {url}")).permanent())
        }
        _ => Ok(format!("the page at {url}")),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = App::builder("retry")
        .broker(broker())
        .backend(backend())
        .default_queue(QUEUE)
        .task(fetch)
        .build()?;
    let shutdown = Shutdown::new();
    let node = Node::new(app.clone(), node_config(QUEUE))?;
    let node = tokio::spawn(node.run(shutdown.clone()));

    let page = fetch.call("http://example.org".into()).send(&app).await?;
    let page = page.get(Duration::from_secs(30)).await?;
    assert_eq!(page, "the page at http://example.org");

    let hopeless = fetch.call("gopher://example.org".into()).send(&app).await?;
    let error = hopeless
        .get(Duration::from_secs(30))
        .await
        .expect_err("gopher cannot be fetched");
    println!("{error}");
    assert!(error.to_string().contains("cannot fetch gopher:"));

    shutdown.drain();
    println!("node {}", node.await??);
    app.close().await;
    Ok(())
}
