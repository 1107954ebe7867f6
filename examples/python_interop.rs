//! Calls tasks by name, as another language would: `cargo run -p celeriac-examples --example python_interop`

use std::error::Error;
use std::time::Duration;

use celeriac::{App, TaskError, task};
use celeriac_examples::{backend, broker, node_config};
use celeriac_node::{Node, Shutdown};

const QUEUE: &str = "examples.python";
const SOON: Duration = Duration::from_secs(30);

/// Computes the area of a circle. From Python, on the same broker and backend:
///
/// ```python
/// app.send_task("shapes.area", (2.0,), {"unit": "m"}, queue="examples.python").get()
/// ```
#[task(name = "shapes.area")]
async fn area(radius: f64, #[default("cm".to_owned())] unit: String) -> Result<String, TaskError> {
    if radius < 0.0 {
        // Python raises its own ValueError from this.
        return Err(TaskError::python("ValueError", "negative radius"));
    }
    let size = std::f64::consts::PI * radius * radius;
    Ok(format!("{size:.2} {unit}²"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let worker = App::builder("shapes")
        .broker(broker())
        .backend(backend())
        .task(area)
        .build()?;
    // The caller knows no task, only names; those of a Python worker do as well.
    let caller = App::builder("caller")
        .broker_value(worker.broker().clone())
        .backend_value(worker.backend().clone())
        .default_queue(QUEUE)
        .build()?;
    let shutdown = Shutdown::new();
    let node = Node::new(worker, node_config(QUEUE))?;
    let node = tokio::spawn(node.run(shutdown.clone()));

    let circle = || caller.call::<String>("shapes.area");
    let metres = circle().arg(2.0).kwarg("unit", "m");
    assert_eq!(metres.send(&caller).await?.get(SOON).await?, "12.57 m²");
    let default = circle().kwarg("radius", 1);
    assert_eq!(default.send(&caller).await?.get(SOON).await?, "3.14 cm²");

    let wrong = circle().arg(-1.0).send(&caller).await?;
    let error = wrong.get(SOON).await.expect_err("a negative radius fails");
    println!("{error}");
    assert!(error.to_string().contains("ValueError('negative radius')"));

    shutdown.drain();
    println!("node {}", node.await??);
    caller.close().await;
    Ok(())
}
