//! Controls of workers and of tasks.

use axum::extract::State;
use celeriac::control::Command;
use celeriac_protocol::{Table, Value};
use serde_json::json;

use super::input::Arguments;
use super::{Answer, Failure, message};
use crate::access::Identity;
use crate::http::Desk;
use crate::http::access::Outcome;
use crate::http::extract::Path;

/// What a worker answered to a control.
enum Reply {
    Ok(String),
    Refused(String),
}

impl Reply {
    /// Answers in Flower's words; `refused` makes them of the worker's.
    fn in_words(self, done: String, refused: impl FnOnce(&str) -> String) -> Answer {
        match self {
            Self::Ok(_) => Ok(message(done)),
            Self::Refused(why) => Err(Failure::refused(refused(&why))),
        }
    }

    /// Answers in the worker's own words where it did what was asked.
    fn in_its_words(self, refused: impl FnOnce(&str) -> String) -> Answer {
        match self {
            Self::Ok(said) => Ok(message(said)),
            Self::Refused(why) => Err(Failure::refused(refused(&why))),
        }
    }
}

pub(super) async fn shutdown(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    who: Identity,
) -> Answer {
    known(&desk, &name)?;
    desk.app
        .control()
        .to([name.as_str()])
        .cast(Command::shutdown())
        .await?;
    desk.audit(&who, "node.shutdown", &name, json!({})).await;
    Ok(message("Shutting down!"))
}

pub(super) async fn pool_restart(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    who: Identity,
) -> Answer {
    let command = Command::new("pool_restart").argument("reload", false);
    let reply = ask(&desk, &who, &name, &name, "node.pool_restart", command).await?;
    reply.in_words(format!("Restarting '{name}' worker's pool"), |why| {
        format!("Failed to restart the '{name}' pool: {why}")
    })
}

pub(super) async fn pool_grow(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    who: Identity,
    arguments: Arguments,
) -> Answer {
    known(&desk, &name)?;
    let by = arguments.number::<u32>("n", "int")?.unwrap_or(1);
    let command = Command::pool_grow(by);
    let reply = ask(&desk, &who, &name, &name, "node.pool_grow", command).await?;
    let done = format!("Growing '{name}' worker's pool by {by}");
    reply.in_words(done, |why| {
        format!("Failed to grow '{name}' worker's pool: {why}")
    })
}

pub(super) async fn pool_shrink(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    who: Identity,
    arguments: Arguments,
) -> Answer {
    known(&desk, &name)?;
    let by = arguments.number::<u32>("n", "int")?.unwrap_or(1);
    let command = Command::pool_shrink(by);
    let reply = ask(&desk, &who, &name, &name, "node.pool_shrink", command).await?;
    let done = format!("Shrinking '{name}' worker's pool by {by}");
    reply.in_words(done, |why| {
        format!("Failed to shrink '{name}' worker's pool: {why}")
    })
}

pub(super) async fn autoscale(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    who: Identity,
    arguments: Arguments,
) -> Answer {
    known(&desk, &name)?;
    let min = arguments.required_number::<u32>("min", "int")?;
    let max = arguments.required_number::<u32>("max", "int")?;
    let command = Command::new("autoscale")
        .argument("min", i64::from(min))
        .argument("max", i64::from(max));
    let reply = ask(&desk, &who, &name, &name, "node.autoscale", command).await?;
    reply.in_words(
        format!("Autoscaling '{name}' worker (min={min}, max={max})"),
        |why| format!("Failed to autoscale '{name}' worker: {why}"),
    )
}

pub(super) async fn add_consumer(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    who: Identity,
    arguments: Arguments,
) -> Answer {
    known(&desk, &name)?;
    let queue = arguments.name("queue")?;
    let command = Command::add_consumer(queue);
    let reply = ask(&desk, &who, &name, &name, "node.add_consumer", command).await?;
    reply.in_its_words(|why| format!("Failed to add '{queue}' consumer to '{name}' worker: {why}"))
}

pub(super) async fn cancel_consumer(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    who: Identity,
    arguments: Arguments,
) -> Answer {
    known(&desk, &name)?;
    let queue = arguments.name("queue")?;
    let command = Command::cancel_consumer(queue);
    let reply = ask(&desk, &who, &name, &name, "node.cancel_consumer", command).await?;
    reply.in_its_words(|why| {
        format!("Failed to cancel '{queue}' consumer from '{name}' worker: {why}")
    })
}

pub(super) async fn time_limit(
    State(desk): State<Desk>,
    Path(task): Path<String>,
    who: Identity,
    arguments: Arguments,
) -> Answer {
    let worker = arguments.required("workername")?;
    let seconds = |name| -> Result<Value, Failure> {
        let seconds = arguments.number::<f64>(name, "float")?;
        Ok(seconds.map_or(Value::Null, Value::Float))
    };
    let command = Command::new("time_limit")
        .argument("task_name", task.as_str())
        .argument("hard", seconds("hard")?)
        .argument("soft", seconds("soft")?);
    let reply = ask(&desk, &who, worker, &task, "task.time_limit", command).await?;
    reply.in_its_words(|why| format!("Failed to set timeouts: '{why}'"))
}

pub(super) async fn rate_limit(
    State(desk): State<Desk>,
    Path(task): Path<String>,
    who: Identity,
    arguments: Arguments,
) -> Answer {
    let worker = arguments.required("workername")?;
    let limit = arguments.required("ratelimit")?;
    let command = Command::rate_limit(task.as_str(), limit);
    let reply = ask(&desk, &who, worker, &task, "task.rate_limit", command).await?;
    reply.in_its_words(|why| format!("Failed to set rate limit: '{why}'"))
}

pub(super) async fn revoke(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    who: Identity,
    arguments: Arguments,
) -> Answer {
    let terminate = arguments.flag("terminate")?;
    let signal = arguments.text("signal").unwrap_or("SIGTERM");
    let named = |rest: &str| {
        (1..=12).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    if !named(signal) {
        return Err(Failure::new(400, "Invalid argument 'signal' of type 'str'"));
    }
    // Flower says numbers where it means truths.
    let command = Command::new("revoke")
        .argument("task_id", id.as_str())
        .argument("terminate", i64::from(terminate))
        .argument("signal", signal);
    desk.app.control().cast(command).await?;
    let details = json!({ "terminate": terminate, "signal": signal });
    desk.audit(&who, "task.revoke", &id, details).await;
    Ok(message(format!("Revoked '{id}'")))
}

fn known(desk: &Desk, worker: &str) -> Result<(), Failure> {
    if desk.board.nodes.contains_key(worker) {
        return Ok(());
    }
    Err(Failure::unknown_worker(worker))
}

/// Asks one worker, and writes down what came of it.
async fn ask(
    desk: &Desk,
    who: &Identity,
    worker: &str,
    target: &str,
    action: &str,
    command: Command,
) -> Result<Reply, Failure> {
    known(desk, worker)?;
    let mut replies = desk.app.control().to([worker]).ask(command).await?;
    let reply = replies.remove(worker).unwrap_or_default();
    let words = |name| {
        reply
            .as_map()
            .and_then(|map: &Table| map.get(name))
            .map(words)
    };
    let reply = match words("ok") {
        Some(ok) => Reply::Ok(ok),
        None => Reply::Refused(words("error").unwrap_or_else(|| "Unknown reason".to_owned())),
    };
    let (outcome, said) = match &reply {
        Reply::Ok(said) => (Outcome::Done, said),
        Reply::Refused(said) => (Outcome::Refused, said),
    };
    let details = json!({ "node": worker, "said": said });
    desk.audit_as(who, action, target, details, outcome).await;
    Ok(reply)
}

fn words(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => serde_json::to_string(value).unwrap_or_default(),
    }
}
