//! The commands, one file each.

pub(crate) mod call;
pub(crate) mod check;
pub(crate) mod node;
pub(crate) mod queues;
pub(crate) mod result;
pub(crate) mod status;
pub(crate) mod supervisor;
pub(crate) mod up;

use celeriac::{App, AppBuilder};

use crate::app::{DEFAULT_BROKER, Tasks};
use crate::error::Error;
use crate::settings::Settings;

/// Starts an app on the broker and backend of the settings.
fn builder(settings: &Settings) -> AppBuilder {
    let broker = settings.text("broker").unwrap_or(DEFAULT_BROKER);
    let builder = App::builder("celeriac").broker(broker);
    let builder = match settings.text("default_queue") {
        Some(queue) => builder.default_queue(queue),
        None => builder,
    };
    match settings.text("result_backend") {
        Some(url) => builder.backend(url),
        None => builder.backend("disabled://"),
    }
}

/// Builds the app of a command that only talks to the cluster.
fn client(settings: &Settings) -> Result<App, Error> {
    embedded_is_elsewhere(settings)?;
    Ok(builder(settings).build()?)
}

/// Builds the app of a command that runs tasks.
fn worker(settings: &Settings, tasks: Tasks<'_>) -> Result<App, Error> {
    Ok(tasks(builder(settings)).build()?)
}

/// A `memory://` broker lives inside one process; a command that talks to another
/// process through it would wait for ever.
fn embedded_is_elsewhere(settings: &Settings) -> Result<(), Error> {
    match settings.text("broker") {
        Some(url) if url.starts_with("memory:") => Err(Error::Usage(
            "memory:// lives inside the process that opened it; give --api http://127.0.0.1:9595 \
             to go through the supervisor of that process"
                .to_owned(),
        )),
        _ => Ok(()),
    }
}

/// The queues that the settings name.
fn queues(settings: &Settings) -> Vec<String> {
    settings
        .list("queues")
        .filter(|names| !names.is_empty())
        .unwrap_or_else(|| {
            vec![
                settings
                    .text("default_queue")
                    .unwrap_or(celeriac::protocol::naming::DEFAULT_QUEUE)
                    .to_owned(),
            ]
        })
}

/// Checks the URLs without connecting anywhere.
fn check_urls(settings: &Settings) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Failed(format!("cannot start the runtime: {error}")))?;
    // Opening needs a runtime and connects on first use, which never comes here.
    let _inside = runtime.enter();
    builder(settings).build()?;
    Ok(())
}
