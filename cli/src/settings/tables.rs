//! The tables of a settings file: queues and routes.

use std::fmt;

use celeriac::broker::ExchangeKind;
use celeriac::routing::{QueueType, Route, Routes, TaskQueue};
use celeriac::{AppBuilder, Value};
use serde::Deserialize;

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
}

impl Tables {
    /// Reads what a file says; an error names the table.
    pub(super) fn read(queues: &[QueueTable], routes: &[RouteTable]) -> Result<Self, String> {
        let queues = queues.iter().map(|table| {
            let named = |error: String| format!("queue {:?}: {error}", table.name);
            table.describe().map_err(named)
        });
        let tables = Self {
            queues: queues.collect::<Result<_, _>>()?,
            routes: routes.to_vec(),
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

    /// Adds queues and routes to an app.
    pub(crate) fn add_to(&self, mut app: AppBuilder) -> AppBuilder {
        for queue in &self.queues {
            app = app.queue(queue.clone());
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

    use super::*;
    use crate::settings::Layer;

    fn read(file: &str) -> Result<Tables, String> {
        let layer: Layer = toml::from_str(file).map_err(text)?;
        Tables::read(&layer.queue, &layer.route)
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
    fn a_bad_table_is_named() {
        for (file, error) in [
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
