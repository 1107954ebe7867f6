//! Log lines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::error::Error;
use crate::settings::Settings;

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
        Error::Usage(format!(
            "setting loglevel: expected a level or a filter, found {level:?} ({error})"
        ))
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would tell standard error that standard error is gone, and panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match settings.text("log_format").unwrap_or("text") {
        "text" => builder.try_init(),
        "json" => builder.json().try_init(),
        other => {
            return Err(Error::Usage(format!(
                "setting log_format: expected text or json, found {other:?}"
            )));
        }
    };
    // A second start in one process keeps the first subscriber.
    started.or(Ok(()))
}
