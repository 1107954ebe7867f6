//! Health and metrics over HTTP, on a thread apart from everything they watch.

mod listener;
mod routes;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use celeriac::health::LOOK;
use celeriac::{Error, Result};
use tokio_util::sync::CancellationToken;

use self::listener::Bounded;
pub use self::routes::paths;
use self::routes::{Desk, router};
use crate::metrics::Metrics;
use crate::shared::Shared;

/// How long open requests may take once the node has ended.
const GRACE: Duration = Duration::from_millis(200);

/// The address of health and metrics, bound before anything else starts.
#[derive(Debug)]
pub(crate) struct Bound(std::net::TcpListener);

/// Watches the loops of a node, and tells over HTTP how it is when it is asked to.
///
/// A thread and a runtime of its own: it must answer while an arbiter is blocked and
/// while tasks use every other thread. Dropping it ends both.
#[derive(Debug)]
pub(crate) struct Health {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Bound {
    /// Binds an address.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] when it is in use, or not of this machine.
    pub(crate) fn new(address: SocketAddr) -> Result<Self> {
        let bind = || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(Self(listener))
        };
        bind().map_err(|source: io::Error| Error::Listen { address, source })
    }
}

impl Health {
    /// Starts to watch, and to serve if an address was bound.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(crate) fn start(shared: Arc<Shared>, bound: Option<Bound>) -> Result<Self> {
        let failed =
            |error: io::Error| Error::invalid("health", "a thread for it", error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        if let Some(address) = bound
            .as_ref()
            .and_then(|Bound(listener)| listener.local_addr().ok())
        {
            let _ = shared.http.set(address);
            tracing::info!(%address, "health and metrics are served");
        }
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let run = move || runtime.block_on(run(shared, bound, stopped));
        let thread = std::thread::Builder::new().name("celeriac-health".to_owned());
        let thread = thread.spawn(run).map_err(failed)?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.stop.cancel();
        // The thread ends within the grace, so the join is short.
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the health thread panicked");
        }
    }
}

async fn run(shared: Arc<Shared>, bound: Option<Bound>, stop: CancellationToken) {
    let watching = watch(Arc::clone(&shared));
    let desk = Desk {
        metrics: Arc::new(Metrics::new(Arc::clone(&shared))),
        shared,
    };
    let serving = async {
        let served = match bound {
            Some(Bound(listener)) => serve(listener, desk, stop.clone()).await,
            None => Ok(()),
        };
        if let Err(error) = served {
            tracing::error!(%error, "health is not served any more");
        }
        stop.cancelled().await;
    };
    tokio::select! {
        () = watching => {}
        () = serving => {}
    }
}

async fn watch(shared: Arc<Shared>) {
    let mut looks = tokio::time::interval(LOOK);
    // A machine that slept must not be taken for one that hangs.
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        shared.pulses.look();
    }
}

async fn serve(
    listener: std::net::TcpListener,
    desk: Desk,
    stop: CancellationToken,
) -> io::Result<()> {
    let listener = Bounded::new(tokio::net::TcpListener::from_std(listener)?);
    let server =
        axum::serve(listener, router(desk)).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = server.into_future() => served,
        // Idle connections that stay open must not hold up the end.
        () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}
