//! The connection for commands, made again when it is lost.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, ServerErrorKind};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::options::RedisOptions;
use crate::error::{Error, Result};

/// What errors call the server.
pub(super) const WHAT: &str = "result backend";

/// One connection that all commands share.
///
/// ```text
/// absent --command--> connected --lost--> absent --command--> connected ...
///    |                                      |
///    +--failed--> resting (0.1 to 5 s: commands fail at once) --> absent
/// ```
///
/// It is made when a command needs it, so a server that is away costs a waiting
/// process nothing, and the first command after it is back finds it.
#[derive(Debug)]
pub(super) struct Link {
    client: redis::Client,
    config: AsyncConnectionConfig,
    response_timeout: Duration,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that nobody drops a newer one for an older one's fault.
    epoch: u64,
    failures: u32,
    resting: Option<(Instant, RedisError)>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(client: redis::Client, options: &RedisOptions) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.connection_timeout))
            .set_response_timeout(Some(options.response_timeout));
        let response_timeout = options.response_timeout;
        Self {
            client,
            config,
            response_timeout,
            slot: Mutex::default(),
        }
    }

    /// Runs a command that may run twice: it is tried once more on a new connection
    /// when the old one turns out to be dead.
    pub(super) async fn run<T, F>(&self, command: impl Fn(MultiplexedConnection) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let mut again = true;
        loop {
            let (connection, epoch, fresh) = self
                .connection()
                .await
                .map_err(|error| self.explain(&error))?;
            let error = match command(connection).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let lost = is_lost(&error);
            if lost {
                self.forget(epoch).await;
            }
            // Another wait as long would keep the caller for twice the deadline.
            if !lost || fresh || !again || error.is_timeout() {
                return Err(self.explain(&error));
            }
            again = false;
        }
    }

    async fn connection(&self) -> Result<(MultiplexedConnection, u64, bool), RedisError> {
        let mut slot = self.slot.lock().await;
        if let Some(connection) = &slot.connection {
            return Ok((connection.clone(), slot.epoch, false));
        }
        if let Some((_, error)) = slot
            .resting
            .as_ref()
            .filter(|(until, _)| *until > Instant::now())
        {
            return Err(error.clone());
        }
        match self
            .client
            .get_multiplexed_async_connection_with_config(&self.config)
            .await
        {
            Ok(connection) => {
                slot.epoch += 1;
                slot.failures = 0;
                slot.resting = None;
                slot.connection = Some(connection.clone());
                tracing::info!(epoch = slot.epoch, "connected to the result backend");
                Ok((connection, slot.epoch, true))
            }
            Err(error) => {
                slot.failures += 1;
                slot.resting = Some((Instant::now() + rest(slot.failures), error.clone()));
                tracing::warn!(failures = slot.failures, %error, "result backend is out of reach");
                Err(error)
            }
        }
    }

    async fn forget(&self, epoch: u64) {
        let mut slot = self.slot.lock().await;
        if slot.epoch == epoch {
            slot.connection = None;
        }
    }

    pub(super) async fn close(&self) {
        self.slot.lock().await.connection = None;
    }

    /// Says who must act.
    pub(super) fn explain(&self, error: &RedisError) -> Error {
        if error.is_timeout() {
            return Error::Timeout {
                what: WHAT.to_owned(),
                after: self.response_timeout,
            };
        }
        if is_lost(error) || is_passing(error) {
            return Error::unavailable(WHAT, error.clone());
        }
        Error::Refused {
            what: WHAT.to_owned(),
            reason: error.to_string(),
        }
    }
}

/// Tells whether the connection is of no more use.
fn is_lost(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_unrecoverable_error() && error.kind() != ErrorKind::AuthenticationFailed
}

/// Tells whether the server will answer otherwise in a while.
fn is_passing(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly, TryAgain};
    match error.kind() {
        ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | ReadOnly | TryAgain) => true,
        // What expires makes room, and disks and replicas come back.
        _ => matches!(error.code(), Some("OOM" | "MISCONF" | "NOREPLICAS")),
    }
}

/// Returns how long to rest after so many failures in a row: 0.1 s, doubled up to 5 s,
/// less a random part so that not all come back at once.
pub(super) fn rest(failures: u32) -> Duration {
    let longest = Duration::from_millis(100 << failures.saturating_sub(1).min(6));
    let longest = longest.min(Duration::from_secs(5));
    let random = uuid::Uuid::new_v4().as_bytes()[0];
    longest.mul_f64(1.0 - f64::from(random) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_takes_no_writes_now_takes_them_later() {
        for (code, passing) in [
            ("MISCONF", true),
            ("NOREPLICAS", true),
            ("OOM", true),
            ("NOPERM", false),
            ("WRONGTYPE", false),
        ] {
            let error = redis::make_extension_error(code.to_owned(), None);
            assert_eq!(is_passing(&error), passing, "{code}");
        }
    }
}
