//! Runs code that computes or blocks: `cargo run -p celeriac-examples --example blocking`

use std::error::Error;
use std::time::Duration;

use celeriac::{App, Context, TaskError, task};
use celeriac_examples::{backend, broker};
use celeriac_node::{Config, Node, Shutdown};

const QUEUE: &str = "examples.blocking";

/// Counts the primes below a number. A plain `fn` runs on a thread of a bounded pool, so
/// it may take its time.
#[task(time_limit = "1m")]
fn primes(ctx: &Context, below: u32) -> Result<usize, TaskError> {
    let mut count = 0;
    for number in 2..below {
        // Nobody can stop a thread from outside: a long task asks whether it shall stop.
        if ctx.is_cancelled() {
            return Err(TaskError::requeue("stopped half way"));
        }
        let divides = |divisor: u32| number.is_multiple_of(divisor);
        count += usize::from(!(2..).take_while(|d| d * d <= number).any(divides));
    }
    Ok(count)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = App::builder("blocking")
        .broker(broker())
        .backend(backend())
        .default_queue(QUEUE)
        .task(primes)
        .build()?;
    let config = Config {
        queues: vec![QUEUE.into()],
        blocking_threads: Some(2),
        ..Config::default()
    };
    let shutdown = Shutdown::new();
    let node = tokio::spawn(Node::new(app.clone(), config)?.run(shutdown.clone()));

    let mut results = Vec::new();
    for below in [10, 100, 1_000, 10_000] {
        results.push((below, primes.call(below).send(&app).await?));
    }
    for ((below, result), expected) in results.into_iter().zip([4, 25, 168, 1_229]) {
        let count = result.get(Duration::from_secs(30)).await?;
        println!("{count} primes below {below}");
        assert_eq!(count, expected);
    }

    shutdown.drain();
    println!("node {}", node.await??);
    app.close().await;
    Ok(())
}
