//! One connection to the server, made again for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::{ConnectionProperties, ErrorKind, Event};
use tokio::sync::{Notify, watch};

use super::core::{Core, Phase, Role};
use super::declare;
use super::failure::Failure;
use super::socket::Socket;
use crate::error::{Error, Result};

/// A connection that lives shorter than this counts as another failed try, so that one
/// that is closed at once for ever is not made in a tight loop.
const SETTLED: Duration = Duration::from_secs(10);

/// How often a connection is looked at for an end that no event told.
const LOOK: Duration = Duration::from_secs(1);

/// So many numbers of channels in a row may be spoiled: see [`Live::channel`].
const SPOILED: usize = 64;

/// How long a close may take before the socket is shut.
const CLOSE: Duration = Duration::from_secs(1);

/// One connection to the server, made again for ever.
///
/// ```text
/// idle --first use--> connecting --> restoring topology --> up
///                         ^                                  |
///                         +----- wait (backoff) <--- lost ---+      any --> closed
/// ```
#[derive(Debug)]
pub(super) struct Connection {
    core: Arc<Core>,
    role: Role,
    started: AtomicBool,
    live: watch::Sender<Option<Arc<Live>>>,
    rebuild: Notify,
}

/// A connection that was made and, when last seen, was up.
#[derive(Debug)]
pub(super) struct Live {
    connection: lapin::Connection,
    /// Shut when this is dropped, so that no thread of the client can stay behind.
    socket: Socket,
}

impl Live {
    /// Opens a channel.
    ///
    /// No server refuses that. But the client keeps why the server closed a channel under the
    /// channel's number, and tells it to the next one that gets the number, when all have been
    /// used: a queue would be missing, or other than asked for, because another one was, hours
    /// ago. So the next number is tried, and when there is none the connection is made anew.
    pub(super) async fn channel(&self, timeout: Duration) -> Result<lapin::Channel, Failure> {
        for _ in 0..SPOILED {
            match tokio::time::timeout(timeout, self.connection.create_channel()).await? {
                Ok(channel) => return Ok(channel),
                Err(error) if error.is_amqp_soft_error() => {}
                Err(error) if matches!(error.kind(), ErrorKind::ChannelsLimitReached) => break,
                Err(error) => return Err(error.into()),
            }
        }
        tracing::warn!("no channel can be opened any more: the connection is made anew");
        self.socket.shut();
        Err(Failure::Ended)
    }

    /// Returns the heartbeat that both sides agreed on, in seconds; 0 for none.
    pub(super) fn heartbeat(&self) -> u16 {
        self.connection.configuration().heartbeat()
    }

    /// Tells whether it is up.
    pub(super) fn is_up(&self) -> bool {
        self.connection.status().connected()
    }

    async fn end(&self) {
        let close = self.connection.close(200, "OK".into());
        if !matches!(tokio::time::timeout(CLOSE, close).await, Ok(Ok(()))) {
            self.socket.shut();
        }
    }
}

impl Connection {
    /// Makes one that connects on its first use.
    pub(super) fn new(core: Arc<Core>, role: Role) -> Arc<Self> {
        Arc::new(Self {
            core,
            role,
            started: AtomicBool::new(false),
            live: watch::Sender::new(None),
            rebuild: Notify::new(),
        })
    }

    /// Starts connecting, unless that was done.
    pub(super) fn start(self: &Arc<Self>) {
        if !self.started.swap(true, Ordering::AcqRel) {
            self.core.report(
                self.role,
                Phase::Connecting {
                    failures: 0,
                    error: None,
                },
            );
            let this = Arc::clone(self);
            self.core.runtime.spawn(async move { this.run().await });
        }
    }

    /// Tells whether it was ever used.
    pub(super) fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// Returns a view of the connection; `None` while there is none.
    pub(super) fn subscribe(self: &Arc<Self>) -> watch::Receiver<Option<Arc<Live>>> {
        self.start();
        self.live.subscribe()
    }

    /// Waits for a connection that is up.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the broker is closed.
    pub(super) async fn live(self: &Arc<Self>) -> Result<Arc<Live>> {
        let mut live = self.subscribe();
        let mut closed = self.core.runtime.closed();
        tokio::select! {
            biased;
            () = closed.wait() => Err(Error::Closed("broker")),
            found = live.wait_for(|live| live.as_ref().is_some_and(|live| live.is_up())) => {
                found.ok().and_then(|live| live.clone()).ok_or(Error::Closed("broker"))
            }
        }
    }

    /// Throws the present connection away and makes another.
    pub(super) fn rebuild(&self) {
        self.rebuild.notify_one();
    }

    async fn run(&self) {
        let mut failures = 0;
        let mut closed = self.core.runtime.closed();
        loop {
            let begun = Instant::now();
            let error = tokio::select! {
                biased;
                () = closed.wait() => break,
                made = self.connect() => match made {
                    Ok(live) => {
                        let Some(error) = self.hold(Arc::new(live)).await else { break };
                        error
                    }
                    Err(failure) => failure.to_string(),
                },
            };
            failures = if begun.elapsed() >= SETTLED + self.core.config.connection_timeout {
                1
            } else {
                failures + 1
            };
            let wait = self
                .core
                .config
                .backoff
                .wait(failures, super::core::random());
            tracing::warn!(
                broker = %self.core.url, connection = self.role.as_str(), failures, %error,
                retry_in_ms = wait.as_millis() as u64, "broker connection is down",
            );
            self.core
                .stats
                .connection_failures
                .fetch_add(1, Ordering::Relaxed);
            self.core.report(
                self.role,
                Phase::Connecting {
                    failures,
                    error: Some(error),
                },
            );
            tokio::select! {
                biased;
                () = closed.wait() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.core.report(self.role, Phase::Closed);
    }

    /// Connects and declares what is remembered.
    async fn connect(&self) -> Result<Live, Failure> {
        let properties = ConnectionProperties::default()
            .with_client_property("product".into(), "celeriac".into())
            .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
            .with_connection_name(
                format!(
                    "{} ({})",
                    self.core.config.connection_name,
                    self.role.as_str()
                )
                .into(),
            );
        let socket = Socket::default();
        let connecting = socket.connect(&self.core, properties);
        // The socket has its own, shorter deadline; this one is for the talk after it.
        let limit = self.core.config.connection_timeout * 2;
        let connection = tokio::time::timeout(limit, connecting).await??;
        let live = Live { connection, socket };
        declare::restore(&self.core, &live, self.role).await?;
        Ok(live)
    }

    /// Lets others use a connection until it ends; `None` when the broker was closed.
    async fn hold(&self, live: Arc<Live>) -> Option<String> {
        let mut events = std::pin::pin!(live.connection.events_listener());
        let mut closed = self.core.runtime.closed();
        let mut look = tokio::time::interval(LOOK);
        let mut error = None;
        tracing::info!(broker = %self.core.url, connection = self.role.as_str(), "broker connection is up");
        self.core.stats.connections.fetch_add(1, Ordering::Relaxed);
        self.core.report(self.role, Phase::Up);
        self.live.send_replace(Some(Arc::clone(&live)));
        let ended = loop {
            tokio::select! {
                biased;
                () = closed.wait() => break false,
                () = self.rebuild.notified() => {
                    error = Some("made anew because a consumer stalled".to_owned());
                    break true;
                }
                Some(event) = events.next() => match event {
                    Event::ConnectionBlocked(reason) => self.core.report(self.role, Phase::Blocked { reason }),
                    Event::ConnectionUnblocked => self.core.report(self.role, Phase::Up),
                    // Channels' errors come by here as well; who has the channel sees them.
                    Event::Error(said) => error = Some(said.to_string()),
                    _ => {}
                },
                _ = look.tick() => {}
            }
            if !live.is_up() {
                break true;
            }
        };
        self.live.send_replace(None);
        if !ended {
            self.core.quiet().await;
        }
        live.end().await;
        ended.then(|| error.unwrap_or_else(|| "the connection ended".to_owned()))
    }
}
