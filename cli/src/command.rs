//! The commands, one file each.

pub(crate) mod call;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod events;
pub(crate) mod graph;
pub(crate) mod hash_password;
pub(crate) mod letters;
pub(crate) mod migrate;
pub(crate) mod node;
pub(crate) mod probe;
pub(crate) mod queues;
pub(crate) mod remote;
pub(crate) mod report;
pub(crate) mod result;
pub(crate) mod schedules;
pub(crate) mod status;
pub(crate) mod supervisor;
pub(crate) mod top;
pub(crate) mod up;

use celeriac::routing::QueueType;
use celeriac::{App, AppBuilder};

use crate::app::{DEFAULT_BROKER, Tasks};
use crate::error::Error;
use crate::settings::Settings;
use crate::traces::Export;

/// Starts an app on the broker and backend of the settings, with their queues and routes.
fn builder(settings: &Settings) -> Result<AppBuilder, Error> {
    let broker = settings.text("broker").unwrap_or(DEFAULT_BROKER);
    let backend = settings.text("result_backend").unwrap_or("disabled://");
    let mut builder = App::builder("celeriac").broker(broker).backend(backend);
    if let Some(queue) = settings.text("default_queue") {
        builder = builder.default_queue(queue);
    }
    if let Some(most) = settings.parse::<u8>("queue_max_priority", "a number from 1 to 255")? {
        builder = builder.queue_max_priority(most);
    }
    if let Some(on) = settings.flag("send_sent_events")? {
        builder = builder.sent_events(on);
    }
    if let Some(on) = settings.flag("result_extended")? {
        builder = builder.result_extended(on);
    }
    let parse = |text: &str| text.parse::<QueueType>().map_err(|error| error.to_string());
    if let Some(queue_type) = settings.with("queue_type", parse)? {
        builder = builder.queue_type(queue_type);
    }
    if let Some(create) = settings.flag("create_missing_queues")? {
        builder = builder.create_missing_queues(create);
    }
    Ok(settings.tables().add_to(builder))
}

/// Builds the app of a command that only talks to the cluster.
fn client(settings: &Settings) -> Result<App, Error> {
    embedded_is_elsewhere(settings)?;
    build(settings, builder(settings)?)
}

/// Builds an app; what it refuses is told by the setting that says so.
fn build(settings: &Settings, builder: AppBuilder) -> Result<App, Error> {
    builder.build().map_err(|error| settings.blame(error))
}

/// Builds the app of a command that runs tasks.
pub(crate) fn worker(
    settings: &Settings,
    tasks: Tasks<'_>,
    export: Option<&Export>,
) -> Result<App, Error> {
    build(settings, tasks(traced(builder(settings)?, export)))
}

/// Has spans made where somebody takes them.
fn traced(builder: AppBuilder, export: Option<&Export>) -> AppBuilder {
    match export {
        Some(export) => builder.tracer(export.tracer()),
        None => builder,
    }
}

/// A `memory://` broker lives inside one process; a command that talks to another
/// process through it would wait for ever.
fn embedded_is_elsewhere(settings: &Settings) -> Result<(), Error> {
    match settings.text("broker") {
        Some(url) if url.starts_with("memory:") => Err(settings.wrong(
            &["broker"],
            &"memory:// lives inside the process that opened it; give --api http://127.0.0.1:9595 \
             to go through the supervisor of that process",
        )),
        _ => Ok(()),
    }
}

/// The queues that the settings name: those to consume, else those that the file describes,
/// else the default queue.
fn queues(settings: &Settings) -> Vec<String> {
    let named = settings.list("queues").filter(|names| !names.is_empty());
    named.unwrap_or_else(|| {
        let described = settings.tables().queues.iter();
        let described: Vec<_> = described.map(|queue| queue.name.clone()).collect();
        if !described.is_empty() {
            return described;
        }
        let default = settings.text("default_queue");
        vec![
            default
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
    build(settings, builder(settings)?).map(drop)
}
