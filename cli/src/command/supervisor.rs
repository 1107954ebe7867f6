//! `celeriac supervisor`: runs the supervisor.

use std::net::SocketAddr;

use celeriac_supervisor::{Config, Supervisor};

use crate::error::Error;
use crate::settings::Settings;
use crate::signals::Signals;

pub(crate) async fn run(settings: &Settings) -> Result<(), Error> {
    let config = config(settings)?;
    let app = super::builder(settings)?.build()?;
    let signals = Signals::listen()?;
    let stopped = Supervisor::new(app.clone(), config)
        .on_ready(|address| tracing::info!(%address, "supervisor listens"))
        .run(signals.any.cancelled_owned())
        .await?;
    app.close().await;
    tracing::info!(
        events = stopped.events,
        clean = stopped.clean,
        "the supervisor stopped"
    );
    Ok(())
}

/// Turns the settings into a supervisor's configuration.
pub(crate) fn config(settings: &Settings) -> Result<Config, Error> {
    let mut config = Config {
        queues: super::queues(settings),
        ..Config::default()
    };
    if let Some(listen) =
        settings.parse::<SocketAddr>("listen", "an address such as 127.0.0.1:9595")?
    {
        config.listen = listen;
    }
    if let Some(token) = settings.text("token") {
        config.token = Some(token.to_owned());
    }
    if let Some(anonymous) = settings.flag("allow_anonymous")? {
        config.allow_anonymous = anonymous;
    }
    if let Some(history) = settings.parse("history", "a number of tasks")? {
        config.history = history;
    }
    config
        .check()
        .map_err(|error| Error::Usage(error.to_string()))?;
    Ok(config)
}
