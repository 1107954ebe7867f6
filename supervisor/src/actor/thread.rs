//! The thread that the actors live on, and its two arbiters.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use actix::prelude::*;
use celeriac::App;
use tokio::sync::oneshot;

use super::root::{Arbiters, Root};
use crate::beat::Station;
use crate::board::Board;
use crate::config::Config;
use crate::error::Error;

/// The actors of one supervisor: an actix system on a thread of its own, so that a
/// supervisor runs inside any program, whatever runtime that has.
///
/// Dropping it tells the actors to stop; [`ActorThread::stop`] also waits.
pub(crate) struct ActorThread {
    system: System,
    root: Addr<Root>,
    thread: Option<JoinHandle<()>>,
    /// The Root's last word; an error of the receiver means that it died without one.
    pub(crate) ended: oneshot::Receiver<Error>,
}

impl ActorThread {
    /// Starts the system and the actors.
    pub(crate) async fn start(
        app: App,
        config: Config,
        board: Arc<Board>,
        station: Station,
    ) -> Result<Self, Error> {
        let (end, ended) = oneshot::channel();
        let (ready, started) = oneshot::channel();
        let run = move || {
            let runner = System::new();
            let arbiters = [Arbiter::new(), Arbiter::new()];
            let root = runner.block_on(async {
                let [intake, backend] = arbiters.each_ref().map(Arbiter::handle);
                Root::new(
                    app,
                    config,
                    board,
                    station,
                    Arbiters { intake, backend },
                    end,
                )
                .start()
            });
            let system = runner.block_on(async { System::current() });
            if ready.send((system, root)).is_err() {
                // The run was given up while we started.
                System::current().stop();
            }
            if let Err(error) = runner.run() {
                tracing::error!(%error, "the actor system ended badly");
            }
            for arbiter in arbiters {
                arbiter.stop();
                if arbiter.join().is_err() {
                    tracing::error!("an arbiter's thread panicked");
                }
            }
        };
        let start = |source| Error::Start {
            what: "the actors' thread",
            source,
        };
        let builder = std::thread::Builder::new().name("celeriac-actors".to_owned());
        let thread = builder.spawn(run).map_err(start)?;
        let (system, root) = started
            .await
            .map_err(|_| start(io::Error::other("the actors' thread ended")))?;
        Ok(Self {
            system,
            root,
            thread: Some(thread),
            ended,
        })
    }

    pub(crate) fn root(&self) -> Addr<Root> {
        self.root.clone()
    }

    /// Stops the actors and returns the thread, to be waited for.
    pub(crate) fn stop(mut self) -> Option<JoinHandle<()>> {
        self.system.stop();
        self.thread.take()
    }
}

impl Drop for ActorThread {
    fn drop(&mut self) {
        self.system.stop();
    }
}
