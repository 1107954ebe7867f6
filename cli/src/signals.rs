//! Signals: the first asks to drain, the second to stop now.

use celeriac_node::Shutdown;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// What the signals of this process ask for.
pub(crate) struct Signals {
    /// SIGTERM and SIGINT drain, a second one or SIGQUIT stops now.
    pub(crate) node: Shutdown,
    /// Fires at the first signal of any kind.
    pub(crate) any: CancellationToken,
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
        };
        let (node, any) = (signals.node.clone(), signals.any.clone());
        tokio::spawn(async move {
            loop {
                let now = tokio::select! {
                    _ = terminate.recv() => any.is_cancelled(),
                    _ = interrupt.recv() => any.is_cancelled(),
                    _ = quit.recv() => true,
                };
                any.cancel();
                if now {
                    tracing::warn!("stopping now");
                    node.stop_now();
                } else {
                    tracing::info!("draining; a second signal stops at once");
                    node.drain();
                }
            }
        });
        Ok(signals)
    }
}

fn handler(kind: SignalKind) -> Result<Signal, Error> {
    signal(kind).map_err(|error| Error::Failed(format!("cannot handle signals: {error}")))
}
