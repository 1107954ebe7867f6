//! `celeriac call`: calls a task by name.

use std::time::Duration;

use celeriac::protocol::{Table, json};
use celeriac::{Call, Value};
use serde_json::json;

use crate::api::Api;
use crate::app::Tasks;
use crate::args;
use crate::error::Error;
use crate::output::print;
use crate::settings::Settings;

pub(crate) async fn run(
    settings: &Settings,
    args: args::Call,
    tasks: Tasks<'_>,
) -> Result<(), Error> {
    match args.api.url.clone() {
        Some(url) => through_api(settings, args, &url).await,
        None => through_broker(settings, args, tasks).await,
    }
}

async fn through_broker(
    settings: &Settings,
    args: args::Call,
    tasks: Tasks<'_>,
) -> Result<(), Error> {
    super::embedded_is_elsewhere(settings)?;
    let mut builder = tasks(super::builder(settings));
    if args.wait.is_some() && settings.text("result_backend").is_none() {
        // Somebody who waits wants an answer; rpc needs nothing but the broker.
        builder = builder.backend("rpc://");
    }
    let app = builder.build()?;
    let call = Call::<Value>::new(&args.name)
        .args(positional(&args.args)?)
        .kwargs(keyword(&args.kwargs)?);
    let call = with_options(call, &args);
    let result = call.send(&app).await?;
    let outcome = match args.wait {
        None => {
            print(result.id());
            Ok(())
        }
        Some(within) => match result.get(within).await {
            Ok(value) => {
                print(&json::to_string(&value).map_err(celeriac::Error::from)?);
                Ok(())
            }
            Err(celeriac::Error::Failed {
                id,
                exception,
                traceback,
            }) => {
                if let Some(traceback) = traceback {
                    eprint!("{traceback}");
                }
                Err(Error::Failed(format!("task {id} failed: {exception}")))
            }
            Err(error) => Err(error.into()),
        },
    };
    app.close().await;
    outcome
}

fn with_options(mut call: Call<Value>, args: &args::Call) -> Call<Value> {
    if let Some(queue) = &args.queue {
        call = call.queue(queue);
    }
    if let Some(countdown) = args.countdown {
        call = call.countdown(countdown);
    }
    if let Some(expires) = args.expires {
        call = call.expires(expires);
    }
    if let Some(priority) = args.priority {
        call = call.priority(priority);
    }
    match &args.id {
        Some(id) => call.id(id),
        None => call,
    }
}

async fn through_api(settings: &Settings, args: args::Call, url: &str) -> Result<(), Error> {
    let parse = |what, text: &str| {
        serde_json::from_str::<serde_json::Value>(text).map_err(|error| {
            Error::Usage(format!("{what}: expected JSON, found {text:?} ({error})"))
        })
    };
    let mut body = json!({
        "name": args.name,
        "args": parse("--args", &args.args)?,
        "kwargs": parse("--kwargs", &args.kwargs)?,
    });
    let options = [
        ("queue", args.queue.map(serde_json::Value::from)),
        ("id", args.id.map(serde_json::Value::from)),
        ("priority", args.priority.map(serde_json::Value::from)),
        ("countdown", args.countdown.map(|d| d.as_secs_f64().into())),
        ("expires", args.expires.map(|d| d.as_secs_f64().into())),
        (
            "wait_ms",
            args.wait
                .map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX).into()),
        ),
    ];
    for (key, value) in options {
        if let Some(value) = value {
            body[key] = value;
        }
    }
    let within = args.wait.unwrap_or_default() + Duration::from_secs(10);
    let answer = Api::new(url, settings.text("token"))?
        .post("/api/v1/tasks", &body, within)
        .await?;
    if args.wait.is_none() {
        print(answer["id"].as_str().unwrap_or_default());
        return Ok(());
    }
    super::result::show(&answer)
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
