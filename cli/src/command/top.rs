//! `celeriac top`: the cluster in a terminal, live.
//!
//! It is a client of a supervisor's API: of the one that `--api` names, or else of one that it
//! starts for itself, on loopback and with a token that nobody else has.

mod screen;
mod snapshot;
mod terminal;
mod view;

use std::time::Duration;

use celeriac_supervisor::{Config, Supervisor};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::screen::{Action, Screen};
use self::snapshot::Snapshot;
use self::terminal::Terminal;
use crate::api::Api;
use crate::args;
use crate::error::Error;
use crate::output::Output;
use crate::settings::Settings;

/// How long the supervisor may take to answer; a screen that stands still says so.
const ANSWER: Duration = Duration::from_secs(5);

pub(crate) async fn run(settings: &Settings, args: args::Top, output: Output) -> Result<(), Error> {
    let (own, api, name) = match &args.api.url {
        Some(url) => (None, Api::new(url, settings.text("token"))?, url.clone()),
        None => {
            let (own, api) = Own::start(settings).await?;
            let name = settings.text("broker").unwrap_or("the default broker");
            let name = celeriac::broker::mask(name);
            (Some(own), api, name)
        }
    };
    let shown = if args.once || output.is_json() {
        once(&api, &args, output).await
    } else {
        watch(&api, &args, name).await
    };
    if let Some(own) = own {
        own.stop().await;
    }
    shown
}

/// Prints one picture, for scripts and for terminals that are none.
async fn once(api: &Api, args: &args::Top, output: Output) -> Result<(), Error> {
    // A supervisor that has just been started has heard of nobody yet.
    if args.api.url.is_none() {
        tokio::time::sleep(args.interval.max(Duration::from_secs(3))).await;
    }
    let snapshot = Snapshot::take(api, ANSWER).await?;
    output.show(&snapshot.json(), || view::plain(&snapshot));
    Ok(())
}

async fn watch(api: &Api, args: &args::Top, name: String) -> Result<(), Error> {
    let mut screen = Screen::new(name);
    let (mut terminal, mut keys) = Terminal::open()?;
    let (tell, mut told) = mpsc::channel(16);
    let mut ticks = tokio::time::interval(args.interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut asking = false;
    loop {
        terminal.draw(&screen)?;
        let action = tokio::select! {
            key = keys.recv() => match key {
                Some(key) => screen.key(key),
                // The terminal is gone.
                None => Some(Action::Quit),
            },
            _ = ticks.tick() => {
                if !asking && !screen.is_frozen() {
                    asking = true;
                    let (api, tell) = (api.clone(), tell.clone());
                    tokio::spawn(async move {
                        let taken = Snapshot::take(&api, ANSWER).await;
                        // The screen may be gone.
                        let _ = tell.send(News::Taken(taken.map(Box::new))).await;
                    });
                }
                None
            }
            Some(news) = told.recv() => {
                match news {
                    News::Taken(taken) => {
                        asking = false;
                        screen.take(taken.map(|snapshot| *snapshot));
                    }
                    News::Details(details) => screen.details(details),
                    News::Done(done) => screen.done(done),
                }
                None
            }
        };
        match action {
            None => {}
            Some(Action::Quit) => return Ok(()),
            Some(Action::Inspect(path)) => {
                let (api, tell) = (api.clone(), tell.clone());
                tokio::spawn(async move {
                    let _ = tell.send(News::Details(api.get(&path, ANSWER).await)).await;
                });
            }
            Some(Action::Do(order)) => {
                let (api, tell) = (api.clone(), tell.clone());
                tokio::spawn(async move {
                    let done = api.post(&order.path, &order.body, ANSWER).await;
                    let _ = tell.send(News::Done(done.map(|_| order.what))).await;
                });
            }
        }
    }
}

/// What comes back from the supervisor.
enum News {
    Taken(Result<Box<Snapshot>, Error>),
    Details(Result<serde_json::Value, Error>),
    Done(Result<String, Error>),
}

/// A supervisor of this command's own.
struct Own {
    app: celeriac::App,
    stop: CancellationToken,
    run: tokio::task::JoinHandle<Result<celeriac_supervisor::Stopped, celeriac_supervisor::Error>>,
}

impl Own {
    async fn start(settings: &Settings) -> Result<(Self, Api), Error> {
        super::embedded_is_elsewhere(settings)?;
        let app = super::build(settings, super::builder(settings)?)?;
        // 122 random bits, known to this process alone.
        let token = uuid::Uuid::new_v4().to_string();
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            token: Some(token.clone()),
            store: "memory:".to_owned(),
            ..super::supervisor::config(settings)?
        };
        let stop = CancellationToken::new();
        let (tell, listening) = tokio::sync::oneshot::channel();
        let supervisor = Supervisor::new(app.clone(), config).on_ready(move |address| {
            // Nobody listens any more when this command was ended.
            let _ = tell.send(address);
        });
        let run = tokio::spawn(supervisor.run(stop.clone().cancelled_owned()));
        let own = Self { app, stop, run };
        match listening.await {
            Ok(address) => {
                let api = Api::new(&format!("http://{address}"), Some(&token))?;
                Ok((own, api))
            }
            // The run has ended and says why.
            Err(_) => Err(match own.run.await {
                Ok(Err(error)) => error.into(),
                _ => Error::Failed("the supervisor ended before it served".to_owned()),
            }),
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        if let Ok(Err(error)) = self.run.await {
            tracing::warn!(%error, "the supervisor of this command ended badly");
        }
        self.app.close().await;
    }
}
