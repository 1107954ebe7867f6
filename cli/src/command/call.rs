//! `celeriac call`: calls a task by name.

mod options;

use std::time::Duration;

use celeriac::protocol::{Table, json};
use celeriac::{Call, Value};
use serde_json::json;

use crate::api::Api;
use crate::app::Tasks;
use crate::args;
use crate::error::Error;
use crate::output::Output;
use crate::progress::Progress;
use crate::settings::Settings;

/// How long a person at a terminal waits for a broker that is away.
const SEND_WITHIN: Duration = Duration::from_secs(10);

pub(crate) async fn run(
    settings: &Settings,
    args: args::Call,
    tasks: Tasks<'_>,
    output: Output,
) -> Result<(), Error> {
    match args.api.url.clone() {
        Some(url) => through_api(settings, args, &url, output).await,
        None => through_broker(settings, args, tasks, output).await,
    }
}

async fn through_broker(
    settings: &Settings,
    args: args::Call,
    tasks: Tasks<'_>,
    output: Output,
) -> Result<(), Error> {
    super::embedded_is_elsewhere(settings)?;
    let options = options::of(&args)?;
    let mut builder = tasks(super::builder(settings)?).send_timeout(SEND_WITHIN);
    if args.wait.is_some() && settings.text("result_backend").is_none() {
        // Somebody who waits wants an answer; rpc needs nothing but the broker.
        builder = builder.backend("rpc://");
    }
    let app = builder.build()?;
    let mut call = Call::<Value>::new(&args.name)
        .args(positional(&args.args)?)
        .kwargs(keyword(&args.kwargs)?);
    for (name, value) in options {
        call = call.option(&name, value);
    }
    let result = call.send(&app).await?;
    let outcome = match args.wait {
        None => {
            output.show(&json!({ "id": result.id() }), || result.id().to_owned());
            Ok(())
        }
        Some(within) => {
            let waiting = Progress::waiting(output, "waiting for the result");
            let waited = result.get(within).await;
            drop(waiting);
            shown(result.id(), waited, output)
        }
    };
    app.close().await;
    outcome
}

/// Prints what a task returned; a failed one is a failure of the command.
fn shown(id: &str, waited: celeriac::Result<Value>, output: Output) -> Result<(), Error> {
    match waited {
        Ok(value) => {
            let value = serde_json::to_value(&value)
                .map_err(|error| Error::Failed(format!("cannot show the result: {error}")))?;
            output.show(&json!({ "id": id, "result": value }), || value.to_string());
            Ok(())
        }
        Err(celeriac::Error::Failed {
            id,
            exception,
            traceback,
        }) => {
            if let (Some(traceback), false) = (traceback, output.is_json()) {
                eprint!("{traceback}");
            }
            Err(Error::Failed(format!("task {id} failed: {exception}")))
        }
        Err(error) => Err(error.into()),
    }
}

async fn through_api(
    settings: &Settings,
    args: args::Call,
    url: &str,
    output: Output,
) -> Result<(), Error> {
    let within = args.wait.unwrap_or_default() + Duration::from_secs(10);
    let waiting = Progress::waiting(output, "waiting for the supervisor");
    let answer = Api::new(url, settings.text("token"))?
        .post("/api/v1/tasks", &order(&args)?, within)
        .await?;
    drop(waiting);
    if args.wait.is_none() {
        let id = answer["id"].as_str().unwrap_or_default();
        output.show(&json!({ "id": id }), || id.to_owned());
        return Ok(());
    }
    super::result::show(&answer, output)
}

/// Makes what a supervisor takes for a task to send.
fn order(args: &args::Call) -> Result<serde_json::Value, Error> {
    let parse = |what, text: &str| {
        serde_json::from_str::<serde_json::Value>(text).map_err(|error| {
            Error::Usage(format!("{what}: expected JSON, found {text:?} ({error})"))
        })
    };
    let mut order = json!({
        "name": args.name,
        "args": parse("--args", &args.args)?,
        "kwargs": parse("--kwargs", &args.kwargs)?,
    });
    if let Some(wait) = args.wait {
        order["wait_ms"] = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).into();
    }
    let mut options = serde_json::to_value(options::of(args)?)
        .map_err(|error| Error::Usage(format!("options: {error}")))?;
    if let Some(options) = options.as_object_mut() {
        // These have places of their own.
        for (option, key) in [
            ("queue", "queue"),
            ("task_id", "id"),
            ("priority", "priority"),
            ("countdown", "countdown"),
        ] {
            if let Some(value) = options.remove(option) {
                order[key] = value;
            }
        }
        if !options.is_empty() {
            order["options"] = std::mem::take(options).into();
        }
    }
    Ok(order)
}

fn positional(text: &str) -> Result<Vec<Value>, Error> {
    match json::from_slice::<Value>(text.as_bytes(), "--args") {
        Ok(Value::Array(items)) => Ok(items),
        Ok(other) => Err(Error::Usage(format!(
            "--args: expected a JSON list, found {}",
            other.kind()
        ))),
        Err(error) => Err(Error::Usage(error.to_string())),
    }
}

fn keyword(text: &str) -> Result<Table, Error> {
    match json::from_slice::<Value>(text.as_bytes(), "--kwargs") {
        Ok(Value::Map(table)) => Ok(table),
        Ok(other) => Err(Error::Usage(format!(
            "--kwargs: expected a JSON object, found {}",
            other.kind()
        ))),
        Err(error) => Err(Error::Usage(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::args::{Cli, Command};

    fn call(line: &str) -> args::Call {
        let words = ["celeriac", "call"].into_iter().chain(line.split(' '));
        match Cli::parse_line(words).unwrap().command {
            Command::Call(call) => *call,
            other => panic!("expected a call, found {other:?}"),
        }
    }

    #[test]
    fn every_option_is_sent_to_a_supervisor() {
        let line = "app.add --args [2,3] --queue own --id a --priority 7 --countdown 1m \
                    --expires 90s --wait=2s";
        let expected = json!({
            "name": "app.add", "args": [2, 3], "kwargs": {}, "queue": "own", "id": "a",
            "priority": 7, "countdown": 60.0, "wait_ms": 2000, "options": {"expires": 90.0},
        });
        assert_eq!(order(&call(line)).unwrap(), expected);
        let plain = json!({"name": "app.add", "args": [], "kwargs": {}});
        assert_eq!(order(&call("app.add")).unwrap(), plain);
        assert!(matches!(order(&call("a --args [2")), Err(Error::Usage(_))));
    }
}
