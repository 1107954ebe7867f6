//! Log lines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::error::Error;
use crate::exit::Exit;
use crate::settings::Settings;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

/// Writes why the process ends as a last line of JSON, whatever the level is: in the form of
/// the other lines, also when none was started.
pub(crate) fn last_line(reason: &str, exit: Exit) {
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        tracing::error!(target: "celeriac", exit_code = exit.number(), "{reason}");
    });
}

/// Starts logging to standard error, so that standard output is a command's alone.
pub(crate) fn start(settings: &Settings, default_level: &str) -> Result<(), Error> {
    let level = settings.text("loglevel").unwrap_or(default_level);
    // lapin calls ordinary refusals errors and prints bodies of returned messages; what
    // matters of it stands in our own lines. A filter that names it has its way.
    let quiet = if level.contains("lapin") {
        ""
    } else {
        "lapin=off,"
    };
    let filter = format!("{quiet}{}", level.to_ascii_lowercase());
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        let reason = format!("expected a level or a filter, found {level:?} ({error})");
        settings.wrong(&["loglevel"], &reason)
    })?;
    let format = settings.with("log_format", |text| match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        other => Err(format!("expected text or json, found {other:?}")),
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would tell standard error that standard error is gone, and panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match format.unwrap_or(Format::Text) {
        Format::Text => builder.try_init(),
        Format::Json => builder.json().try_init(),
    };
    for variable in settings.service_links() {
        tracing::debug!(variable, "ignored what Kubernetes made of a Service");
    }
    // A second start in one process keeps the first subscriber.
    started.or(Ok(()))
}
