//! A made-up API server of Kubernetes: `fake-kubernetes FOLDER`.
//!
//! The folder gets `token`, `ca.crt` and `namespace`, as in a pod, and `addresses`: those of the
//! API server and, for the test, of its control. A GET of the latter tells what there is and what
//! was asked; a POST changes it.

#![allow(clippy::unwrap_used, reason = "a test says by panicking")]

#[path = "../../../../supervisor/src/kubernetes/fake.rs"]
mod fake;

use std::path::PathBuf;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use self::fake::Server;

#[tokio::main]
async fn main() {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let Some(folder) = folder else {
        eprintln!("expected a folder");
        return;
    };
    let server = Server::start(&folder, "work").await;
    let control = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = format!("{} {}", server.address, control.local_addr().unwrap());
    server.give("addresses", &addresses);
    let router = Router::new()
        .route("/", get(tell).post(change))
        .with_state(server);
    axum::serve(control, router).await.unwrap();
}

async fn tell(State(server): State<Server>) -> Json<Value> {
    let mut kinds = Map::new();
    let calls = server.kept(|kept| {
        for ((kind, name), object) in &kept.objects {
            kinds.entry(kind).or_insert_with(|| json!({}))[name] = object.clone();
        }
        kept.calls.clone()
    });
    Json(json!({ "objects": kinds, "calls": calls }))
}

/// Takes `put` and `remove`, lists of kind, name and object, and the faults by their names.
async fn change(State(server): State<Server>, Json(change): Json<Value>) -> Json<Value> {
    let list = |name: &str| change[name].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    server.kept(|kept| {
        for one in list("put") {
            kept.put(&text(&one[0]), &text(&one[1]), one[2].clone());
        }
        for one in list("remove") {
            kept.remove(&text(&one[0]), &text(&one[1]));
        }
        let number = |name: &str| change[name].as_u64();
        if change.get("broken").is_some() {
            kept.broken = number("broken").and_then(|status| u16::try_from(status).ok());
        }
        if change.get("forbidden").is_some() {
            kept.forbidden = list("forbidden").iter().map(text).collect();
        }
        kept.mute = change["mute"].as_bool().unwrap_or(kept.mute);
        kept.slow = number("slow").unwrap_or(kept.slow);
        kept.retry_after = number("retry_after").unwrap_or(kept.retry_after);
        if let Some(throttled) = number("throttled") {
            kept.throttled = u32::try_from(throttled).unwrap_or(u32::MAX);
        }
    });
    tell(State(server)).await
}
