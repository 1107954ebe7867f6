//! Puts calls together: `cargo run -p celeriac-examples --example canvas`

use std::error::Error;
use std::time::Duration;

use celeriac::{App, Call, group, task};
use celeriac_examples::{backend, broker, node_config};
use celeriac_node::{Node, Shutdown};

const QUEUE: &str = "examples.canvas";
const SOON: Duration = Duration::from_secs(30);

#[task]
async fn multiply(x: i64, y: i64) -> i64 {
    x * y
}
#[task]
async fn total(numbers: Vec<i64>) -> i64 {
    numbers.iter().sum()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = App::builder("canvas")
        .broker(broker())
        .backend(backend())
        .default_queue(QUEUE)
        .task(multiply)
        .task(total)
        .build()?;
    let shutdown = Shutdown::new();
    let node = Node::new(app.clone(), node_config(QUEUE))?;
    let node = tokio::spawn(node.run(shutdown.clone()));

    // A chain: each step gets the result of the one before as its first argument.
    let chain = multiply
        .call(2, 3)
        .then(multiply.partial().arg(7))
        .send(&app)
        .await?;
    assert_eq!(chain.get(SOON).await?, 42);

    // A group: side by side; its result is the list of results.
    let squares = || Call::<Vec<i64>>::from(group((1..=4).map(|x| multiply.call(x, x))));
    let values = squares().send(&app).await?.get(SOON).await?;
    println!("squares: {values:?}");
    assert_eq!(values, [1, 4, 9, 16]);

    // Something behind a group makes a chord, for backends that can count its members.
    if app.backend().capabilities().join {
        let sum = squares().then(total.partial()).send(&app).await?;
        assert_eq!(sum.get(SOON).await?, 30);
    }

    shutdown.drain();
    println!("node {}", node.await??);
    app.close().await;
    Ok(())
}
