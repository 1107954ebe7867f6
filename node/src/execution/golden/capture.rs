//! Captured runs, and what is compared of them.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use celeriac::protocol::{Message, Properties, Value, json};

/// The reply queue of whoever is not the client.
pub(super) const WORKER: &str = "worker";

/// A captured run.
pub(super) struct Case {
    pub(super) name: String,
    whole: Value,
}

pub(super) fn get<'a>(value: &'a Value, key: &str) -> &'a Value {
    static NULL: Value = Value::Null;
    let found = value.as_map().and_then(|fields| fields.get(key));
    found.unwrap_or(&NULL)
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    get(value, key).as_str().unwrap_or_default()
}

pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    get(value, key).as_array().unwrap_or_default()
}

impl Case {
    pub(super) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../protocol/tests/golden")
            .join(format!("{name}.json"));
        let bytes = std::fs::read(path).unwrap();
        Self {
            name: name.to_owned(),
            whole: json::from_slice(&bytes, name).unwrap(),
        }
    }

    /// The reply queue of the client.
    pub(super) fn client(&self) -> String {
        let first = self.tasks(true).next().unwrap();
        text(get(first, "properties"), "reply_to").to_owned()
    }

    pub(super) fn tasks(&self, of_client: bool) -> impl Iterator<Item = &Value> {
        list(&self.whole, "messages").iter().filter(move |message| {
            text(message, "kind") == "task" && (text(message, "actor") == "client") == of_client
        })
    }

    /// The commands that stored something, as (command, key, value).
    pub(super) fn commands(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        list(&self.whole, "redis_commands").iter().map(|command| {
            let words: Vec<_> = list(command, "cmd")
                .iter()
                .filter_map(Value::as_str)
                .collect();
            let at = |at: usize| words.get(at).copied().unwrap_or_default();
            (at(0), at(1), words.last().copied().unwrap_or_default())
        })
    }

    /// What was stored, in order.
    pub(super) fn documents(&self) -> Vec<Value> {
        let results = list(&self.whole, "messages").iter();
        let results = results.filter(|message| text(message, "kind") == "result");
        let replies = results.map(|message| text(message, "body_utf8"));
        let keys = self.commands().filter_map(|(command, key, value)| {
            let is = command == "SETEX" && key.starts_with("celery-task-meta-");
            is.then_some(value)
        });
        let read = |text: &str| json::from_slice(text.as_bytes(), "document").unwrap();
        replies.chain(keys).map(read).collect()
    }

    /// How many members of a group were counted.
    pub(super) fn counted(&self, group: &str) -> usize {
        let counts =
            |(command, key, _): &(&str, &str, &str)| *command == "ZADD" && key.contains(group);
        self.commands().filter(counts).count()
    }

    /// When a task was counted, or else when it ended.
    pub(super) fn rank(&self, id: &str) -> usize {
        let mut counts = self.commands();
        let counted =
            counts.position(|(command, _, value)| command == "ZADD" && value.contains(id));
        let ended = || {
            self.documents()
                .iter()
                .position(|one| text(one, "task_id") == id)
        };
        counted.or_else(ended).unwrap_or(usize::MAX)
    }

    /// The ids that the worker made, in the order in which workflows get them.
    pub(super) fn new_ids(&self) -> VecDeque<String> {
        let mut known: String = self
            .tasks(true)
            .map(|message| text(message, "body_utf8"))
            .collect();
        self.tasks(true)
            .for_each(|message| known += text(get(message, "headers"), "id"));
        let mut found = VecDeque::new();
        for message in self.tasks(false) {
            for key in ["group", "id"] {
                let id = text(get(message, "headers"), key);
                if !known.contains(id) {
                    known += id;
                    found.push_back(id.to_owned());
                }
            }
        }
        found
    }
}

/// Makes a message of a captured one; the worker's reply queue has a name of its own.
pub(super) fn message_of(captured: &Value, client: &str) -> Message {
    let properties = get(captured, "properties");
    let owned = |key: &str| get(properties, key).as_str().map(str::to_owned);
    let small = |key: &str| {
        get(properties, key)
            .as_i64()
            .map(|n| u8::try_from(n).unwrap())
    };
    let reply_to = owned("reply_to").map(|to| if to == client { to } else { WORKER.into() });
    Message {
        properties: Properties {
            content_type: owned("content_type"),
            content_encoding: owned("content_encoding"),
            delivery_mode: small("delivery_mode"),
            priority: small("priority"),
            correlation_id: owned("correlation_id"),
            reply_to,
            expiration: owned("expiration"),
            ..Properties::default()
        },
        headers: get(captured, "headers").as_map().unwrap().clone(),
        body: text(captured, "body_utf8").to_owned().into(),
    }
}

/// A value in a form in which only differences that mean something differ.
pub(super) fn normal(value: &Value, without: &[&str]) -> Value {
    match value {
        Value::Map(fields) => {
            let mut kept: Vec<_> = fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .collect();
            kept.sort_by_key(|(key, _)| *key);
            let kept = kept.into_iter().filter_map(|(key, value)| {
                let value = match key {
                    _ if without.contains(&key) => return None,
                    // The sender, display text in which only Python tells a tuple from a list,
                    // and what Celery itself does not read.
                    "origin" | "kwargsrepr" | "argsrepr" | "add_to_parent" => return None,
                    // Celery knows the task and says false; null leaves it open.
                    "ignore_result" if value.as_bool() == Some(false) => return None,
                    "eta" | "date_done" | "traceback" => "some".into(),
                    // These are told anew when a signature is sent.
                    "options" => normal(value, &[without, &["root_id", "parent_id"]].concat()),
                    _ => normal(value, without),
                };
                Some((key.to_owned(), value))
            });
            Value::Map(kept.collect())
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| normal(item, without));
            items.collect::<Vec<_>>().into()
        }
        other => other.clone(),
    }
}

/// What was sent and stored by what it is of, and of one id in the order in which it came.
pub(super) type Shown = BTreeMap<String, Vec<String>>;

pub(super) fn shown(sent: &[Message], stored: &[Value], without: &[&str]) -> Shown {
    let mut all = Shown::new();
    for message in sent {
        let properties = &message.properties;
        let body: Value = json::from_slice(&message.body, "body").unwrap();
        let fields: [(&str, Value); 8] = [
            ("content_type", properties.content_type.clone().into()),
            (
                "content_encoding",
                properties.content_encoding.clone().into(),
            ),
            (
                "delivery_mode",
                properties.delivery_mode.map(i64::from).into(),
            ),
            ("priority", properties.priority.map(i64::from).into()),
            ("correlation_id", properties.correlation_id.clone().into()),
            ("reply_to", properties.reply_to.clone().into()),
            ("headers", message.headers.clone().into()),
            ("body", body),
        ];
        let fields = fields.map(|(key, value)| (key.to_owned(), value));
        let whole = Value::Map(fields.into_iter().collect());
        let id = message.headers.get("id").and_then(Value::as_str).unwrap();
        let text = json::to_string(&normal(&whole, without)).unwrap();
        all.entry(format!("message of {id}"))
            .or_default()
            .push(text);
    }
    for document in stored {
        let key = format!("document of {}", text(document, "task_id"));
        let text = json::to_string(&normal(document, without)).unwrap();
        all.entry(key).or_default().push(text);
    }
    all
}
