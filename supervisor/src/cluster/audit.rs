//! What the history thinks that a node has, compared with what the node says.

use std::collections::BTreeSet;
use std::sync::Arc;

use celeriac_protocol::Value;

use super::latest::Said;
use super::reading::{Reading, cut_name, cut_text};
use super::task::{Call, Fact};

/// A task that is not ready as far as the history knows, and the word that says so.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Open {
    pub(crate) id: Arc<str>,
    pub(crate) said: Said,
}

/// What a node said it has: running, waiting for a place, waiting for its time.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Held {
    ids: BTreeSet<Arc<str>>,
    running: Vec<Reading>,
}

/// What follows from the comparison.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Findings {
    /// Tasks that the node does not have: ended unheard of, or lost with a process.
    pub(crate) absent: Vec<Open>,
    /// Tasks that it does have, whatever was thought of them.
    pub(crate) present: Vec<Arc<str>>,
    /// What runs, as events would have told it.
    pub(crate) running: Vec<Reading>,
}

/// Lists of tasks that a node answers are read to this length.
const MOST: usize = 10_000;

/// Times before this are no times since the epoch.
const SINCE_2001: f64 = 1e9;

impl Held {
    /// Reads the answers to `active`, `reserved` and `scheduled`.
    ///
    /// Only what runs has a time, so only that becomes readings: what waits will be told
    /// of by the events of its start.
    pub(crate) fn read(node: &str, active: &Value, reserved: &Value, scheduled: &Value) -> Self {
        let items = |list| <[Value]>::iter(Value::as_array(list).unwrap_or_default()).take(MOST);
        let mut held = Self::default();
        let scheduled = items(scheduled).filter_map(|entry| entry.as_map()?.get("request"));
        for item in items(reserved).chain(scheduled) {
            held.ids.extend(id_of(item));
        }
        let sender: Arc<str> = cut_name(node).into();
        for item in items(active) {
            let Some(id) = id_of(item) else { continue };
            held.ids.insert(Arc::clone(&id));
            held.running
                .extend(started(&sender, id, item).into_iter().flatten());
        }
        held
    }

    #[cfg(test)]
    pub(crate) fn of(ids: impl Iterator<Item = Arc<str>>) -> Self {
        Self {
            ids: ids.collect(),
            ..Self::default()
        }
    }

    /// Compares it with what the history thinks.
    pub(crate) fn compare(self, open: Vec<Open>) -> Findings {
        let (present, absent) = open
            .into_iter()
            .partition::<Vec<_>, _>(|task| self.ids.contains(&task.id));
        Findings {
            absent,
            present: present.into_iter().map(|task| task.id).collect(),
            running: self.running,
        }
    }
}

fn id_of(item: &Value) -> Option<Arc<str>> {
    let id = item.as_map()?.get("id")?.as_str()?;
    (!id.is_empty() && id.len() <= 255).then(|| id.into())
}

fn started(sender: &Arc<str>, id: Arc<str>, item: &Value) -> Option<[Reading; 2]> {
    let item = item.as_map()?;
    let at = item.get("time_start")?.as_f64()?;
    let said = Said { at, clock: 0 };
    let text = |name| Some(cut_text(item.get(name)?.as_str()?));
    let call = Call {
        name: Some(cut_name(item.get("name")?.as_str()?).into()),
        args: text("args"),
        kwargs: text("kwargs"),
        ..Call::default()
    };
    let reading = |fact| Reading::Task {
        id: Arc::clone(&id),
        said,
        sender: Arc::clone(sender),
        fact,
        by_worker: true,
    };
    (at > SINCE_2001).then(|| [reading(Fact::Received(call)), reading(Fact::Started)])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    fn open(id: &str) -> Open {
        let said = Said { at: 1.0, clock: 1 };
        Open {
            id: id.into(),
            said,
        }
    }

    // S37.
    #[test]
    fn what_a_node_has_and_what_it_has_not() {
        let held = Held::read(
            "w1@h",
            &value(r#"[{"id":"a","name":"add","args":"(1,)","kwargs":"{}","time_start":1.5e9}]"#),
            &value(r#"[{"id":"b","name":"add","time_start":null}]"#),
            &value(r#"[{"eta":"2030-01-01","priority":6,"request":{"id":"c","name":"add"}}]"#),
        );
        let findings = held.compare(["a", "b", "c", "gone"].map(open).into());
        assert_eq!(findings.absent, [open("gone")]);
        assert_eq!(findings.present, ["a", "b", "c"].map(Arc::from));
        let [received, started] = &findings.running[..] else {
            panic!("{findings:?}")
        };
        assert!(
            matches!(received, Reading::Task { fact: Fact::Received(call), .. }
            if call.name.as_deref() == Some("add"))
        );
        assert!(
            matches!(started, Reading::Task { fact: Fact::Started, said, .. }
            if said.at == 1.5e9)
        );
    }

    #[test]
    fn answers_of_another_shape_are_left_out() {
        let odd = value(r#"[17, {"id": 3}, null, {"id":""}, {"id":"a","time_start":12.5}]"#);
        let held = Held::read("w", &odd, &value("17"), &odd);
        let findings = held.compare(vec![open("a"), open("b")]);
        assert_eq!(findings.present, [Arc::from("a")]);
        assert!(
            findings.running.is_empty(),
            "12.5 is no time since the epoch"
        );
    }
}
