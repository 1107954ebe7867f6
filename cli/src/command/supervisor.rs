//! `celeriac supervisor`: runs the supervisor.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use celeriac_supervisor::{Config, Supervisor};

use crate::error::Error;
use crate::settings::Settings;
use crate::signals::Signals;

pub(crate) async fn run(settings: &Settings) -> Result<(), Error> {
    let mut config = config(settings)?;
    if settings.text("store").is_none() {
        config.store = default_store(|name| std::env::var_os(name))?;
    }
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
    if let Some(store) = settings.text("store") {
        config.store = store.to_owned();
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

/// Returns where the store is when nobody says: a file of the service's or the user's own.
pub(crate) fn default_store(
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<String, Error> {
    let folder = |name: &str| {
        let path = PathBuf::from(environment(name)?);
        // The rules of XDG: a path that is not absolute says nothing.
        path.is_absolute().then_some(path)
    };
    // systemd gives one folder for each of the service's, separated by colons.
    let state = environment("STATE_DIRECTORY").and_then(|all| {
        let first = all.to_str()?.split(':').next()?.to_owned();
        (!first.is_empty()).then(|| PathBuf::from(first))
    });
    let state = state
        .or_else(|| Some(folder("XDG_STATE_HOME")?.join("celeriac")))
        .or_else(|| Some(folder("HOME")?.join(".local/state/celeriac")));
    let path = state.map(|state| state.join("celeriac.db"));
    path.and_then(|path| Some(format!("sqlite:{}", path.to_str()?)))
        .ok_or_else(|| {
            let text = "expected --store, or a home directory to keep it in, found neither; \
                        --store memory: keeps nothing over a restart";
            Error::Usage(text.to_owned())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_in_the_service_s_folder_or_the_user_s() {
        let store = |pairs: &'static [(&str, &str)]| {
            default_store(|name| {
                let found = pairs.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            })
        };
        let cases: [(&'static [_], _); 4] = [
            (
                &[("STATE_DIRECTORY", "/var/lib/c:/x"), ("HOME", "/h")],
                "/var/lib/c",
            ),
            (&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")], "/s/celeriac"),
            (
                &[("XDG_STATE_HOME", "s"), ("HOME", "/h")],
                "/h/.local/state/celeriac",
            ),
            (&[("HOME", "/h")], "/h/.local/state/celeriac"),
        ];
        for (pairs, folder) in cases {
            assert_eq!(
                store(pairs).unwrap(),
                format!("sqlite:{folder}/celeriac.db")
            );
        }
        assert!(store(&[]).unwrap_err().to_string().contains("--store"));
    }
}
