//! Asking nodes, on behalf of who asks the API.

use std::time::Duration;

use celeriac::control::{Command, Replies};
use celeriac_protocol::{Value, repr};

use crate::cluster::cut;
use crate::http::{Desk, Problem};

/// How long a node may take to answer.
pub(in crate::http) const ANSWER: Duration = Duration::from_secs(2);
/// Answers are told back up to this many bytes.
const TEXT: usize = 2_000;

/// Asks one node; its refusal and its silence are problems.
pub(in crate::http) async fn ask(
    desk: &Desk,
    node: &str,
    command: Command,
) -> Result<Value, Problem> {
    let mut replies = ask_all(desk, &[node.to_owned()], command).await?;
    let Some(reply) = replies.remove(node) else {
        let detail = format!(
            "the node '{node}' did not answer within {} s; it may be gone, or have done it all \
             the same",
            ANSWER.as_secs()
        );
        return Err(Problem::new(504, "no_answer", detail));
    };
    match refusal(&reply) {
        Some(why) => Err(Problem::new(
            409,
            "refused",
            format!("the node '{node}' refused: {why}"),
        )),
        None => Ok(reply),
    }
}

/// Asks several nodes with one message and returns the answers that come in time.
pub(in crate::http) async fn ask_all(
    desk: &Desk,
    nodes: &[String],
    command: Command,
) -> Result<Replies, Problem> {
    if nodes.is_empty() {
        return Ok(Replies::new());
    }
    let control = desk.app.control().to(nodes).within(ANSWER);
    Ok(control.ask(command).await?)
}

/// Returns why a node refused, if it did.
pub(in crate::http) fn refusal(reply: &Value) -> Option<String> {
    let error = reply.as_map()?.get("error")?;
    Some(said(error))
}

/// Returns what a node said, for a person.
pub(in crate::http) fn said(reply: &Value) -> String {
    let ok = reply.as_map().and_then(|map| map.get("ok"));
    match ok.unwrap_or(reply) {
        Value::Str(text) => cut(text, TEXT),
        other => repr::value(other, TEXT),
    }
}
