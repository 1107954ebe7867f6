//! Signals: the first asks to drain, the second to stop now.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use celeriac_node::Shutdown;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// What the signals of this process ask for.
pub(crate) struct Signals {
    /// SIGTERM and SIGINT drain, a second one or SIGQUIT stops now.
    pub(crate) node: Shutdown,
    /// Fires at the first signal of any kind.
    pub(crate) any: CancellationToken,
    /// Fires when nothing shall be waited for any more.
    pub(crate) now: CancellationToken,
    first: Arc<OnceLock<Instant>>,
}

impl Signals {
    /// Starts to listen, for as long as the runtime that this is called in lives.
    pub(crate) fn listen() -> Result<Self, Error> {
        let mut terminate = handler(SignalKind::terminate())?;
        let mut interrupt = handler(SignalKind::interrupt())?;
        let mut quit = handler(SignalKind::quit())?;
        let signals = Self {
            node: Shutdown::new(),
            any: CancellationToken::new(),
            now: CancellationToken::new(),
            first: Arc::default(),
        };
        let (node, any) = (signals.node.clone(), signals.any.clone());
        let (at_once, first) = (signals.now.clone(), Arc::clone(&signals.first));
        tokio::spawn(async move {
            loop {
                let now = tokio::select! {
                    _ = terminate.recv() => any.is_cancelled(),
                    _ = interrupt.recv() => any.is_cancelled(),
                    _ = quit.recv() => true,
                };
                let _ = first.set(Instant::now());
                any.cancel();
                if now {
                    tracing::warn!("stopping now");
                    at_once.cancel();
                    node.stop_now();
                } else {
                    tracing::info!("draining; a second signal stops at once");
                    node.drain();
                }
            }
        });
        Ok(signals)
    }

    /// Waits until so much time has passed since the first signal.
    pub(crate) async fn overdue(&self, after: Duration) {
        self.any.cancelled().await;
        sleep_until(self.end(after)).await;
    }

    /// Returns when so much time will have passed since the first signal; without one, since
    /// now.
    pub(crate) fn end(&self, after: Duration) -> Instant {
        let first = self.first.get().copied().unwrap_or_else(Instant::now);
        first.checked_add(after).unwrap_or(first)
    }
}

fn handler(kind: SignalKind) -> Result<Signal, Error> {
    signal(kind).map_err(|error| Error::Failed(format!("cannot handle signals: {error}")))
}
