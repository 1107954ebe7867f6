//! From flags to the options of a call.

use celeriac::protocol::{Table, Timestamp, json};
use celeriac::{Signature, Value};

use crate::args;
use crate::error::Error;
use crate::units::parse_duration;

/// Makes the options of a call, by their names in Celery.
///
/// # Errors
///
/// [`Error::Usage`] for a value that cannot be read.
pub(super) fn of(args: &args::Call) -> Result<Table, Error> {
    let args::Call {
        place,
        time,
        message,
        ..
    } = args;
    let mut options = Table::new();
    let texts = [
        ("queue", &place.queue),
        ("exchange", &place.exchange),
        ("routing_key", &place.routing_key),
        ("reply_to", &place.reply_to),
        ("task_id", &message.id),
        ("shadow", &message.shadow),
        ("serializer", &message.serializer),
        ("compression", &message.compression),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            options.insert(name, text.as_str());
        }
    }
    let durations = [
        ("countdown", time.countdown),
        ("time_limit", time.time_limit),
        ("soft_time_limit", time.soft_time_limit),
    ];
    for (name, duration) in durations {
        if let Some(duration) = duration {
            options.insert(name, duration.as_secs_f64());
        }
    }
    if let Some(eta) = &time.eta {
        options.insert("eta", moment("--eta", eta)?);
    }
    if let Some(expires) = &time.expires {
        let value = match parse_duration(expires) {
            Ok(after) => Value::from(after.as_secs_f64()),
            Err(_) => moment("--expires", expires)?,
        };
        options.insert("expires", value);
    }
    if let Some(priority) = place.priority {
        options.insert("priority", priority);
    }
    for (name, tasks) in [("link", &message.link), ("link_error", &message.link_error)] {
        let tasks = tasks.iter().map(|task| callback(name, task));
        let tasks = tasks.collect::<Result<Vec<_>, _>>()?;
        if !tasks.is_empty() {
            options.insert(name, tasks);
        }
    }
    if message.ignore_result {
        options.insert("ignore_result", true);
    }
    if message.transient {
        options.insert("delivery_mode", 1);
    }
    if let Some(retries) = message.publish_retries {
        let mut policy = Table::new();
        policy.insert("max_retries", retries);
        options.insert("retry_policy", policy);
    }
    let mut headers = Table::new();
    for pair in &message.headers {
        let (name, value) = pair_of("--header", pair)?;
        headers.insert(name, value);
    }
    if !headers.is_empty() {
        options.insert("headers", headers);
    }
    let mut stamped = Vec::new();
    for pair in &message.stamps {
        let (name, value) = pair_of("--stamp", pair)?;
        stamped.push(Value::from(name));
        options.insert(name, value);
    }
    if !stamped.is_empty() {
        options.insert("stamped_headers", stamped);
    }
    for pair in &message.options {
        let (name, value) = pair_of("--option", pair)?;
        options.insert(name, value);
    }
    Ok(options)
}

/// Reads a time; it stays text, in its own zone.
fn moment(flag: &str, text: &str) -> Result<Value, Error> {
    match Timestamp::parse(text) {
        Ok(_) => Ok(text.into()),
        Err(_) => Err(Error::Usage(format!(
            "{flag}: expected a time such as 2030-01-02T15:04:05+01:00, found {text:?}"
        ))),
    }
}

/// Reads a task to call later.
fn callback(flag: &str, text: &str) -> Result<Value, Error> {
    if !text.trim_start().starts_with('{') {
        return Ok(Signature::new(text).into());
    }
    let wrong = |error: &dyn std::fmt::Display| {
        let flag = flag.replace('_', "-");
        Error::Usage(format!(
            "--{flag}: expected a task's name or a signature in JSON, found {text:?} ({error})"
        ))
    };
    let value: Value = json::from_slice(text.as_bytes(), "signature").map_err(|e| wrong(&e))?;
    let signature = Signature::from_value(value).map_err(|error| wrong(&error))?;
    Ok(signature.into())
}

/// Splits `NAME=VALUE`; a value that is no JSON is text.
fn pair_of<'a>(flag: &str, pair: &'a str) -> Result<(&'a str, Value), Error> {
    match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            let read = json::from_slice(value.as_bytes(), flag);
            Ok((name, read.unwrap_or_else(|_| value.into())))
        }
        _ => Err(Error::Usage(format!(
            "{flag}: expected NAME=VALUE, found {pair:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::args::{Cli, Command};

    fn options(words: &[&str]) -> Result<Table, Error> {
        let line = ["celeriac", "call", "app.add"].iter().chain(words);
        match Cli::parse_line(line).unwrap().command {
            Command::Call(call) => of(&call),
            other => panic!("expected a call, found {other:?}"),
        }
    }

    #[test]
    fn every_flag_is_an_option_of_celerys() {
        for (words, expected) in [
            (["--queue", "own"], r#"{"queue": "own"}"#),
            (["--exchange", "x"], r#"{"exchange": "x"}"#),
            (["--routing-key", "a.b"], r#"{"routing_key": "a.b"}"#),
            (["--priority", "7"], r#"{"priority": 7}"#),
            (["--reply-to", "back"], r#"{"reply_to": "back"}"#),
            (["--countdown", "1m"], r#"{"countdown": 60.0}"#),
            (
                ["--eta", "2030-01-01T12:00:00+01:00"],
                r#"{"eta": "2030-01-01T12:00:00+01:00"}"#,
            ),
            (["--expires", "90s"], r#"{"expires": 90.0}"#),
            (
                ["--expires", "2030-01-01T12:00:00"],
                r#"{"expires": "2030-01-01T12:00:00"}"#,
            ),
            (["--time-limit", "30s"], r#"{"time_limit": 30.0}"#),
            (["--soft-time-limit", "20s"], r#"{"soft_time_limit": 20.0}"#),
            (["--id", "a"], r#"{"task_id": "a"}"#),
            (["--shadow", "b"], r#"{"shadow": "b"}"#),
            (["--serializer", "msgpack"], r#"{"serializer": "msgpack"}"#),
            (["--compression", "zstd"], r#"{"compression": "zstd"}"#),
            (["--header", "a=[1]"], r#"{"headers": {"a": [1]}}"#),
            (
                ["--stamp", "who=me"],
                r#"{"who": "me", "stamped_headers": ["who"]}"#,
            ),
            (
                ["--publish-retries", "2"],
                r#"{"retry_policy": {"max_retries": 2}}"#,
            ),
            (["--option", "group_id=g"], r#"{"group_id": "g"}"#),
        ] {
            let expected: Value = json::from_slice(expected.as_bytes(), "expected").unwrap();
            let found = options(&words).unwrap();
            assert_eq!(Value::Map(found), expected, "{words:?}");
        }
        let found = options(&["--ignore-result", "--transient"]).unwrap();
        assert_eq!(found.get("ignore_result"), Some(&true.into()));
        assert_eq!(found.get("delivery_mode"), Some(&1.into()));
    }

    #[test]
    fn callbacks_are_names_or_signatures() {
        let whole = r#"{"task": "b", "args": [1], "kwargs": {}, "options": {},
                        "subtask_type": null, "immutable": true}"#;
        let found = options(&["--link", "a", "--link", whole, "--link-error", "c"]).unwrap();
        let links = found.get("link").unwrap().as_array().unwrap();
        let tasks: Vec<_> = links
            .iter()
            .map(|link| Signature::from_value(link.clone()).unwrap())
            .collect();
        assert_eq!((tasks[0].task.as_str(), tasks[1].task.as_str()), ("a", "b"));
        assert!(tasks[1].immutable && !tasks[0].immutable);
        assert!(found.get("link_error").is_some());
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (words, text) in [
            (["--eta", "soon"], "--eta: expected a time such as"),
            (["--expires", "soon"], "--expires: expected a time such as"),
            (["--header", "a"], "--header: expected NAME=VALUE"),
            (
                ["--link-error", "{"],
                "--link-error: expected a task's name",
            ),
        ] {
            let error = options(&words).unwrap_err().to_string();
            assert!(error.contains(text), "{error} lacks {text}");
        }
    }
}
