//! The thread and runtime that serve the external scaler.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::serve::Listener;
use futures_util::stream;
use tokio::sync::{oneshot, watch};
use tonic::transport::Server;

use super::Scale;
use super::scaler::Scaler;
use super::wire::ScalerService;
use crate::board::Board;
use crate::error::Error;
use crate::http::{Bound, Bounded};

/// The server of the external scaler, on a thread of its own.
///
/// It asks for no token, because KEDA has none to show; it tells nothing but figures. So
/// everything about it is bounded: connections, streams, requests on each, their size and
/// their time; who answers no ping is dropped.
///
/// Dropping it tells it to stop; [`ScalerServer::stop`] also waits.
#[derive(Debug)]
pub(crate) struct ScalerServer {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    done: oneshot::Receiver<()>,
}

/// KEDA has few connections: its operator's replicas share one for each address.
const CONNECTIONS: usize = 64;
/// How many requests one connection may have open, streams among them.
const REQUESTS: u32 = 160;
/// How long a request may take; figures are waited for two seconds.
const LIMIT: Duration = Duration::from_secs(5);
const PING: Duration = Duration::from_secs(20);
const PONG: Duration = Duration::from_secs(10);
/// A client that says nothing at all goes after so long; pings keep one that answers.
const IDLE: Duration = Duration::from_secs(60);
/// Metadata comes in the body.
const HEADERS: u32 = 16 * 1024;

impl ScalerServer {
    pub(crate) fn start(
        bound: Bound,
        scale: Scale,
        board: Arc<Board>,
        grace: Duration,
    ) -> Result<Self, Error> {
        let start = |source| Error::Start {
            what: "the external scaler",
            source,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("celeriac-scaler")
            .enable_all()
            .build()
            .map_err(start)?;
        let (stop, stopping) = watch::channel(false);
        let (finished, done) = oneshot::channel();
        let (address, listener) = bound.into_parts();
        let scaler = Scaler::new(scale, board, stopping.clone());
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let listener = Bounded::new(listener, CONNECTIONS, IDLE);
            let incoming = stream::unfold(listener, async |mut listener| {
                let (connection, _) = listener.accept().await;
                Some((Ok::<_, io::Error>(connection), listener))
            });
            let server = Server::builder()
                .timeout(LIMIT)
                .max_concurrent_streams(REQUESTS)
                .concurrency_limit_per_connection(REQUESTS as usize)
                .http2_keepalive_interval(Some(PING))
                .http2_keepalive_timeout(Some(PONG))
                .http2_max_header_list_size(HEADERS)
                .add_service(ScalerService(scaler));
            let told = wait(stopping.clone());
            let served = server.serve_with_incoming_shutdown(incoming, told);
            tokio::select! {
                served = served => served.map_err(io::Error::other),
                () = async { wait(stopping).await; tokio::time::sleep(grace).await } => {
                    tracing::warn!("calls of the external scaler were open at the end of the stop");
                    Ok(())
                }
            }
        };
        let run = move || {
            if let Err(error) = runtime.block_on(serve) {
                tracing::error!(%error, "the external scaler ended badly");
            }
            runtime.shutdown_timeout(Duration::from_secs(1));
            // The run may not listen any more.
            let _ = finished.send(());
        };
        let builder = std::thread::Builder::new().name("celeriac-scaler-main".to_owned());
        let thread = Some(builder.spawn(run).map_err(start)?);
        tracing::info!(%address, "the external scaler listens");
        Ok(Self { stop, thread, done })
    }

    /// Waits for the server to end by itself, which it never should.
    pub(crate) async fn ended(&mut self) {
        let _ = (&mut self.done).await;
    }

    /// Accepts no more, ends streams, lets open calls finish within the grace, and returns
    /// the thread, to be waited for.
    pub(crate) fn stop(mut self) -> Option<JoinHandle<()>> {
        self.stop.send_replace(true);
        self.thread.take()
    }
}

impl Drop for ScalerServer {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// Ends when the server is told to stop, or its owner is gone.
async fn wait(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}
