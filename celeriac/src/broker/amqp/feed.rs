//! The task that keeps one consumer fed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::connection::{Connection, Live};
use super::consumer::{Request, Shared};
use super::core::{Core, random};
use super::failure::{EXPULSIONS, Failure};
use super::session::{Session, Wanted};
use super::watchdog::{Verdict, Watchdog};
use crate::error::Result;

/// The task that keeps one consumer fed: one channel with one consumer on it, made
/// anew whenever it ends.
///
/// ```text
/// waiting for the connection --> declaring, prefetch, consume --> consuming
///          ^                               | refused                | channel or
///          +------------- backoff ---------+<-- connection lost ----+ cancelled
///
/// consuming --cancel or drop--> lingering (receipts are out) --> ended
/// ```
pub(super) struct Feed {
    pub(super) core: Arc<Core>,
    pub(super) connection: Arc<Connection>,
    pub(super) shared: Arc<Shared>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) wanted: Wanted,
    /// Who waits for the first time that it consumes.
    pub(super) first: Option<oneshot::Sender<Result<()>>>,
}

/// Why a channel's time is over.
enum End {
    /// The consumer was cancelled, or the broker closed.
    Finished,
    /// Try again.
    Failed(Failure),
}

impl Feed {
    /// Runs until the consumer is cancelled or the broker is closed.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        let mut watchdog = Watchdog::new(self.core.config.stall_timeout);
        loop {
            let connection = Arc::clone(&self.connection);
            let live = tokio::select! {
                biased;
                () = self.stopped_while_down() => break,
                live = connection.live() => match live {
                    Ok(live) => live,
                    Err(_) => break,
                },
            };
            let end = self.consume_on(&live, &mut watchdog, &mut failures).await;
            self.shared.detach();
            let End::Failed(failure) = end else { break };
            failures += 1;
            self.core
                .stats
                .channel_failures
                .fetch_add(1, Ordering::Relaxed);
            if self.is_final(&failure, failures) {
                if let Some(first) = self.first.take() {
                    let what = format!("consuming queue {:?}", self.shared.queue);
                    let _ = first.send(Err(failure.into_error(what)));
                }
                break;
            }
            // When the connection is gone its own backoff does the waiting.
            if live.is_up() {
                let wait = self.core.config.backoff.wait(failures, random());
                tracing::warn!(
                    broker = %self.core.url, queue = %self.shared.queue, failures, reason = %failure,
                    retry_in_ms = wait.as_millis() as u64, "consumer lost its channel",
                );
                tokio::select! {
                    biased;
                    () = self.stopped_while_down() => break,
                    () = sleep(wait) => {}
                }
            }
        }
        self.shared.end();
    }

    /// Tells whether to give up: only at the first try, when the caller still waits
    /// for the answer. Later a refusal may pass, such as that of a queue which the
    /// server still counts as the old connection's.
    fn is_final(&self, failure: &Failure, failures: u32) -> bool {
        let no = match failure {
            Failure::Refused { .. } => true,
            Failure::Expelled { .. } => failures >= EXPULSIONS,
            _ => false,
        };
        no && self.first.is_some()
    }

    /// Answers requests while there is no channel; returns when told to stop.
    async fn stopped_while_down(&mut self) {
        let mut closed = self.core.runtime.closed();
        loop {
            tokio::select! {
                biased;
                () = closed.wait() => return,
                request = self.requests.recv() => match request {
                    None => return,
                    Some(Request::Cancel(answer)) => {
                        self.shared.end();
                        let _ = answer.send(());
                        return;
                    }
                    Some(Request::SetPrefetch(prefetch, answer)) => {
                        self.wanted.prefetch = prefetch;
                        let _ = answer.send(Ok(()));
                    }
                },
            }
        }
    }

    /// Opens a channel and consumes until it ends.
    async fn consume_on(
        &mut self,
        live: &Arc<Live>,
        watchdog: &mut Watchdog,
        failures: &mut u32,
    ) -> End {
        let core = Arc::clone(&self.core);
        let opened = Session::open(&core, live, &self.shared, &self.wanted).await;
        let mut session = match opened {
            Ok(session) => session,
            Err(failure) => return End::Failed(failure),
        };
        if let Some(first) = self.first.take() {
            let _ = first.send(Ok(()));
        }
        // What is settled shall be told before the connection closes.
        let _busy = core.busy();
        watchdog.arrived(Instant::now());
        self.consume(&mut session, watchdog, failures).await
    }

    async fn consume(
        &mut self,
        session: &mut Session,
        watchdog: &mut Watchdog,
        failures: &mut u32,
    ) -> End {
        let mut closed = self.core.runtime.closed();
        let shared = Arc::clone(&self.shared);
        loop {
            let retry = session.retry;
            tokio::select! {
                biased;
                () = closed.wait() => return self.finish(session, None).await,
                request = self.requests.recv() => match request {
                    None => return self.finish(session, None).await,
                    Some(Request::Cancel(answer)) => return self.finish(session, Some(answer)).await,
                    Some(Request::SetPrefetch(prefetch, answer)) => {
                        if let Err(failure) = self.set_prefetch(session, prefetch).await {
                            let error = failure.clone().into_error("changing the prefetch");
                            let _ = answer.send(Err(error));
                            return End::Failed(failure);
                        }
                        let _ = answer.send(Ok(()));
                    }
                },
                () = shared.work.notified() => session.flush(),
                delivery = session.next() => match delivery {
                    Some(Ok(delivery)) => {
                        *failures = 0;
                        watchdog.recovered(Instant::now());
                        if session.receive(delivery) {
                            session.cancelled("the consumer ended");
                        }
                    }
                    Some(Err(error)) => return End::Failed(error.into()),
                    None if session.is_up() => session.cancelled("the server cancelled the consumer"),
                    None => return End::Failed(Failure::Ended),
                },
                () = sleep_until(retry.unwrap_or_else(Instant::now)), if retry.is_some() => {
                    if let Err(failure) = session.again(&self.wanted).await {
                        return End::Failed(failure);
                    }
                }
                () = sleep_until(watchdog.due()) => {
                    if !session.is_up() {
                        return End::Failed(Failure::Ended);
                    }
                    let prefetch = self.wanted.prefetch;
                    match watchdog.look(&self.core, &session.live, &shared, prefetch).await {
                        Verdict::Fine => {}
                        Verdict::Channel => {
                            session.close().await;
                            return End::Failed(Failure::Ended);
                        }
                        Verdict::Connection => {
                            self.connection.rebuild();
                            return End::Failed(Failure::Ended);
                        }
                    }
                }
            }
        }
    }

    async fn set_prefetch(&mut self, session: &mut Session, prefetch: u16) -> Result<(), Failure> {
        if prefetch == self.wanted.prefetch {
            return Ok(());
        }
        self.wanted.prefetch = prefetch;
        session.restart(&self.wanted).await
    }

    /// Stops, and keeps the channel for as long as receipts are out.
    async fn finish(&mut self, session: &mut Session, answer: Option<oneshot::Sender<()>>) -> End {
        session.stop().await;
        if let Some(answer) = answer {
            let _ = answer.send(());
        }
        let mut closed = self.core.runtime.closed();
        while self.shared.load().0 > 0 && session.is_up() {
            tokio::select! {
                biased;
                () = closed.wait() => break,
                () = self.shared.work.notified() => session.flush(),
                // The server was slow to stop; these go back.
                Some(Ok(delivery)) = session.next() => {
                    session.receive(delivery);
                }
                // For a channel that ends without a word.
                () = sleep(Duration::from_secs(1)) => {}
            }
        }
        session.close().await;
        End::Finished
    }
}
