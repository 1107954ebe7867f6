//! `celeriac result`: shows the result of a task.

use std::time::{Duration, Instant};

use celeriac::protocol::json;
use celeriac::{State, Value};

use crate::api::Api;
use crate::args;
use crate::error::Error;
use crate::output::{Output, print};
use crate::progress::Progress;
use crate::settings::Settings;

pub(crate) async fn run(
    settings: &Settings,
    args: args::ResultOf,
    output: Output,
) -> Result<(), Error> {
    if let Some(url) = &args.api.url {
        return through_api(settings, url, &args, output).await;
    }
    let app = super::client(settings)?;
    if !app.backend().capabilities().fetch {
        return Err(Error::Usage(
            "expected a result backend that can be asked, such as -r redis://host, found none; \
             or give --api"
                .to_owned(),
        ));
    }
    let result = app.result::<Value>(&args.id);
    let waiting = Progress::waiting(output, "waiting for the result");
    let document = match args.wait {
        Some(within) => Some(result.ready(within).await?),
        None => result.document().await?,
    };
    drop(waiting);
    let shown = match document {
        None => Err(Error::Failed(format!(
            "task {} has no result here",
            args.id
        ))),
        Some(document) => {
            let text = json::to_string(&document).map_err(celeriac::Error::from)?;
            print(&text);
            match document.status {
                State::Failure | State::Revoked => Err(Error::Failed(format!(
                    "task {} is {}",
                    args.id, document.status
                ))),
                _ => Ok(()),
            }
        }
    };
    app.close().await;
    shown
}

/// Asks until the task is ready: a supervisor that restarts meanwhile costs nothing.
async fn through_api(
    settings: &Settings,
    url: &str,
    args: &args::ResultOf,
    output: Output,
) -> Result<(), Error> {
    let _waiting = Progress::waiting(output, "waiting for the result");
    let api = Api::new(url, settings.text("token"))?;
    let path = format!("/api/v1/tasks/{}", args.id);
    let deadline = Instant::now() + args.wait.unwrap_or_default();
    loop {
        let task = api.get(&path, Duration::from_secs(10)).await?;
        let ready = task["state"]
            .as_str()
            .is_some_and(|state| State::from(state).is_ready());
        if ready || Instant::now() >= deadline {
            return show(&task, output);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Prints a task as the API shows it; a failed one is a failure of the command.
pub(crate) fn show(task: &serde_json::Value, output: Output) -> Result<(), Error> {
    let id = task["id"].as_str().unwrap_or_default();
    match task["state"].as_str() {
        Some("SUCCESS") => {
            output.show(task, || task["result"].to_string());
            Ok(())
        }
        Some(state @ ("FAILURE" | "REVOKED")) => {
            if let (Some(traceback), false) = (task["traceback"].as_str(), output.is_json()) {
                eprint!("{traceback}");
            }
            let reason = task["exception"].as_str().unwrap_or("no reason given");
            Err(Error::Failed(format!("task {id} is {state}: {reason}")))
        }
        state => Err(Error::Undecided(format!(
            "task {id} is {}",
            state.unwrap_or("PENDING")
        ))),
    }
}
