//! Who leads among several supervisors: by a lock of the broker, by a Lease of Kubernetes,
//! or everybody.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use celeriac::App;
use celeriac::broker::{BoxFuture, Lock};

use crate::config::Config;
use crate::error::Error;
use crate::kubernetes::Cluster;

mod lease;

use self::lease::ByLease;

/// How a leader is elected among several supervisors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LeaderElection {
    /// By the Lease [`Config::lease`], if it is named and this process runs in a pod of
    /// Kubernetes; else by the broker; by nobody with one that gives out no locks and that
    /// no other process can reach.
    #[default]
    Auto,
    /// By a lock of the broker: the queue `celeriac.leader`.
    Broker,
    /// By the Lease [`Config::lease`] of Kubernetes, which only a pod can hold.
    Lease,
    /// Not at all: this one leads. For one supervisor only; two would send everything twice.
    None,
}

impl fmt::Display for LeaderElection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Broker => "broker",
            Self::Lease => "lease",
            Self::None => "none",
        })
    }
}

impl FromStr for LeaderElection {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let all = [Self::Auto, Self::Broker, Self::Lease, Self::None];
        let found = all.into_iter().find(|one| one.to_string() == text);
        found.ok_or_else(|| Error::config("leader_election", "auto, broker, lease or none", text))
    }
}

/// Elects a leader. Who is elected leads for as long as it holds the lock.
pub(crate) trait Election: fmt::Debug + Send + Sync {
    /// Returns what kind of election it is.
    fn kind(&self) -> &'static str;

    /// Stands for election once; `None` when somebody else leads.
    fn stand(&self) -> BoxFuture<'_, Result<Option<Elected>, String>>;

    /// Lets the next one lead at once, after every lock was dropped.
    fn resign(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// One time of leading.
pub(crate) struct Elected {
    /// Held for as long as it lasts.
    pub(crate) lock: Arc<dyn Lock>,
    /// What its term is at least; 0 when the election knows no terms.
    pub(crate) least: u64,
}

impl From<Arc<dyn Lock>> for Elected {
    fn from(lock: Arc<dyn Lock>) -> Self {
        Self { lock, least: 0 }
    }
}

/// Everybody leads.
#[derive(Debug)]
struct Alone;

/// Who has a lock of the broker leads.
#[derive(Debug)]
struct ByBroker(App);

/// The lock of the broker: a queue that one connection has for itself.
pub(crate) const LOCK: &str = "celeriac.leader";

/// Returns how to elect.
///
/// # Errors
///
/// [`Error::Config`] when the broker gives out no locks, and another supervisor could be
/// on it; or when a Lease was asked for where none can be had.
pub(crate) fn election(config: &Config, app: &App, who: &str) -> Result<Arc<dyn Election>, Error> {
    let can = app.broker().capabilities();
    let how = config.leader_election;
    let leases = matches!(how, LeaderElection::Auto | LeaderElection::Lease);
    if let Some(name) = config.lease.as_ref().filter(|_| leases) {
        match Cluster::of_this_pod(config.service_account.as_deref()) {
            Ok(cluster) => return by_lease(config, &cluster, name, who),
            Err(missing) if how == LeaderElection::Lease => {
                let expected = "auto, broker or none outside a pod of Kubernetes";
                return Err(Error::config(
                    "leader_election",
                    expected,
                    format!("{how} and {missing}"),
                ));
            }
            Err(missing) => {
                tracing::info!(
                    missing,
                    "no pod of Kubernetes: the broker elects the leader"
                );
            }
        }
    }
    match how {
        LeaderElection::None => Ok(Arc::new(Alone)),
        LeaderElection::Auto if !can.lock && !can.shared => Ok(Arc::new(Alone)),
        LeaderElection::Auto | LeaderElection::Broker if can.lock => {
            Ok(Arc::new(ByBroker(app.clone())))
        }
        _ => Err(Error::config(
            "leader_election",
            "none, and one supervisor only, because this broker gives out no locks",
            how,
        )),
    }
}

fn by_lease(
    config: &Config,
    cluster: &Cluster,
    name: &str,
    who: &str,
) -> Result<Arc<dyn Election>, Error> {
    let namespace = match &config.lease_namespace {
        Some(namespace) => namespace.clone(),
        None => cluster
            .namespace()
            .map_err(|found| Error::config("lease_namespace", "the name of a namespace", found))?,
    };
    let election = ByLease::new(
        cluster,
        &namespace,
        name.to_owned(),
        config.lease_duration,
        who,
    );
    let election = election.map_err(|found| {
        let expected = "a pod that can reach the API server";
        Error::config("leader_election", expected, found)
    })?;
    Ok(Arc::new(election))
}

impl Election for Alone {
    fn kind(&self) -> &'static str {
        "none"
    }

    fn stand(&self) -> BoxFuture<'_, Result<Option<Elected>, String>> {
        let lock: Arc<dyn Lock> = Arc::new(Self);
        Box::pin(async { Ok(Some(lock.into())) })
    }
}

impl Lock for Alone {
    fn is_held(&self) -> bool {
        true
    }

    fn lost(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

impl Election for ByBroker {
    fn kind(&self) -> &'static str {
        "broker"
    }

    fn stand(&self) -> BoxFuture<'_, Result<Option<Elected>, String>> {
        Box::pin(async {
            let taken = self.0.broker().lock(LOCK).await;
            taken
                .map(|lock| lock.map(|lock| Arc::<dyn Lock>::from(lock).into()))
                .map_err(|error| error.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn one_of_two_on_a_broker_leads() {
        let app = App::builder("a").broker("memory://").build().unwrap();
        let election = election(&Config::default(), &app, "one").unwrap();
        assert_eq!(election.kind(), "broker");
        let first = election.stand().await.unwrap().unwrap();
        assert!(election.stand().await.unwrap().is_none());
        assert!(first.lock.is_held());
        drop(first);
        assert!(election.stand().await.unwrap().is_some());
    }

    #[test]
    fn an_unknown_election_is_refused_with_those_that_there_are() {
        let error = "raft".parse::<LeaderElection>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "leader_election: expected auto, broker, lease or none, found raft"
        );
        assert_eq!(
            "none".parse::<LeaderElection>().unwrap(),
            LeaderElection::None
        );
    }
}
