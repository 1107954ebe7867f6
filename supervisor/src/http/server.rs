//! The HTTP server's thread and runtime.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use celeriac::health::BEAT;
use tokio::sync::{oneshot, watch};

use super::listener::{Bounded, Peer};
use super::{Desk, router};
use crate::error::Error;

/// The HTTP server: a work-stealing runtime on threads of its own.
///
/// Dropping it tells it to stop; [`HttpServer::stop`] also waits.
#[derive(Debug)]
pub(crate) struct HttpServer {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    done: oneshot::Receiver<()>,
}

/// An address that was bound before anything else was started.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// How long a client may send nothing, or take to send a request. What the request itself
/// may take, and wait for a result, is added: a client that waits sends nothing either.
const IDLE: Duration = Duration::from_secs(30);
const THREADS: usize = 2;

impl Bound {
    /// Binds an address.
    pub(crate) fn new(address: SocketAddr) -> Result<Self, Error> {
        let bind = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok::<_, io::Error>(Self {
                address: listener.local_addr()?,
                listener,
            })
        };
        bind().map_err(|source| Error::Listen { address, source })
    }

    pub(crate) fn into_parts(self) -> (SocketAddr, TcpListener) {
        (self.address, self.listener)
    }
}

impl HttpServer {
    pub(crate) fn start(bound: Bound, desk: Desk) -> Result<Self, Error> {
        let start = |source| Error::Start {
            what: "the HTTP server",
            source,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("celeriac-http")
            .enable_all()
            .build()
            .map_err(start)?;
        let (stop, mut stopping) = watch::channel(false);
        let (finished, done) = oneshot::channel();
        let idle = IDLE + desk.config.request_timeout + desk.config.max_wait;
        let grace = desk.config.requests_end_within();
        let connections = desk.config.max_connections;
        let pulse = desk.board.progress.keep("http");
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(bound.listener)?;
            let listener = Bounded::new(listener, connections, idle);
            let told = stopping.clone();
            let open = desk.clone();
            let told = async move {
                wait(told).await;
                open.live.close();
            };
            // Who answers probes is a loop too: of several threads one may be blocked.
            let beating = async {
                loop {
                    pulse.beat();
                    tokio::time::sleep(BEAT).await;
                }
            };
            let service = router(desk).into_make_service_with_connect_info::<Peer>();
            let server = axum::serve(listener, service).with_graceful_shutdown(told);
            tokio::select! {
                served = server.into_future() => served,
                () = beating => Ok(()),
                // Idle connections that stay open must not hold up the stop.
                () = async { wait_mut(&mut stopping).await; tokio::time::sleep(grace).await } => {
                    tracing::warn!("requests were still open at the end of the stop");
                    Ok(())
                }
            }
        };
        let run = move || {
            if let Err(error) = runtime.block_on(serve) {
                tracing::error!(%error, "the HTTP server ended badly");
            }
            runtime.shutdown_timeout(Duration::from_secs(1));
            // The run may not listen any more.
            let _ = finished.send(());
        };
        let builder = std::thread::Builder::new().name("celeriac-http-main".to_owned());
        let thread = Some(builder.spawn(run).map_err(start)?);
        Ok(Self { stop, thread, done })
    }

    /// Waits for the server to end by itself, which it never should.
    pub(crate) async fn ended(&mut self) {
        let _ = (&mut self.done).await;
    }

    /// Accepts no more, lets open requests finish within the grace, and returns the
    /// thread, to be waited for.
    pub(crate) fn stop(mut self) -> Option<JoinHandle<()>> {
        self.stop.send_replace(true);
        self.thread.take()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

async fn wait(mut stopping: watch::Receiver<bool>) {
    wait_mut(&mut stopping).await;
}

/// Ends when the server is told to stop, or its owner is gone.
async fn wait_mut(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}
