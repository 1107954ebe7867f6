//! What an operator sets of a node.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use celeriac::protocol::naming::{self, defaults};
use celeriac::{Error, Result};

use crate::isolation::Isolation;

/// What an operator sets of a node. Complete before anything starts; [`Config::check`]
/// says what cannot work.
///
/// # Example
///
/// ```
/// use celeriac_node::Config;
///
/// let config = Config { queues: vec!["mail".into()], concurrency: 4, ..Config::default() };
/// assert!(config.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The node's name, which must be its own in the cluster. Default `celeriac@<host>`.
    pub name: String,
    /// The queues it takes tasks from. Default `celery`.
    pub queues: Vec<String>,
    /// Whether it takes tasks also from a queue that leads to it alone,
    /// [`TaskQueue::of_node`](celeriac::routing::TaskQueue::of_node). Default false.
    pub worker_direct: bool,
    /// How many tasks run at once. Default 8 per core: tasks mostly wait.
    pub concurrency: usize,
    /// How many threads run blocking tasks. Default `None`: as many as `concurrency`,
    /// 512 at most.
    pub blocking_threads: Option<usize>,
    /// How many messages are taken ahead of their run. Default 4 per place to run.
    pub prefetch: Prefetch,
    /// How long running tasks may go on after the first signal. Default 30 s.
    pub drain_deadline: Duration,
    /// How long after the drain deadline the node has ended at the latest, whatever is away:
    /// what still runs is cancelled and given back, outcomes and events are delivered. What
    /// cannot be delivered in this time is left with the broker, and runs again. Default 5 s.
    pub end_within: Duration,
    /// How long a task that was asked to stop may go on before it is stopped: after its
    /// soft limit when it has no hard one, after a terminating revoke, after the drain
    /// deadline (two fifths of [`Config::end_within`] at most). Default 2 s.
    pub cancel_grace: Duration,
    /// The soft time limit of tasks that have none of their own. Default none.
    pub default_soft_time_limit: Option<Duration>,
    /// The hard time limit of tasks that have none of their own. Default none.
    pub default_time_limit: Option<Duration>,
    /// Whether task events are sent from the start, as Celery's `-E`. Default false;
    /// remote control turns them on and off.
    pub events: bool,
    /// How often a heartbeat is sent. Default 2 s.
    pub heartbeat: Duration,
    /// Where health and metrics are served. Default nowhere.
    pub http: Option<SocketAddr>,
    /// A task that is due within this waits in memory, unacknowledged; a later one is
    /// parked in the broker. Default 1 s, which is the least.
    pub hold: Duration,
    /// Which messages go to the queue `<queue>.dead`, which is declared for them, when
    /// they end badly. Default those of tasks that failed, and what nobody can run.
    pub dead_letters: DeadLetters,
    /// A message that a quorum queue delivered so often, without an end, is put away as
    /// a dead letter in place of another try. Default 16: below 20, at which RabbitMQ 4
    /// drops it. `None` sets no limit.
    pub max_deliveries: Option<u32>,
    /// The largest body that is taken, in bytes, as it travels and decompressed.
    /// Default 16 MiB.
    pub max_body: usize,
    /// Whether it runs the tasks that every Celery worker has, such as `celery.map` and
    /// `celery.chord_unlock`; an app's own task of such a name goes first. Default true.
    pub builtin_tasks: bool,
    /// A file in which revocations survive a restart; `%n`, `%h`, `%d` and `%p` stand for
    /// parts of the node's name, as with Celery. Default none: they live in memory.
    pub state_db: Option<PathBuf>,
    /// Bounds between which the number of places follows the load, in place of
    /// `concurrency`. Default none.
    pub autoscale: Option<Autoscale>,
    /// Whether remote control may restart the pool. Default false.
    pub pool_restarts: bool,
    /// The processes of isolated tasks.
    pub isolation: Isolation,
}

/// Which messages are kept as dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum DeadLetters {
    /// None: what nobody can run is rejected plainly, and lost unless its queue has a
    /// dead-letter exchange of its own.
    None,
    /// What nobody can run: unreadable, unknown, refused or deadly messages.
    Undecodable,
    /// Those, and the messages of tasks that failed for good.
    #[default]
    Failed,
}

impl DeadLetters {
    /// Tells whether any are kept.
    pub(crate) const fn any(self) -> bool {
        !matches!(self, Self::None)
    }
}

/// Reads `none`, `undecodable` or `failed`.
impl std::str::FromStr for DeadLetters {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "none" => Ok(Self::None),
            "undecodable" => Ok(Self::Undecodable),
            "failed" => Ok(Self::Failed),
            _ => Err(Error::invalid(
                "dead letters",
                "none, undecodable or failed",
                text,
            )),
        }
    }
}

/// Bounds of the number of places to run.
///
/// A node starts with the fewest, has as many as tasks run or wait for one as soon as
/// they do, and takes places away when fewer did for 30 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Autoscale {
    /// The most places.
    pub max: usize,
    /// The fewest; the last place stays also when it is 0.
    pub min: usize,
}

/// How many messages are taken ahead of their run.
///
/// With [`Autoscale`] the places are those of its maximum, however many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefetch {
    /// So many per place to run, over all queues; each queue may fill every place.
    Multiplier(u16),
    /// So many over all queues, at least one for each. No more tasks than that run at
    /// once that are acknowledged after they ran, however many places there are.
    Absolute(u16),
}

/// No more threads than this are started for blocking tasks unless asked for.
pub(crate) const MAX_DEFAULT_THREADS: usize = 512;

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            name: format!("celeriac@{}", celeriac::host::name()),
            queues: vec![naming::DEFAULT_QUEUE.to_owned()],
            worker_direct: false,
            concurrency: 8 * cores,
            blocking_threads: None,
            prefetch: Prefetch::Multiplier(4),
            drain_deadline: Duration::from_secs(30),
            end_within: Duration::from_secs(5),
            cancel_grace: Duration::from_secs(2),
            default_soft_time_limit: None,
            default_time_limit: None,
            events: false,
            heartbeat: defaults::HEARTBEAT,
            http: None,
            hold: Duration::from_secs(1),
            dead_letters: DeadLetters::default(),
            max_deliveries: Some(16),
            max_body: 16 << 20,
            builtin_tasks: true,
            state_db: None,
            autoscale: None,
            pool_restarts: false,
            isolation: Isolation::default(),
        }
    }
}

impl Config {
    /// Checks what can be checked without a broker.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for the first field that cannot work.
    pub fn check(&self) -> Result<()> {
        let need = |good: bool, what: &str, expected: &str, found: String| {
            if good {
                Ok(())
            } else {
                Err(Error::invalid(what, expected, found))
            }
        };
        need(
            is_name(&self.name),
            "node name",
            "<name>@<host> without spaces",
            self.name.clone(),
        )?;
        need(
            !self.queues.is_empty(),
            "queues",
            "at least one",
            "none".to_owned(),
        )?;
        for (at, queue) in self.queues.iter().enumerate() {
            // AMQP carries names with a length of one byte.
            let fits = !queue.is_empty() && queue.len() <= 250;
            need(
                fits,
                "queue",
                "a name of 1 to 250 bytes",
                format!("{queue:?}"),
            )?;
            let twice = self.queues[..at].contains(queue);
            need(
                !twice,
                "queues",
                "each queue once",
                format!("{queue} twice"),
            )?;
        }
        let places = (1..=100_000).contains(&self.concurrency);
        need(
            places,
            "concurrency",
            "1 to 100000",
            self.concurrency.to_string(),
        )?;
        if let Some(Autoscale { max, min }) = self.autoscale {
            let bounds = (1..=100_000).contains(&max) && min <= max;
            let expected = "a maximum of 1 to 100000 and a minimum not above it";
            need(bounds, "autoscale", expected, format!("{max},{min}"))?;
        }
        if let Some(threads) = self.blocking_threads {
            let some = (1..=10_000).contains(&threads);
            need(some, "blocking threads", "1 to 10000", threads.to_string())?;
        }
        let (Prefetch::Multiplier(ahead) | Prefetch::Absolute(ahead)) = self.prefetch;
        // 0 is "no limit" to AMQP, which is how workers run out of memory.
        need(ahead > 0, "prefetch", "at least 1", ahead.to_string())?;
        if let (Some(soft), Some(hard)) = (self.default_soft_time_limit, self.default_time_limit) {
            let found = format!("{soft:?} and {hard:?}");
            need(
                soft < hard,
                "time limits",
                "a soft limit below the hard one",
                found,
            )?;
        }
        for limit in [self.default_soft_time_limit, self.default_time_limit]
            .into_iter()
            .flatten()
        {
            need(
                !limit.is_zero(),
                "time limit",
                "more than 0 s",
                "0 s".to_owned(),
            )?;
        }
        let beats =
            (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&self.heartbeat);
        need(
            beats,
            "heartbeat",
            "0.1 s to 1 h",
            format!("{:?}", self.heartbeat),
        )?;
        // The broker's delays have whole seconds: what waits for less and may not wait
        // here would go round without one.
        let holds = (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&self.hold);
        need(holds, "hold", "1 s to 1 h", format!("{:?}", self.hold))?;
        let ends =
            (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&self.end_within);
        need(
            ends,
            "end within",
            "0.1 s to 1 h",
            format!("{:?}", self.end_within),
        )?;
        let deliveries = self.max_deliveries.unwrap_or(1);
        need(
            deliveries > 0,
            "max deliveries",
            "at least 1",
            deliveries.to_string(),
        )?;
        need(
            self.max_body > 0,
            "max body",
            "more than 0 bytes",
            "0".to_owned(),
        )?;
        self.isolation.check()
    }

    /// Returns how many places there are at the start.
    pub(crate) fn places(&self) -> usize {
        self.autoscale
            .map_or(self.concurrency, |bounds| bounds.min.max(1))
    }

    /// Returns how many places the load alone may bring.
    fn most_places(&self) -> usize {
        self.autoscale.map_or(self.concurrency, |bounds| bounds.max)
    }

    /// Returns how many threads run blocking tasks.
    pub(crate) fn threads(&self) -> usize {
        self.blocking_threads
            .unwrap_or(self.most_places().min(MAX_DEFAULT_THREADS))
    }
}

impl Prefetch {
    /// Returns the prefetch of each of `queues` queues with `places` places to run.
    pub(crate) fn per_queue(self, places: usize, queues: usize) -> u16 {
        let queues = queues.max(1);
        let share = match self {
            // One busy queue among idle ones must be able to fill every place.
            Self::Multiplier(ahead) => (places.saturating_mul(ahead.into()))
                .div_ceil(queues)
                .max(places),
            Self::Absolute(total) => usize::from(total) / queues,
        };
        u16::try_from(share.max(1)).unwrap_or(u16::MAX)
    }
}

fn is_name(name: &str) -> bool {
    let parts = name.split_once('@');
    parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
        && name.len() <= 200
        && !name.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_fine() {
        Config::default().check().unwrap();
    }

    #[test]
    fn what_cannot_work_is_told() {
        let config = Config::default;
        for (bad, text) in [
            (
                Config {
                    name: "node".into(),
                    ..config()
                },
                "node name: expected",
            ),
            (
                Config {
                    name: "a b@c".into(),
                    ..config()
                },
                "node name: expected",
            ),
            (
                Config {
                    queues: vec![],
                    ..config()
                },
                "queues: expected at least one, found none",
            ),
            (
                Config {
                    queues: vec!["a".into(), "a".into()],
                    ..config()
                },
                "found a twice",
            ),
            (
                Config {
                    queues: vec![String::new()],
                    ..config()
                },
                "queue: expected",
            ),
            (
                Config {
                    concurrency: 0,
                    ..config()
                },
                "concurrency: expected 1 to 100000, found 0",
            ),
            (
                Config {
                    autoscale: Some(Autoscale { max: 2, min: 3 }),
                    ..config()
                },
                "autoscale: expected a maximum of 1 to 100000 and a minimum not above it, found 2,3",
            ),
            (
                Config {
                    blocking_threads: Some(0),
                    ..config()
                },
                "blocking threads: expected",
            ),
            (
                Config {
                    prefetch: Prefetch::Absolute(0),
                    ..config()
                },
                "prefetch: expected",
            ),
            (
                Config {
                    heartbeat: Duration::ZERO,
                    ..config()
                },
                "heartbeat: expected",
            ),
            (
                Config {
                    hold: Duration::from_millis(999),
                    ..config()
                },
                "hold: expected 1 s to 1 h, found 999ms",
            ),
            (
                Config {
                    max_body: 0,
                    ..config()
                },
                "max body: expected",
            ),
            (
                Config {
                    default_soft_time_limit: Some(Duration::from_secs(5)),
                    default_time_limit: Some(Duration::from_secs(5)),
                    ..config()
                },
                "time limits: expected a soft limit below the hard one, found 5s and 5s",
            ),
        ] {
            let error = bad.check().unwrap_err().to_string();
            assert!(error.contains(text), "{error} lacks {text}");
        }
    }

    #[test]
    fn prefetch_is_shared_by_the_queues() {
        for (prefetch, places, queues, each) in [
            (Prefetch::Multiplier(4), 16, 1, 64),
            (Prefetch::Multiplier(4), 16, 2, 32),
            (Prefetch::Multiplier(4), 16, 16, 16),
            (Prefetch::Multiplier(1), 1, 5, 1),
            (Prefetch::Multiplier(100), 100_000, 1, u16::MAX),
            (Prefetch::Absolute(10), 16, 3, 3),
            (Prefetch::Absolute(1), 16, 3, 1),
        ] {
            assert_eq!(prefetch.per_queue(places, queues), each, "{prefetch:?}");
        }
    }
}
