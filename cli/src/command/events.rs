//! `celeriac events`: prints what happens in the cluster, as it happens.

use std::time::{Duration, SystemTime};

use celeriac::Value;
use celeriac::protocol::event::{Event, EventKind};
use celeriac::protocol::{Timestamp, json};

use crate::args;
use crate::error::Error;
use crate::output::{Output, try_print};
use crate::settings::Settings;

/// How many messages are taken at once.
const MESSAGES: usize = 256;

pub(crate) async fn run(
    settings: &Settings,
    args: args::Events,
    output: Output,
) -> Result<(), Error> {
    let app = super::client(settings)?;
    let mut events = app.events(&args.pattern).await?;
    let end = args.time.map(|time| tokio::time::Instant::now() + time);
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let heard = tokio::select! {
            heard = events.next(MESSAGES) => heard,
            () = until(end) => None,
        };
        let Some(heard) = heard else { break };
        for event in heard {
            let line = match event {
                Ok(event) => line(&event, celeriac::clock::now(), output)?,
                Err(error) => {
                    eprintln!("celeriac: an event could not be read: {error}");
                    continue;
                }
            };
            left -= 1;
            // A reader that is gone (`celeriac events | head`) ends the stream.
            if !try_print(&line) || left == 0 {
                left = 0;
                break;
            }
        }
    }
    app.close().await;
    Ok(())
}

async fn until(end: Option<tokio::time::Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Writes an event as `celery events --dump` does, or as the JSON that travelled.
fn line(event: &Event, now: SystemTime, output: Output) -> Result<String, Error> {
    let text = json::to_string(event).map_err(celeriac::Error::from)?;
    if output.is_json() {
        return Ok(text);
    }
    let fields: Value =
        json::from_slice(text.as_bytes(), "event").map_err(celeriac::Error::from)?;
    let at = Timestamp::from(moment(event.timestamp)).to_string();
    let mut line = format!("{} [{at}]", event.hostname);
    let received = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let mut rest = vec![(
        "local_received".to_owned(),
        received.as_secs_f64().to_string(),
    )];
    let (mut name, mut arguments) = (None, (None, None));
    for (key, value) in fields.as_map().into_iter().flat_map(|map| map.iter()) {
        let value = plain(value);
        match key {
            "hostname" | "timestamp" | "type" | "uuid" => {}
            "name" if event.kind.task_id().is_some() => name = Some(value),
            "args" => arguments.0 = Some(value),
            "kwargs" => arguments.1 = Some(value),
            _ => rest.push((key.to_owned(), value)),
        }
    }
    rest.sort();
    let (class, kind) = event
        .type_name()
        .split_once('-')
        .unwrap_or(("", event.type_name()));
    // Workers speak of themselves: Celery leaves the word out.
    let said = if class == "worker" {
        kind.replace('-', " ")
    } else {
        event.type_name().replace('-', " ")
    };
    line.push_str(&format!(" {said}:"));
    if let (Some(id), false) = (
        event.kind.task_id(),
        matches!(event.kind, EventKind::Other { .. }),
    ) {
        line.push_str(&match name {
            Some(name) => format!(" {name}({id})"),
            None => format!(" {id}"),
        });
        for (key, value) in [("args", arguments.0), ("kwargs", arguments.1)] {
            if let Some(value) = value {
                line.push_str(&format!(" {key}={value}"));
            }
        }
    }
    let rest: Vec<_> = rest
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    line.push_str(&format!(" {}", rest.join(", ")));
    Ok(line)
}

/// Reads seconds since the epoch; what no clock shows is the epoch.
fn moment(seconds: f64) -> SystemTime {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Str(text) => text.clone(),
        other => json::to_string(other).unwrap_or_else(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn events_look_as_in_celery() {
        let read = |text: &str| {
            let value = json::from_slice(text.as_bytes(), "event").unwrap();
            Event::from_value(value).unwrap()
        };
        let started = read(
            r#"{"type":"task-started","uuid":"a-b","hostname":"w@vm","timestamp":1795338634.5,"pid":7,"clock":25,"utcoffset":0}"#,
        );
        let words = line(&started, SystemTime::UNIX_EPOCH, Output::new(false)).unwrap();
        assert!(words.starts_with("w@vm [2026-11-22T09:10:34.5"), "{words}");
        assert!(
            words.contains(" task started: a-b clock=25, local_received=0, pid=7"),
            "{words}"
        );
        let beat = read(
            r#"{"type":"worker-heartbeat","hostname":"w@vm","timestamp":1,"pid":7,"clock":1,"utcoffset":0,"freq":2}"#,
        );
        let words = line(&beat, SystemTime::UNIX_EPOCH, Output::new(false)).unwrap();
        assert!(words.contains(" heartbeat: clock=1, freq=2"), "{words}");
        let json = line(&started, SystemTime::UNIX_EPOCH, Output::new(true)).unwrap();
        assert!(
            json.starts_with('{') && json.contains(r#""type": "task-started""#),
            "{json}"
        );
    }
}
