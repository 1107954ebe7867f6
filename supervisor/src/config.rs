//! The settings of a supervisor.

mod check;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::access::{Access, Redaction};
use crate::error::Error;
use crate::kubernetes::Selector;
use crate::leader::LeaderElection;
use crate::management::Address;
use crate::recorder::Limits;
use crate::store::{Place, StoreError};

/// The settings of a supervisor, complete before anything starts.
#[derive(Clone)]
pub struct Config {
    /// Where to serve HTTP. Port 0 takes a free one, told through
    /// [`Supervisor::on_ready`](crate::Supervisor::on_ready). Default `127.0.0.1:9595`.
    pub listen: SocketAddr,
    /// The secret of an admin, that clients show as `Authorization: Bearer <token>`, or as the
    /// password of HTTP Basic, which is how browsers ask for one. At least 16
    /// characters. Default none.
    ///
    /// The probes `/livez`, `/readyz` and `/startupz` never ask for it.
    pub token: Option<String>,
    /// Who may ask, and with which role. Default: this machine alone, as admin.
    pub access: Access,
    /// What is hidden of arguments and results. Default: the values of keywords such as
    /// `password` and `token`.
    pub redaction: Redaction,
    /// Where to serve KEDA's external scaler, gRPC without TLS and without a token: it tells
    /// how many tasks queues and nodes have, and nothing else. Default none.
    pub scaler_listen: Option<SocketAddr>,
    /// Serves everybody on an address that is not loopback, without a token. Default
    /// false: whoever reaches the port could send tasks.
    pub allow_anonymous: bool,
    /// Where tasks, schedules, dead letters and the audit log are kept: `memory:`, the path
    /// of an SQLite file, `sqlite:PATH`, or `postgres://user:password@host/database`.
    /// Default `memory:`, which is gone when the process ends.
    pub store: String,
    /// How a leader is elected among several supervisors: it alone sends the ticks of
    /// schedules. Default [`LeaderElection::Auto`].
    pub leader_election: LeaderElection,
    /// The name of the Lease of Kubernetes that elects the leader; its service account needs
    /// the verbs get, create and update on `leases`. Default none.
    pub lease: Option<String>,
    /// The namespace of that Lease. Default the pod's.
    pub lease_namespace: Option<String>,
    /// How long others leave a Lease to a holder that renews it no more: whole seconds from
    /// 2 to 3600. A holder renews it four times in that, and leads no more after two thirds
    /// of it without. Default 3 s, with which ticks go on within 5 s of a leader's death.
    pub lease_duration: Duration,
    /// Which pods of Kubernetes run nodes, as a label selector in the namespace of this pod,
    /// such as `app.kubernetes.io/name=celeriac,app.kubernetes.io/component=node`. The leading
    /// supervisor then keeps their `controller.kubernetes.io/pod-deletion-cost`, so that a
    /// Deployment that shrinks takes idle nodes first, and all show the replicas of their
    /// Deployments. The service account needs the verbs list and patch on `pods`, and list on
    /// `deployments`. Default none, which is off.
    pub node_pods: Option<String>,
    /// The folder of the service account of this pod: `token`, `ca.crt` and `namespace`. Default
    /// `/var/run/secrets/kubernetes.io/serviceaccount`.
    pub service_account: Option<PathBuf>,
    /// How this supervisor is called among others. Default a name of its own, with its host
    /// and process.
    pub name: Option<String>,
    /// Where people and other supervisors reach this one, such as `http://control-1:9595`.
    /// Default the address that it listens on, unless that is loopback.
    pub url: Option<String>,
    /// Serves HTTP. Default true; without, it only watches and sends ticks.
    pub serve: bool,
    /// How many tasks are kept in memory, where events are put together and that pages
    /// show live; the oldest go first. Default 10,000.
    pub history: usize,
    /// How long tasks are kept in the store. Default 7 days.
    pub history_max_age: Duration,
    /// How many tasks are kept in the store; the oldest go first. Default 1,000,000; a
    /// store in memory keeps 20,000 at most. With 0 there is no history: those that are
    /// stored are forgotten, and the tasks in memory are all that is known.
    pub history_max_tasks: u64,
    /// How many nodes are tracked; further ones are counted and left out. Default 5,000.
    pub max_nodes: usize,
    /// How many of its own heartbeats a node may be silent for, without an answer to pings,
    /// before it counts as lost; 2 to 100. Default 3.
    pub lost_beats: u32,
    /// How long a node that is lost or offline stays listed. Default 1 h.
    pub forget_after: Duration,
    /// Queues to watch from the start; those that nodes and events name are added.
    /// Default `celery`.
    pub queues: Vec<String>,
    /// Queues that hold dead letters beside `<queue>.dead` of each known queue, such as one
    /// behind a dead-letter exchange of the broker's. Default none.
    pub dead_letter_queues: Vec<String>,
    /// How many dead letters are kept; those that somebody dealt with go first, then the
    /// oldest. Default 100,000.
    pub letters: usize,
    /// How long dead letters are kept. Default 90 days.
    pub letters_for: Duration,
    /// The largest body of a dead letter that is kept, in bytes; of a larger one all else
    /// is, and it cannot be sent again. Default 16 MiB.
    pub letter_body: usize,
    /// A task whose node ended so often while it ran is put away as a dead letter when it
    /// is delivered again; 0 is never. Default 3.
    pub crash_limit: u32,
    /// Tells each node that joins to send task events: Celery's workers send none unless
    /// they were started with `-E`. Default true.
    pub enable_events: bool,
    /// How often the queues' depths are read. Default 5 s.
    pub queue_interval: Duration,
    /// Where RabbitMQ's management API is, asked with each reading for what AMQP does not
    /// tell of queues: `http://user:password@host:15672`. The virtual host is that of the
    /// broker's URL. Default none.
    pub management_url: Option<String>,
    /// How long the broker may take to answer one question. Default 5 s.
    pub broker_timeout: Duration,
    /// How long one HTTP request may take, waits for results aside. Default 10 s.
    pub request_timeout: Duration,
    /// The longest `wait_ms` that a request may ask for. Default 60 s.
    pub max_wait: Duration,
    /// How many HTTP connections may be open. Default 512.
    pub max_connections: usize,
    /// How long a loop may stand still before `/livez` fails. Default 8 s, so that it is
    /// noticed within 10 s.
    pub stall_after: Duration,
    /// How long a stop may take in all: open requests have four fifths of it, then the
    /// history is stored. Default 12 s.
    pub stop_timeout: Duration,
}

/// How many tasks a store in memory keeps: about 20 MB.
const MEMORY_TASKS: u64 = 20_000;

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9595)),
            scaler_listen: None,
            token: None,
            access: Access::default(),
            redaction: Redaction::default(),
            allow_anonymous: false,
            store: "memory:".to_owned(),
            leader_election: LeaderElection::default(),
            lease: None,
            lease_namespace: None,
            lease_duration: Duration::from_secs(3),
            node_pods: None,
            service_account: None,
            name: None,
            url: None,
            serve: true,
            history: 10_000,
            history_max_age: Duration::from_secs(7 * 86_400),
            history_max_tasks: 1_000_000,
            max_nodes: 5_000,
            lost_beats: 3,
            forget_after: Duration::from_secs(3_600),
            queues: vec![celeriac_protocol::naming::DEFAULT_QUEUE.to_owned()],
            dead_letter_queues: Vec::new(),
            letters: 100_000,
            letters_for: Duration::from_secs(90 * 86_400),
            letter_body: 16 << 20,
            crash_limit: 3,
            enable_events: true,
            queue_interval: Duration::from_secs(5),
            management_url: None,
            broker_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            max_wait: Duration::from_secs(60),
            max_connections: 512,
            stall_after: celeriac::health::STALL,
            stop_timeout: Duration::from_secs(12),
        }
    }
}

impl Config {
    /// How long open requests may take once the process ends; the rest of the stop's time
    /// is for what they leave to be stored.
    pub(crate) fn requests_end_within(&self) -> Duration {
        self.stop_timeout * 4 / 5
    }

    /// Returns which pods run nodes.
    pub(crate) fn node_selector(&self) -> Result<Option<Selector>, Error> {
        let Some(text) = &self.node_pods else {
            return Ok(None);
        };
        let expected = "a label selector such as app.kubernetes.io/component=node";
        let selector = text.parse::<Selector>();
        let selector = selector.map_err(|found| Error::config("node_pods", expected, found));
        selector.map(Some)
    }

    pub(crate) fn history_limits(&self, place: &Place) -> Limits {
        let most = match place {
            Place::Memory => MEMORY_TASKS,
            Place::Sqlite(_) | Place::Postgres(_) => u64::MAX,
        };
        Limits {
            age: self.history_max_age,
            tasks: self.history_max_tasks.min(most),
        }
    }

    pub(crate) fn management(&self) -> Result<Option<Address>, Error> {
        self.management_url
            .as_deref()
            .map(Address::parse)
            .transpose()
    }

    pub(crate) fn place(&self) -> Result<Place, Error> {
        self.store.parse().map_err(|error| match error {
            StoreError::Place { expected, found } => Error::config("store", expected, found),
            other => Error::config("store", "a usable place", other),
        })
    }
}

/// Shows everything but the token and the passwords.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("scaler_listen", &self.scaler_listen)
            .field("token", &self.token.as_ref().map(|_| "**"))
            .field("access", &self.access)
            .field("redaction", &self.redaction)
            .field("allow_anonymous", &self.allow_anonymous)
            .field("store", &self.place())
            .field("leader_election", &self.leader_election)
            .field("lease", &self.lease)
            .field("lease_namespace", &self.lease_namespace)
            .field("lease_duration", &self.lease_duration)
            .field("node_pods", &self.node_pods)
            .field("service_account", &self.service_account)
            .field("name", &self.name)
            .field("url", &self.url)
            .field("serve", &self.serve)
            .field("history", &self.history)
            .field("history_max_age", &self.history_max_age)
            .field("history_max_tasks", &self.history_max_tasks)
            .field("max_nodes", &self.max_nodes)
            .field("lost_beats", &self.lost_beats)
            .field("forget_after", &self.forget_after)
            .field("queues", &self.queues)
            .field("dead_letter_queues", &self.dead_letter_queues)
            .field("letters", &self.letters)
            .field("letters_for", &self.letters_for)
            .field("letter_body", &self.letter_body)
            .field("crash_limit", &self.crash_limit)
            .field("enable_events", &self.enable_events)
            .field("queue_interval", &self.queue_interval)
            .field(
                "management_url",
                &self.management_url.as_ref().map(|_| "**"),
            )
            .field("broker_timeout", &self.broker_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("max_wait", &self.max_wait)
            .field("max_connections", &self.max_connections)
            .field("stall_after", &self.stall_after)
            .field("stop_timeout", &self.stop_timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_default_is_usable_and_local() {
        let config = Config::default();
        config.check().unwrap();
        assert!(config.listen.ip().is_loopback());
    }

    #[test]
    fn an_open_address_needs_a_token_or_a_decision() {
        let open = Config {
            listen: ([0, 0, 0, 0], 9595).into(),
            ..Config::default()
        };
        assert!(
            open.check()
                .unwrap_err()
                .to_string()
                .starts_with("listen: expected a loopback")
        );
        Config {
            allow_anonymous: true,
            ..open.clone()
        }
        .check()
        .unwrap();
        Config {
            token: Some("0123456789abcdef".into()),
            ..open.clone()
        }
        .check()
        .unwrap();
        assert!(
            Config {
                token: Some("short".into()),
                ..open.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            Config {
                token: Some("0123456789 abcdef".into()),
                ..open
            }
            .check()
            .is_err()
        );
    }

    #[test]
    fn the_token_is_not_shown() {
        let config = Config {
            token: Some("0123456789abcdef".into()),
            management_url: Some("http://guest:0123456789abcdef@host:15672".into()),
            ..Config::default()
        };
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn each_bad_setting_is_named() {
        let cases = [
            (
                "history",
                Config {
                    history: 0,
                    ..Config::default()
                },
            ),
            (
                "lost_beats",
                Config {
                    lost_beats: 1,
                    ..Config::default()
                },
            ),
            (
                "lease",
                Config {
                    leader_election: LeaderElection::Lease,
                    ..Config::default()
                },
            ),
            (
                "lease",
                Config {
                    lease: Some("Beat".to_owned()),
                    ..Config::default()
                },
            ),
            (
                "lease_namespace",
                Config {
                    lease_namespace: Some("a/b".to_owned()),
                    ..Config::default()
                },
            ),
            (
                "lease_duration",
                Config {
                    lease_duration: Duration::from_millis(2_500),
                    ..Config::default()
                },
            ),
            (
                "node_pods",
                Config {
                    node_pods: Some("app in node".to_owned()),
                    ..Config::default()
                },
            ),
            (
                "stall_after",
                Config {
                    stall_after: Duration::from_secs(1),
                    ..Config::default()
                },
            ),
            (
                "history_max_age",
                Config {
                    history_max_age: Duration::from_secs(1),
                    ..Config::default()
                },
            ),
            (
                "history_max_tasks",
                Config {
                    history_max_tasks: 1_000_000_001,
                    ..Config::default()
                },
            ),
            (
                "store",
                Config {
                    store: "mysql://host/db".into(),
                    ..Config::default()
                },
            ),
            (
                "management_url",
                Config {
                    management_url: Some("host:15672".into()),
                    ..Config::default()
                },
            ),
            (
                "queues",
                Config {
                    queues: vec![String::new()],
                    ..Config::default()
                },
            ),
        ];
        for (setting, config) in cases {
            assert!(
                config.check().unwrap_err().to_string().starts_with(setting),
                "{setting}"
            );
        }
    }
}
