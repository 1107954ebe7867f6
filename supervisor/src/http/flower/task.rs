//! A task in Flower's form.

use celeriac_protocol::State;
use serde_json::{Value, json};

use crate::cluster::Task;

/// Writes a task as Flower does: every field is there, what is not known is null.
pub(super) fn map(task: &Task) -> Value {
    let call = task.call();
    let standing = task.standing();
    let done = task.changed_at();
    let at = |state: State| (*task.state() == state).then_some(done).flatten();
    let root = call.and_then(|call| call.root.as_deref());
    let parent = call.and_then(|call| call.parent.as_deref());
    json!({
        "uuid": &*task.id,
        "name": task.name().map(|name| &**name),
        "state": task.state().as_str(),
        "received": task.received_at(),
        "sent": task.sent_at(),
        "started": task.started_at(),
        "rejected": at(State::Rejected),
        "succeeded": at(State::Success),
        "failed": at(State::Failure),
        "retried": at(State::Retry),
        "revoked": at(State::Revoked),
        "args": call.and_then(|call| call.args.as_deref()),
        "kwargs": call.and_then(|call| call.kwargs.as_deref()),
        "eta": call.and_then(|call| call.eta.as_deref()),
        "expires": call.and_then(|call| call.expires.as_deref()),
        "retries": call.map(|call| call.retries),
        "worker": task.worker().map(|worker| &**worker),
        "result": standing.and_then(|standing| standing.result.as_deref()),
        "exception": standing.and_then(|standing| standing.exception.as_deref()),
        "timestamp": done,
        "runtime": standing.and_then(|standing| standing.runtime),
        "traceback": standing.and_then(|standing| standing.traceback.as_deref()),
        "exchange": Value::Null,
        "routing_key": Value::Null,
        "clock": task.clock(),
        "client": task.route().map(|route| &*route.client),
        "root": root,
        "root_id": root,
        "parent": parent,
        "parent_id": parent,
        "children": [],
    })
}
