//! The supervisor, from start to stop.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use celeriac::App;
use celeriac::health::Progress;
use futures_util::FutureExt as _;
use futures_util::future::Shared;

use crate::actor::ActorThread;
use crate::beat::Station;
use crate::board::Board;
use crate::config::Config;
use crate::error::Error;
use crate::http::{Bound, Desk, HttpServer};
use crate::leader::{self, Election};
use crate::pods::{NodePods, Pools};
use crate::recorder::Recording;
use crate::scale::{Scale, ScalerServer};
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
    hurry: Pin<Box<dyn Future<Output = ()> + Send>>,
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
            hurry: Box::pin(std::future::pending()),
        }
    }

    /// Calls `tell` with the address once everything has been started. The broker may
    /// still be out of reach then; `/readyz` says so.
    #[must_use]
    pub fn on_ready(mut self, tell: impl FnOnce(SocketAddr) + Send + 'static) -> Self {
        self.ready = Some(Box::new(tell));
        self
    }

    /// Cuts the waits of a stop short once `hurry` completes: open requests are dropped, and
    /// the history has a second to be stored.
    #[must_use]
    pub fn hurried_by(mut self, hurry: impl Future<Output = ()> + Send + 'static) -> Self {
        self.hurry = Box::pin(hurry);
        self
    }

    /// Runs until `shutdown` completes.
    ///
    /// Works in any tokio runtime; actors and HTTP live on threads of their own. The
    /// app stays open: who made it closes it. A stop gives up leading at once, lets open
    /// requests finish, ends the actors and stores what is left of the history, all within
    /// [`Config::stop_timeout`].
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
        let begun = Instant::now();
        let mut shutdown = std::pin::pin!(shutdown);
        let running = tokio::select! {
            biased;
            running = self.start(begun) => running?,
            () = &mut shutdown => {
                tracing::info!("the supervisor stops: it was told to before it had started");
                return Ok(Stopped {
                    uptime: begun.elapsed(),
                    events: 0,
                    tasks: 0,
                    clean: true,
                });
            }
        };
        running.until(shutdown).await
    }

    async fn start(self, begun: Instant) -> Result<Running, Error> {
        self.config.check()?;
        let bound = match self.config.serve {
            true => Some(Bound::new(self.config.listen)?),
            false => None,
        };
        let scaler = self.config.scaler_listen.filter(|_| self.config.serve);
        let scaler = scaler.map(Bound::new).transpose()?;
        let address = bound.as_ref().map(|bound| bound.address);
        let station = station(&self.app, &self.config, address)?;
        let pods = NodePods::of(&self.config)?;
        let election = Arc::clone(&station.election);
        let stop_timeout = self.config.stop_timeout;
        let store = open(&self.config).await?;
        let mut board = Board::new(self.config.history, store.clone());
        board.progress = Arc::new(Progress::new(self.config.stall_after));
        board.pools = pods.map(Pools::new);
        let board = Arc::new(board);
        board.crashes().set_limit(self.config.crash_limit);
        let limits = self.config.history_limits(store.place());
        let port = address.map_or(0, |address| address.port());
        let writer = format!("{}:{port}", celeriac::host::name());
        let pulse = board.progress.keep("recorder");
        let recording = board
            .recorder
            .start(&store, &board.history, limits, writer, pulse);
        let restored = board.rates.restore(&store, celeriac::clock::now()).await;
        if let Err(error) = restored {
            tracing::warn!(%error, "the figures of the last day are not known");
        }
        match store.paused_queues().await {
            Ok(rows) => board.pauses.restore(rows),
            Err(error) => tracing::warn!(%error, "which queues are paused is not known"),
        }
        let actors = ActorThread::start(
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
        let scaler = match scaler {
            Some(bound) => {
                let board = Arc::clone(&board);
                let scale = Scale::new(self.app.clone(), Arc::clone(&board), &self.config);
                Some(ScalerServer::start(bound, scale, board, stop_timeout)?)
            }
            None => None,
        };
        let desk = Desk::new(self.app, self.config, Arc::clone(&board), actors.root());
        let http = match bound {
            Some(bound) => Some(HttpServer::start(bound, desk)?),
            None => None,
        };
        board.set_started();
        tracing::info!(?address, "the supervisor runs");
        if let (Some(ready), Some(address)) = (self.ready, address) {
            ready(address);
        }
        Ok(Running {
            begun,
            stop_timeout,
            hurry: self.hurry,
            election,
            store,
            board,
            recording,
            actors,
            watchdog,
            http,
            scaler,
        })
    }
}

/// A supervisor of which every part has been started.
struct Running {
    begun: Instant,
    stop_timeout: Duration,
    hurry: Pin<Box<dyn Future<Output = ()> + Send>>,
    election: Arc<dyn Election>,
    store: Store,
    board: Arc<Board>,
    recording: Recording,
    actors: ActorThread,
    watchdog: Watchdog,
    http: Option<HttpServer>,
    scaler: Option<ScalerServer>,
}

impl Running {
    async fn until(mut self, shutdown: impl Future<Output = ()>) -> Result<Stopped, Error> {
        let served = async {
            match &mut self.http {
                Some(http) => http.ended().await,
                None => std::future::pending().await,
            }
        };
        let scaled = async {
            match &mut self.scaler {
                Some(scaler) => scaler.ended().await,
                None => std::future::pending().await,
            }
        };
        let failure = tokio::select! {
            () = shutdown => None,
            end = &mut self.actors.ended => Some(end.unwrap_or(Error::Died)),
            () = served => Some(Error::Died),
            () = scaled => Some(Error::Died),
        };
        tracing::info!(failed = failure.is_some(), "the supervisor stops");
        let (begun, board) = (self.begun, Arc::clone(&self.board));
        let clean = self.stop().await;
        match failure {
            Some(error) => Err(error),
            None => Ok(Stopped {
                uptime: begun.elapsed(),
                events: board.metrics.events.get(),
                tasks: board.history.len(),
                clean,
            }),
        }
    }

    /// Ends every part in order; tells whether all of them ended well and in time.
    async fn stop(self) -> bool {
        let Self {
            stop_timeout,
            hurry,
            election,
            store,
            board,
            recording,
            actors,
            watchdog,
            http,
            scaler,
            ..
        } = self;
        board.set_stopping();
        let end = Instant::now() + stop_timeout;
        let patience = Patience::new(end, hurry);
        // The next one leads while this one still answers what it was asked.
        let let_go = async {
            board.beat.retire().await;
            election.resign().await;
        };
        // Requests before the actors, which they may still need.
        let scaled = join(scaler.and_then(ScalerServer::stop), &patience);
        let served = join(http.and_then(HttpServer::stop), &patience);
        let resigned = tokio::time::timeout(LET_GO, let_go);
        let (resigned, mut clean, scaled) = tokio::join!(resigned, served, scaled);
        clean &= scaled;
        clean &= join(actors.stop(), &patience).await;
        // Who could not be asked holds no lock any more now that the actors are gone.
        if resigned.is_err() && patience.wait(election.resign()).await.is_none() {
            tracing::warn!("the next leader has to wait until this one is missed");
        }
        if patience.wait(recording.stop(end.into())).await != Some(true) {
            let lost = board.recorder.figures().waiting;
            tracing::error!(tasks = lost, "the end of the history could not be stored");
            clean = false;
        }
        // Last, because whoever stops may still have something to write.
        clean &= patience.wait(store.close()).await.is_some();
        clean
            & tokio::task::spawn_blocking(move || drop(watchdog))
                .await
                .is_ok()
    }
}

/// How long the beat and the election may take to let the next one lead.
const LET_GO: Duration = Duration::from_secs(2);

/// How long each step of a stop may take once it is hurried.
const HURRIED: Duration = Duration::from_secs(1);

/// How long a stop is waited for: until its end, or shortly after it is hurried.
struct Patience {
    end: tokio::time::Instant,
    hurry: Shared<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Patience {
    fn new(end: Instant, hurry: Pin<Box<dyn Future<Output = ()> + Send>>) -> Self {
        Self {
            end: end.into(),
            hurry: hurry.shared(),
        }
    }

    /// Waits for a step of the stop; `None` when it takes too long.
    async fn wait<T>(&self, step: impl Future<Output = T>) -> Option<T> {
        let hurried = async {
            self.hurry.clone().await;
            tokio::time::sleep(HURRIED).await;
        };
        tokio::select! {
            biased;
            done = step => Some(done),
            () = tokio::time::sleep_until(self.end) => None,
            () = hurried => None,
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
async fn join(thread: Option<JoinHandle<()>>, patience: &Patience) -> bool {
    let Some(thread) = thread else { return true };
    let name = thread.thread().name().unwrap_or_default().to_owned();
    let joined = tokio::task::spawn_blocking(move || thread.join());
    match patience.wait(joined).await {
        Some(Ok(Ok(()))) => true,
        Some(_) => {
            tracing::error!(thread = name, "a thread panicked");
            false
        }
        None => {
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
