//! The tables of a settings file: queues, routes and schedules.

use std::fmt;

use celeriac::broker::ExchangeKind;
use celeriac::protocol::Table;
use celeriac::routing::{QueueType, Route, Routes, TaskQueue};
use celeriac::schedule::Entry;
use celeriac::{AppBuilder, Value};
use serde::Deserialize;

use super::Layer;
use crate::units::parse_duration;

/// One `[[queue]]`: a queue that producers and nodes declare alike.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueueTable {
    name: String,
    /// Default one of the queue's name.
    exchange: Option<String>,
    /// direct, topic or fanout. Default direct.
    exchange_type: Option<String>,
    /// Default the queue's name.
    #[serde(default)]
    routing_keys: Vec<String>,
    /// Every node gets a copy of every task. Default false.
    #[serde(default)]
    broadcast: bool,
    /// classic or quorum. Default classic.
    #[serde(rename = "type")]
    queue_type: Option<String>,
    /// 1 to 255. Default none.
    max_priority: Option<u8>,
    /// Whether it outlives the server. Default true.
    durable: Option<bool>,
    /// Whether it goes with its last consumer. Default false.
    auto_delete: Option<bool>,
    /// How long it lives without a consumer, such as 10m. Default for ever.
    expires: Option<String>,
    /// How long messages wait in it. Default for ever.
    message_ttl: Option<String>,
    /// Further arguments of the broker's.
    #[serde(default)]
    arguments: toml::Table,
}

/// One `[[route]]`: where tasks go whose calls do not say so.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteTable {
    /// A name, or a pattern with `*`, `?`, `[a-z]`.
    task: Option<String>,
    /// A regular expression, from the start of the name.
    regex: Option<String>,
    queue: Option<String>,
    exchange: Option<String>,
    routing_key: Option<String>,
    priority: Option<u8>,
    /// Further options of calls, by their names in Celery.
    #[serde(default)]
    options: toml::Table,
}

/// The tables of a settings file, as they are used.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tables {
    pub(crate) queues: Vec<TaskQueue>,
    routes: Vec<RouteTable>,
    pub(crate) schedules: Vec<Entry>,
}

impl Tables {
    /// Reads what a file says; an error names the table.
    pub(super) fn read(layer: &Layer) -> Result<Self, String> {
        let queues = layer.queue.iter().map(|table| {
            let named = |error: String| format!("queue {:?}: {error}", table.name);
            table.describe().map_err(named)
        });
        let tables = Self {
            queues: queues.collect::<Result<_, _>>()?,
            routes: layer.route.clone(),
            schedules: schedules(&layer.schedule)?,
        };
        let mut tried = Routes::default();
        for (at, table) in tables.routes.iter().enumerate() {
            let named = |error: String| format!("route {}: {error}", at + 1);
            let route = table.route().map_err(named)?;
            if let Some(regex) = &table.regex {
                let added = tried.add_regex(regex, route);
                added.map_err(|error| named(error.to_string()))?;
            }
        }
        Ok(tables)
    }

    /// Adds queues, routes and schedules to an app.
    pub(crate) fn add_to(&self, mut app: AppBuilder) -> AppBuilder {
        for queue in &self.queues {
            app = app.queue(queue.clone());
        }
        for entry in &self.schedules {
            app = app.schedule(entry.clone());
        }
        for table in &self.routes {
            // What cannot be read was told when the file was.
            let Ok(route) = table.route() else { continue };
            app = match (&table.task, &table.regex) {
                (Some(task), _) => app.route(task, route),
                (None, Some(regex)) => app.route_regex(regex, route),
                (None, None) => app,
            };
        }
        app
    }
}

/// Reads each `[[schedule]]`; an error names the entry and the field.
fn schedules(tables: &[toml::Table]) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        let name = match table.get("name").and_then(toml::Value::as_str) {
            Some(name) => format!("schedule {name:?}"),
            None => format!("schedule {}", at + 1),
        };
        let named = |error: &dyn fmt::Display| format!("{name}: {error}");
        // TOML has times of its own; entries write them as text.
        let fields = table.iter().map(|(field, value)| {
            let value = match value {
                toml::Value::Datetime(time) => Value::Str(time.to_string()),
                other => Value::from_serialize(other).map_err(|error| named(&error))?,
            };
            Ok((field.clone(), value))
        });
        let form = fields.collect::<Result<Table, String>>()?;
        let entry = Entry::from_value(&Value::Map(form)).map_err(|error| named(&error))?;
        if entries.iter().any(|other| other.name == entry.name) {
            return Err(named(
                &"name: expected one that no other entry has, found it twice",
            ));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

impl QueueTable {
    fn describe(&self) -> Result<TaskQueue, String> {
        let mut queue = if self.broadcast {
            TaskQueue::broadcast(&self.name)
        } else {
            TaskQueue::new(&self.name)
        };
        if let Some(kind) = &self.exchange_type {
            queue.exchange_type = kind.parse::<ExchangeKind>().map_err(text)?;
        }
        if let Some(exchange) = &self.exchange {
            queue.exchange.clone_from(exchange);
        }
        if !self.routing_keys.is_empty() {
            queue.routing_keys.clone_from(&self.routing_keys);
        }
        if let Some(kind) = &self.queue_type {
            queue = queue.queue_type(kind.parse::<QueueType>().map_err(text)?);
        }
        if let Some(most) = self.max_priority {
            queue = queue.max_priority(most);
        }
        if let Some(after) = &self.expires {
            queue = queue.expires(parse_duration(after)?);
        }
        if let Some(ttl) = &self.message_ttl {
            queue = queue.message_ttl(parse_duration(ttl)?);
        }
        queue.durable = self.durable.unwrap_or(queue.durable);
        queue.auto_delete = self.auto_delete.unwrap_or(queue.auto_delete);
        for (name, value) in &self.arguments {
            queue = queue.argument(name, Value::from_serialize(value).map_err(text)?);
        }
        queue.check().map_err(text)?;
        Ok(queue)
    }
}

impl RouteTable {
    fn route(&self) -> Result<Route, String> {
        if self.task.is_some() == self.regex.is_some() {
            return Err("expected either task or regex, found both or neither".to_owned());
        }
        let mut route = Route::default();
        let texts = [
            ("queue", &self.queue),
            ("exchange", &self.exchange),
            ("routing_key", &self.routing_key),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                route = route.option(name, value.as_str());
            }
        }
        if let Some(priority) = self.priority {
            route = route.priority(priority);
        }
        for (name, value) in &self.options {
            route = route.option(name, Value::from_serialize(value).map_err(text)?);
        }
        if route.options().is_empty() {
            return Err("expected a queue, an exchange or options, found none".to_owned());
        }
        Ok(route)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use celeriac::schedule::{Misfire, SunEvent};

    use super::*;

    fn read(file: &str) -> Result<Tables, String> {
        let layer: Layer = toml::from_str(file).map_err(text)?;
        Tables::read(&layer)
    }

    #[test]
    fn a_file_describes_queues() {
        let tables = read(
            r#"
            concurrency = 4

            [[queue]]
            name = "media"
            exchange = "files"
            exchange_type = "topic"
            routing_keys = ["media.#", "image.*"]
            type = "quorum"
            arguments = { x-delivery-limit = 5 }

            [[queue]]
            name = "urgent"
            max_priority = 10
            expires = "10m"
            message_ttl = "30s"

            [[queue]]
            name = "reload"
            broadcast = true
            "#,
        )
        .unwrap();
        let expected = [
            TaskQueue::new("media")
                .exchange("files", ExchangeKind::Topic)
                .routing_key("media.#")
                .routing_key("image.*")
                .queue_type(QueueType::Quorum)
                .argument("x-delivery-limit", 5),
            TaskQueue::new("urgent")
                .max_priority(10)
                .expires(Duration::from_secs(600))
                .message_ttl(Duration::from_secs(30)),
            TaskQueue::broadcast("reload"),
        ];
        assert_eq!(tables.queues, expected);
    }

    #[test]
    fn a_file_has_entries_of_the_plan() {
        let tables = read(
            r#"
            [[schedule]]
            name = "reports"
            task = "reports.nightly"
            crontab = "30 3 * * mon-fri"
            zone = "Europe/Berlin"
            args = [7, "all"]
            kwargs = { deep = true }
            queue = "slow"
            priority = 3
            expires = "1h"
            jitter = "30s"
            misfire = "all(3)"
            deadline = "2h"
            description = "for the morning"

            [[schedule]]
            task = "stock.count"
            every = 30
            enabled = false

            [[schedule]]
            task = "party.start"
            once = 2026-12-24T18:00:00Z

            [[schedule]]
            task = "lamps.on"
            solar = { event = "sunset", latitude = 52.52, longitude = 13.405 }
            "#,
        )
        .unwrap();
        let expected = [
            Entry::crontab("30 3 * * mon-fri", "reports.nightly")
                .unwrap()
                .named("reports")
                .zone("Europe/Berlin")
                .unwrap()
                .args([Value::from(7), Value::from("all")])
                .kwarg("deep", true)
                .queue("slow")
                .priority(3)
                .expires(Duration::from_secs(3600))
                .jitter(Duration::from_secs(30))
                .misfire(Misfire::All { most: 3 })
                .deadline(Duration::from_secs(7200))
                .description("for the morning"),
            Entry::every(Duration::from_secs(30), "stock.count")
                .unwrap()
                .disabled(),
            Entry::once("2026-12-24T18:00:00Z", "party.start").unwrap(),
            Entry::solar(SunEvent::Sunset, 52.52, 13.405, "lamps.on").unwrap(),
        ];
        assert_eq!(tables.schedules, expected);
    }

    #[test]
    fn a_bad_table_is_named() {
        for (file, error) in [
            (
                "[[schedule]]\nname = 'n'\ntask = 't'\ncrontab = '* 24 * * *'",
                "schedule \"n\": crontab, hour at column 3: expected 0 to 23, found 24",
            ),
            (
                "[[schedule]]\ntask = 't'\nevery = '5 weeks'",
                "schedule 1: every: expected a number with a unit",
            ),
            (
                "[[schedule]]\ntask = 't'\nevery = 1\ncrontab = '@daily'",
                "schedule 1: schedule: expected one of every, crontab, solar, once, found every and crontab",
            ),
            (
                "[[schedule]]\ntask = 't'\ncrontab = '@daily'\nzone = 'Berlin'",
                "schedule 1: zone: expected the IANA name of a time zone",
            ),
            (
                "[[schedule]]\ntask = 't'\nevery = 1\npriority = 256",
                "schedule 1: priority: expected u8, found integer `256`",
            ),
            (
                "[[schedule]]\ntask = 't'\nevery = 1\nevrey = 2",
                "found evrey",
            ),
            (
                "[[schedule]]\ntask = 't'\nevery = 1\n[[schedule]]\ntask = 't'\nevery = 1",
                "schedule 2: name: expected one that no other entry has, found it twice",
            ),
            (
                "[[queue]]\nname = 'q'\nexchange_type = 'headers'",
                "queue \"q\": exchange type: expected direct, topic or fanout, found headers",
            ),
            (
                "[[queue]]\nname = 'q'\nmax_priority = 0",
                "queue \"q\": max priority of queue q: expected 1 to 255, found 0",
            ),
            (
                "[[route]]\nqueue = 'q'",
                "route 1: expected either task or regex",
            ),
            (
                "[[route]]\ntask = 'a'\nqueue = 'q'\n[[route]]\ntask = 'b'",
                "route 2: expected a queue",
            ),
            (
                "[[route]]\nregex = '('\nqueue = 'q'",
                "route 1: route: expected a regular expression",
            ),
            ("[[queue]]\nname = 'q'\nttl = 1", "unknown field `ttl`"),
        ] {
            let found = read(file).unwrap_err();
            assert!(found.contains(error), "{found} lacks {error}");
        }
    }
}
