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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;
    use crate::cluster::{Call, Fact, Said};

    /// What Flower 2.2 answered for a task that succeeded.
    const FLOWER: &str = r#"{"uuid": "fbebb13e", "name": "demo.add", "state": "SUCCESS",
        "received": 1795337677.3574276, "sent": null, "started": 1795337677.360843,
        "rejected": null, "succeeded": 1795337677.3652213, "failed": null, "retried": null,
        "revoked": null, "args": "[1, 2]", "kwargs": "{}", "eta": null, "expires": null,
        "retries": 0, "worker": "w1@vm", "result": "3", "exception": null,
        "timestamp": 1795337677.3652213, "runtime": 0.003781820999847696, "traceback": null,
        "exchange": null, "routing_key": null, "clock": 47, "client": null, "root": "fbebb13e",
        "root_id": "fbebb13e", "parent": null, "parent_id": null, "children": []}"#;

    #[test]
    fn a_task_is_what_flower_makes_of_the_same_events() {
        let expected: Value = serde_json::from_str(FLOWER).unwrap();
        let mut task = Task::new("fbebb13e".into(), 1);
        let call = Call {
            name: Some("demo.add".into()),
            args: Some("[1, 2]".to_owned()),
            kwargs: Some("{}".to_owned()),
            root: Some("fbebb13e".to_owned()),
            ..Call::default()
        };
        let result = Fact::Succeeded {
            result: Some("3".to_owned()),
            runtime: Some(0.003781820999847696),
        };
        let events = [
            ("received", 45, Fact::Received(call)),
            ("started", 46, Fact::Started),
            ("succeeded", 47, result),
        ];
        for (name, clock, fact) in events {
            let at = expected[name].as_f64().unwrap();
            task.merge(Said { at, clock }, &"w1@vm".into(), fact);
        }
        let found = map(&task);
        let names = |value: &Value| -> BTreeSet<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(names(&found), names(&expected));
        assert_eq!(found, expected);
    }
}
