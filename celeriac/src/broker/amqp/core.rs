//! What all parts of one broker share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::uri::AMQPUri;
use tokio::sync::watch;

use super::Config;
use super::runtime::Runtime;
use super::stats::Counters;
use super::topology::Remembered;
use crate::broker::Link;

/// What all parts of one broker share.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) config: Config,
    pub(super) uri: AMQPUri,
    /// The URL without its password.
    pub(super) url: String,
    pub(super) runtime: Runtime,
    remembered: Mutex<Remembered>,
    pub(super) stats: Counters,
    pub(super) link: watch::Sender<Link>,
    phases: Mutex<[Phase; 2]>,
    epochs: AtomicU64,
    /// How many are busy with what must be sent before the connections close.
    busy: watch::Sender<usize>,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Publishing,
    Consuming,
}

impl Role {
    /// Returns the word for logs and for the server's tools.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Publishing => "publishing",
            Self::Consuming => "consuming",
        }
    }
}

/// Where a connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Connecting {
        failures: u32,
        error: Option<String>,
    },
    Up,
    Blocked {
        reason: String,
    },
    Closed,
}

impl Core {
    pub(super) fn new(config: Config, uri: AMQPUri, url: String, runtime: Runtime) -> Self {
        Self {
            config,
            uri,
            url,
            runtime,
            remembered: Mutex::default(),
            stats: Counters::default(),
            link: watch::Sender::new(Link::Connecting {
                failures: 0,
                error: None,
            }),
            phases: Mutex::new([Phase::Idle, Phase::Idle]),
            epochs: AtomicU64::new(0),
            busy: watch::Sender::new(0),
        }
    }

    /// Returns a number that no channel had before.
    pub(super) fn next_epoch(&self) -> u64 {
        self.epochs.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns what was declared here.
    pub(super) fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where a connection stands.
    pub(super) fn report(&self, role: Role, phase: Phase) {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        phases[role as usize] = phase;
        let server = || {
            format!(
                "AMQP 0-9-1 at {}:{}",
                self.uri.authority.host, self.uri.authority.port
            )
        };
        let link = link_of(
            &phases[..],
            self.stats.connections.load(Ordering::Relaxed),
            server,
        );
        self.link.send_if_modified(|old| {
            let changed = *old != link;
            *old = link;
            changed
        });
    }

    /// Notes that the broker is closed, whatever the connections got to say.
    pub(super) fn closed(&self) {
        self.report(Role::Publishing, Phase::Closed);
    }

    /// Holds connections open while something must still be sent on them.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.busy.send_modify(|count| *count += 1);
        Busy(self)
    }

    /// Waits until nothing more must be sent, but not for long.
    pub(super) async fn quiet(&self) {
        let mut busy = self.busy.subscribe();
        let _ =
            tokio::time::timeout(Duration::from_secs(1), busy.wait_for(|&count| count == 0)).await;
    }
}

/// See [`Core::busy`].
pub(super) struct Busy<'a>(&'a Core);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.send_modify(|count| *count -= 1);
    }
}

/// Sums up what the connections say: the worst of those that are in use.
fn link_of(phases: &[Phase], epoch: u64, server: impl FnOnce() -> String) -> Link {
    let mut blocked = None;
    let mut up = false;
    for phase in phases {
        match phase {
            Phase::Closed => return Link::Closed,
            Phase::Connecting { failures, error } => {
                return Link::Connecting {
                    failures: *failures,
                    error: error.clone(),
                };
            }
            Phase::Blocked { reason } => blocked = Some(reason),
            Phase::Up => up = true,
            Phase::Idle => {}
        }
    }
    match blocked {
        Some(reason) => Link::Blocked {
            reason: reason.clone(),
        },
        None if up => Link::Up {
            epoch,
            server: server(),
        },
        None => Link::Connecting {
            failures: 0,
            error: None,
        },
    }
}

/// Returns a random number, for jitter.
pub(super) fn random() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_as_bad_as_its_worst_connection() {
        let link = |a: Phase, b: Phase| link_of(&[a, b], 3, || "s".to_owned());
        let connecting = Phase::Connecting {
            failures: 2,
            error: None,
        };
        let blocked = Phase::Blocked {
            reason: "low on memory".to_owned(),
        };
        assert!(link(Phase::Up, Phase::Idle).is_up());
        assert!(link(Phase::Up, Phase::Up).is_up());
        assert_eq!(
            link(Phase::Up, connecting),
            Link::Connecting {
                failures: 2,
                error: None
            }
        );
        assert_eq!(
            link(blocked, Phase::Up),
            Link::Blocked {
                reason: "low on memory".to_owned()
            }
        );
        assert_eq!(link(Phase::Up, Phase::Closed), Link::Closed);
        assert_eq!(
            link(Phase::Idle, Phase::Idle),
            Link::Connecting {
                failures: 0,
                error: None
            }
        );
    }
}
