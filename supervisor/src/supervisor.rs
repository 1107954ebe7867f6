//! The supervisor, from start to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use celeriac::App;
use celeriac::health::Progress;

use crate::actor::ActorThread;
use crate::beat::Station;
use crate::board::Board;
use crate::config::Config;
use crate::error::Error;
use crate::http::{Bound, Desk, HttpServer};
use crate::leader;
use crate::store::Store;
use crate::watchdog::Watchdog;

/// The supervisor of a cluster.
///
/// # Example
///
/// ```no_run
/// use celeriac::App;
/// use celeriac_supervisor::{Config, Supervisor};
///
/// # async fn example(app: App) -> Result<(), celeriac_supervisor::Error> {
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let supervisor = Supervisor::new(app, Config::default())
///     .on_ready(|address| println!("http://{address}/"));
/// let run = supervisor.run(async { drop(stopped.await) });
/// drop(stop);
/// println!("{:?}", run.await?);
/// # Ok(())
/// # }
/// ```
pub struct Supervisor {
    app: App,
    config: Config,
    ready: Option<Box<dyn FnOnce(SocketAddr) + Send>>,
}

/// How a run ended, when it was told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// How long it ran.
    pub uptime: Duration,
    /// How many events it took in.
    pub events: u64,
    /// How many tasks the history held; they are gone now.
    pub tasks: usize,
    /// Whether every thread ended within the stop's time.
    pub clean: bool,
}

impl Supervisor {
    /// Makes a supervisor; nothing starts yet.
    pub fn new(app: App, config: Config) -> Self {
        Self {
            app,
            config,
            ready: None,
        }
    }

    /// Calls `tell` with the address once everything has been started. The broker may
    /// still be out of reach then; `/readyz` says so.
    #[must_use]
    pub fn on_ready(mut self, tell: impl FnOnce(SocketAddr) + Send + 'static) -> Self {
        self.ready = Some(Box::new(tell));
        self
    }

    /// Runs until `shutdown` completes.
    ///
    /// Works in any tokio runtime; actors and HTTP live on threads of their own. The
    /// app stays open: who made it closes it. A stop lets open requests finish first,
    /// then ends the actors, both within [`Config::stop_timeout`].
    ///
    /// # Errors
    ///
    /// [`Error::Config`], [`Error::Listen`] and [`Error::Store`] before anything was started;
    /// [`Error::Exhausted`] and [`Error::Died`] when it cannot go on. A broker out of
    /// reach is no error: it is waited for.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future tells every thread to stop, without waiting for them.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Stopped, Error> {
        self.config.check()?;
        let bound = match self.config.serve {
            true => Some(Bound::new(&self.config)?),
            false => None,
        };
        let address = bound.as_ref().map(|bound| bound.address);
        let station = station(&self.app, &self.config, address)?;
        let election = Arc::clone(&station.election);
        let (start, grace) = (Instant::now(), self.config.stop_timeout);
        let store = open(&self.config).await?;
        let mut board = Board::new(self.config.history, store.clone());
        board.progress = Arc::new(Progress::new(self.config.stall_after));
        let board = Arc::new(board);
        board.crashes().set_limit(self.config.crash_limit);
        let limits = self.config.history_limits(store.place());
        let port = address.map_or(0, |address| address.port());
        let writer = format!("{}:{port}", celeriac::host::name());
        let recording = board.recorder.start(&store, &board.history, limits, writer);
        let restored = board.rates.restore(&store, celeriac::clock::now()).await;
        if let Err(error) = restored {
            tracing::warn!(%error, "the figures of the last day are not known");
        }
        match store.paused_queues().await {
            Ok(rows) => board.pauses.restore(rows),
            Err(error) => tracing::warn!(%error, "which queues are paused is not known"),
        }
        let mut actors = ActorThread::start(
            self.app.clone(),
            self.config.clone(),
            Arc::clone(&board),
            station,
        )
        .await?;
        let watchdog =
            Watchdog::start(Arc::clone(&board.progress)).map_err(|source| Error::Start {
                what: "the watchdog",
                source,
            })?;
        let desk = Desk::new(self.app, self.config, Arc::clone(&board), actors.root());
        let mut http = match bound {
            Some(bound) => Some(HttpServer::start(bound, desk)?),
            None => None,
        };
        board.set_started();
        tracing::info!(?address, "the supervisor runs");
        if let (Some(ready), Some(address)) = (self.ready, address) {
            ready(address);
        }
        let served = async {
            match &mut http {
                Some(http) => http.ended().await,
                None => std::future::pending().await,
            }
        };

        let failure = tokio::select! {
            () = shutdown => None,
            end = &mut actors.ended => Some(end.unwrap_or(Error::Died)),
            () = served => Some(Error::Died),
        };
        tracing::info!(failed = failure.is_some(), "the supervisor stops");

        // Requests first: they may still need the actors.
        let deadline = tokio::time::Instant::now() + grace + Duration::from_secs(2);
        let mut clean = join(http.and_then(HttpServer::stop), deadline).await;
        clean &= join(actors.stop(), deadline).await;
        if tokio::time::timeout_at(deadline, election.resign())
            .await
            .is_err()
        {
            tracing::warn!("the next leader has to wait until this one is missed");
        }
        if !recording.stop(deadline).await {
            let lost = board.recorder.figures().waiting;
            tracing::error!(tasks = lost, "the end of the history could not be stored");
            clean = false;
        }
        // Last, because whoever stops may still have something to write.
        clean &= tokio::time::timeout_at(deadline, store.close())
            .await
            .is_ok();
        clean &= tokio::task::spawn_blocking(move || drop(watchdog))
            .await
            .is_ok();
        match failure {
            Some(error) => Err(error),
            None => Ok(Stopped {
                uptime: start.elapsed(),
                events: board.metrics.events.get(),
                tasks: board.history.len(),
                clean,
            }),
        }
    }
}

/// Says who this process is among those that stand for election.
fn station(app: &App, config: &Config, address: Option<SocketAddr>) -> Result<Station, Error> {
    let name = config.name.clone().unwrap_or_else(|| {
        let (pid, host) = (std::process::id(), celeriac::host::name());
        // Two may live in one process.
        let tag = uuid::Uuid::new_v4().simple().to_string();
        format!("supervisor-{pid}-{}@{host}", &tag[..4])
    });
    let reachable = address.filter(|address| {
        let ip = address.ip();
        !ip.is_loopback() && !ip.is_unspecified()
    });
    let url = config.url.clone();
    let election = leader::election(config, app, &name)?;
    Ok(Station {
        name,
        url: url.or_else(|| reachable.map(|address| format!("http://{address}"))),
        election,
    })
}

async fn open(config: &Config) -> Result<Store, Error> {
    let place = config.place()?;
    let opened = Store::open(&place).await;
    opened.map_err(|error| Error::Store {
        place: place.to_string(),
        reason: error.to_string(),
    })
}

/// Waits for a thread; says whether it ended well and in time.
async fn join(thread: Option<JoinHandle<()>>, deadline: tokio::time::Instant) -> bool {
    let Some(thread) = thread else { return true };
    let name = thread.thread().name().unwrap_or_default().to_owned();
    let joined = tokio::task::spawn_blocking(move || thread.join());
    match tokio::time::timeout_at(deadline, joined).await {
        Ok(Ok(Ok(()))) => true,
        Ok(_) => {
            tracing::error!(thread = name, "a thread panicked");
            false
        }
        Err(_) => {
            tracing::error!(thread = name, "a thread did not end in time");
            false
        }
    }
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor")
            .field("app", &self.app)
            .field("config", &self.config)
            .finish()
    }
}
