//! `celeriac supervisor`: runs the supervisor.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use celeriac_supervisor::{
    Access, Config, LeaderElection, Redaction, Role, Supervisor, Token, TrustedProxy,
};
use futures_util::future::join;
use tokio::time::timeout;

use crate::app::Tasks;
use crate::args;
use crate::error::Error;
use crate::settings::{Grace, Settings};
use crate::signals::Signals;
use crate::traces::Export;

pub(crate) async fn run(settings: &Settings, tasks: Tasks<'_>) -> Result<(), Error> {
    serve(settings, config(settings)?, tasks).await
}

/// `celeriac beat`: what a supervisor does for schedules, without HTTP unless an address is
/// given.
pub(crate) async fn beat(
    settings: &Settings,
    args: args::Beat,
    tasks: Tasks<'_>,
) -> Result<(), Error> {
    let mut config = config(settings)?;
    config.serve = settings.text("listen").is_some();
    if let Some(span) = args.max_interval
        && span < Duration::from_secs(1)
    {
        let text = format!(
            "--max-interval: expected 1s or more, found {span:?}: the beat looks for changes once a \
             second, and sends each tick at its time"
        );
        return Err(Error::Usage(text));
    }
    if let Some(file) = args.schedule {
        config.store = file;
        return launch(settings, config, tasks).await;
    }
    serve(settings, config, tasks).await
}

async fn serve(settings: &Settings, mut config: Config, tasks: Tasks<'_>) -> Result<(), Error> {
    if settings.text("store").is_none() {
        config.store = default_store(|name| std::env::var_os(name))?;
    }
    launch(settings, config, tasks).await
}

async fn launch(settings: &Settings, config: Config, tasks: Tasks<'_>) -> Result<(), Error> {
    config
        .check()
        .map_err(|error| settings.blame_supervisor(error))?;
    let signals = Signals::listen()?;
    let close_within = Grace::read(settings)?.map_or(CLOSE_WITHIN, Grace::margin) * 4 / 5;
    // With its tasks the program brings its schedules.
    let export = Export::start(settings)?;
    let app = super::worker(settings, tasks, export.as_ref())?;
    let stopped = Supervisor::new(app.clone(), config)
        .on_ready(|address| tracing::info!(%address, "supervisor listens"))
        .hurried_by(signals.now.cancelled_owned())
        .run(signals.any.cancelled_owned())
        .await?;
    let close = async { join(app.close(), Export::close(export)).await };
    if timeout(close_within, close).await.is_err() {
        tracing::warn!("the connections could not be closed in time");
    }
    tracing::info!(
        events = stopped.events,
        clean = stopped.clean,
        "the supervisor stopped"
    );
    Ok(())
}

/// How long connections may take to be closed at the end.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

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
    config.scaler_listen =
        settings.parse::<SocketAddr>("scaler_listen", "an address such as 0.0.0.0:9596")?;
    if let Some(grace) = Grace::read(settings)? {
        config.stop_timeout = config.stop_timeout.min(grace.deadline());
    }
    config.token = settings.with("token", |token| {
        Token::with_secret("token", Role::Admin, token)?;
        Ok(token.to_owned())
    })?;
    if let Some(store) = settings.text("store") {
        config.store = store.to_owned();
    }
    if let Some(queues) = settings.list("dead_letter_queues") {
        config.dead_letter_queues = queues;
    }
    if let Some(letters) = settings.parse("letters", "a number of dead letters")? {
        config.letters = letters;
    }
    if let Some(span) = settings.duration("letters_for")? {
        config.letters_for = span;
    }
    if let Some(limit) = settings.parse("crash_limit", "a number, 0 for no limit")? {
        config.crash_limit = limit;
    }
    if let Some(anonymous) = settings.flag("allow_anonymous")? {
        config.allow_anonymous = anonymous;
    }
    if let Some(age) = settings.duration("history_max_age")? {
        config.history_max_age = age;
    }
    if let Some(tasks) = settings.parse("history_max_tasks", "a number of tasks")? {
        config.history_max_tasks = tasks;
    }
    if let Some(history) = settings.parse("history", "a number of tasks")? {
        config.history = history;
    }
    if let Some(election) = settings.with("leader_election", |text| {
        text.parse::<LeaderElection>()
            .map_err(|error| error.to_string())
    })? {
        config.leader_election = election;
    }
    config.lease = settings.text("lease").map(str::to_owned);
    config.lease_namespace = settings.text("lease_namespace").map(str::to_owned);
    if let Some(span) = settings.duration("lease_duration")? {
        config.lease_duration = span;
    }
    config.node_pods = settings.text("node_pods").map(str::to_owned);
    config.service_account = settings.text("service_account").map(PathBuf::from);
    if let Some(url) = settings.text("advertise") {
        config.url = Some(url.to_owned());
    }
    if let Some(url) = settings.text("management_url") {
        config.management_url = Some(url.to_owned());
    }
    config.access = access(settings)?;
    config.redaction = redaction(settings)?;
    config
        .check()
        .map_err(|error| settings.blame_supervisor(error))?;
    Ok(config)
}

/// Says who may ask.
fn access(settings: &Settings) -> Result<Access, Error> {
    let variable = |name: &str| std::env::var(name).ok();
    let users = settings.users().iter().map(|table| table.user(variable));
    let tokens = settings
        .api_tokens()
        .iter()
        .map(|table| table.token(variable));
    let mut access = Access {
        users: users.collect::<Result<_, _>>().map_err(Error::Config)?,
        tokens: tokens.collect::<Result<_, _>>().map_err(Error::Config)?,
        proxy: proxy(settings)?,
        ..Access::default()
    };
    if let Some(anonymous) = settings.flag("metrics_anonymous")? {
        access.metrics_anonymous = anonymous;
    }
    if let Some(age) = settings.duration("audit_age")? {
        access.audit_age = age;
    }
    if let Some(entries) = settings.parse("audit_entries", "a number of entries")? {
        access.audit_entries = entries;
    }
    Ok(access)
}

fn proxy(settings: &Settings) -> Result<Option<TrustedProxy>, Error> {
    let roles = settings.with("group_roles", |text| each(text, group_role))?;
    let peers = settings.with("trusted_proxies", |text| each(text, str::parse))?;
    let default_role = settings.with("default_role", str::parse)?;
    let groups_header = settings.text("groups_header").map(str::to_owned);
    if let Some(header) = settings.text("trusted_header") {
        return Ok(Some(TrustedProxy {
            header: header.to_owned(),
            groups_header,
            roles: roles.unwrap_or_default(),
            default_role,
            peers: peers.unwrap_or_default(),
        }));
    }
    let alone = [
        ("group_roles", roles.is_some()),
        ("trusted_proxies", peers.is_some()),
        ("default_role", default_role.is_some()),
        ("groups_header", groups_header.is_some()),
    ];
    match alone.iter().find(|(_, set)| *set) {
        Some((name, _)) => {
            Err(settings.wrong(&[name], &"expected trusted_header with it, found none"))
        }
        None => Ok(None),
    }
}

/// Says what is hidden of tasks.
fn redaction(settings: &Settings) -> Result<Redaction, Error> {
    let mut redaction = match settings.flag("hide_defaults")? {
        Some(false) => Redaction::nothing(),
        _ => Redaction::default(),
    };
    type Add = fn(Redaction, &str) -> Result<Redaction, String>;
    let lists: [(&str, Add); 3] = [
        ("hide_keys", Redaction::key),
        ("hide_arguments_of", Redaction::arguments_of),
        ("hide_results_of", Redaction::results_of),
    ];
    for (name, add) in lists {
        let all = |text: &str| {
            let mut patterns = text.split(',').map(str::trim);
            patterns.try_fold(redaction.clone(), |redaction, pattern| {
                add(redaction, pattern)
            })
        };
        if let Some(added) = settings.with(name, all)? {
            redaction = added;
        }
    }
    Ok(redaction)
}

/// Reads the parts between commas.
fn each<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(|part| read(part.trim())).collect()
}

fn group_role(text: &str) -> Result<(String, Role), String> {
    match text.rsplit_once('=') {
        Some((group, role)) if !group.trim().is_empty() => {
            Ok((group.trim().to_owned(), role.trim().parse()?))
        }
        _ => Err(format!("expected group=role, found {text:?}")),
    }
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
            Error::Config(text.to_owned())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(file: &str) -> Settings {
        let flags: crate::settings::Layer = toml::from_str(file).unwrap();
        Settings::of_flags(&flags)
    }

    #[test]
    fn a_proxy_is_trusted_as_it_is_said() {
        let file = "trusted_header = 'X-Forwarded-User'\ngroups_header = 'X-Forwarded-Groups'\n\
                    trusted_proxies = ['10.0.0.0/8', '::1']\ngroup_roles = 'ops=operator, a=b=admin'";
        let access = access(&settings(file)).unwrap();
        let proxy = access.proxy.unwrap();
        assert_eq!(proxy.peers.len(), 2);
        let roles = [("ops", Role::Operator), ("a=b", Role::Admin)];
        assert_eq!(
            proxy.roles,
            roles.map(|(group, role)| (group.to_owned(), role))
        );
        for (file, error) in [
            (
                "trusted_proxies = '10.0.0.0/8'",
                "setting trusted_proxies (flag): expected trusted_header",
            ),
            (
                "trusted_header = 'X'\ntrusted_proxies = '10/8'",
                "expected an address or a range",
            ),
            (
                "trusted_header = 'X'\ngroup_roles = 'ops'",
                "expected group=role, found \"ops\"",
            ),
            (
                "trusted_header = 'X'\ndefault_role = 'root'",
                "expected viewer, operator or admin",
            ),
            (
                "trusted_header = 'X'",
                "trusted_header (flag): expected the addresses",
            ),
            (
                "hide_keys = 'a,,b'",
                "setting hide_keys (flag): expected a pattern",
            ),
            (
                "audit_entries = 0",
                "setting audit_entries (flag): expected at least 1",
            ),
        ] {
            let found = config(&settings(file)).unwrap_err().to_string();
            assert!(found.contains(error), "{found} lacks {error}");
        }
    }

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
