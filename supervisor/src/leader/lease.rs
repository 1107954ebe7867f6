//! Who holds a Lease of Kubernetes leads.
//!
//! | part | does |
//! |---|---|
//! | `candidate` | decides when it may be taken, and how long its holder leads |
//! | `record` | the Lease as the API server has it |

mod candidate;
mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use celeriac::broker::{BoxFuture, Lock};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::candidate::{Decision, Observed, Spans, evaluate};
use self::record::Lease;
use super::{Elected, Election};
use crate::kubernetes::{Client, Cluster, Collection, Failure, Kind};

/// Who holds the Lease leads.
pub(crate) struct ByLease {
    candidate: Arc<Candidate>,
    /// Where it is renewed: not on the actors' threads, which may be busy.
    runtime: Handle,
}

struct Candidate {
    leases: Collection,
    /// The name of the Lease.
    name: String,
    me: String,
    spans: Spans,
    state: tokio::sync::Mutex<State>,
    /// What was complained about last: once is enough.
    trouble: Mutex<Option<String>>,
}

#[derive(Default)]
struct State {
    observed: Observed,
    /// Renews the Lease, and gives it back when its lock is dropped.
    tenure: Option<JoinHandle<()>>,
}

/// A Lease that is held: until when this one leads, if it is not renewed.
struct Held(watch::Receiver<Instant>);

/// What is known of a Lease that is held.
struct Tenure {
    lease: Lease,
    /// The server has it like this, as far as we know: no request failed since.
    sure: bool,
}

/// How a renewal went.
enum Renewed {
    Yes,
    /// Somebody else has the Lease.
    Lost,
    No(Failure),
}

/// A Lease that ends so soon is waited for: the next attempt would come later.
const SOON: Duration = Duration::from_secs(1);

impl ByLease {
    /// Makes a candidate for a Lease, on the runtime that this is called in.
    ///
    /// # Errors
    ///
    /// When the cluster's authority cannot be read.
    pub(crate) fn new(
        cluster: &Cluster,
        namespace: &str,
        name: String,
        duration: Duration,
        who: &str,
    ) -> Result<Self, String> {
        let spans = Spans { duration };
        let candidate = Candidate {
            leases: Collection::new(
                &Arc::new(Client::new(cluster)?),
                Kind::LEASES,
                namespace,
                spans.retry(),
            ),
            name,
            // Two with one name, such as a pod and the pod after it, are not one holder.
            me: format!("{who}_{}", uuid::Uuid::new_v4()),
            spans,
            state: tokio::sync::Mutex::default(),
            trouble: Mutex::default(),
        };
        Ok(Self {
            candidate: Arc::new(candidate),
            runtime: Handle::current(),
        })
    }
}

impl Election for ByLease {
    fn kind(&self) -> &'static str {
        "lease"
    }

    fn stand(&self) -> BoxFuture<'_, Result<Option<Elected>, String>> {
        let candidate = Arc::clone(&self.candidate);
        let stood = self.runtime.spawn(candidate.stand());
        Box::pin(async {
            let ended = |error| format!("standing for election ended: {error}");
            stood.await.map_err(ended)?
        })
    }

    fn resign(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let tenure = self.candidate.state.lock().await.tenure.take();
            if let Some(tenure) = tenure
                && let Err(error) = tenure.await
            {
                tracing::warn!(%error, "the Lease was not given back");
            }
        })
    }
}

impl Candidate {
    async fn stand(self: Arc<Self>) -> Result<Option<Elected>, String> {
        let mut state = self.state.lock().await;
        let gives_back = |tenure: &JoinHandle<()>| !tenure.is_finished();
        if state.tenure.as_ref().is_some_and(gives_back) {
            return Ok(None);
        }
        let (lease, begun) = match self.attempt(&mut state.observed).await {
            Ok(Some(taken)) => taken,
            Ok(None) => {
                self.fine();
                return Ok(None);
            }
            Err(failure) => {
                self.complain(&failure);
                return Err(failure.to_string());
            }
        };
        self.fine();
        let least = lease.term();
        let (until, lock) = watch::channel(begun + self.spans.leads());
        let tenure = Tenure { lease, sure: true };
        state.tenure = Some(tokio::spawn(Arc::clone(&self).lead(tenure, begun, until)));
        Ok(Some(Elected {
            lock: Arc::new(Held(lock)),
            least,
        }))
    }

    /// Looks at the Lease, and takes it if it may; says when the request was begun.
    async fn attempt(&self, observed: &mut Observed) -> Result<Option<(Lease, Instant)>, Failure> {
        let mut waited = false;
        loop {
            let found: Option<Lease> = self.leases.get(&self.name).await?;
            let now = Instant::now();
            let version = found.as_ref().and_then(|lease| {
                let version = lease.metadata.resource_version.as_deref();
                version.map(str::to_owned)
            });
            let since = observed.see(&version.unwrap_or_default(), now);
            let spec = found.as_ref().map(|lease| &lease.spec);
            match evaluate(spec, &self.me, now, since, self.spans) {
                Decision::Wait(left) if left <= SOON && !waited => {
                    waited = true;
                    tokio::time::sleep(left).await;
                }
                Decision::Wait(_) => return Ok(None),
                Decision::Create | Decision::Take | Decision::Renew => {
                    let begun = Instant::now();
                    let lease = found.unwrap_or_else(|| Lease::new(&self.name));
                    let wall = celeriac::clock::now();
                    let lease = lease.hold(&self.me, self.spans.duration, wall);
                    let written = match lease.metadata.resource_version {
                        Some(_) => self.leases.update(&self.name, &lease).await,
                        None => self.leases.create(&self.name, &lease).await,
                    };
                    return match written {
                        Ok(lease) => Ok(Some((lease, begun))),
                        // Somebody else was quicker, or removed it.
                        Err(Failure::Conflict(_) | Failure::Missing(_)) => Ok(None),
                        Err(failure) => Err(failure),
                    };
                }
            }
        }
    }

    /// Renews the Lease for as long as its lock is kept, then gives it back.
    async fn lead(
        self: Arc<Self>,
        mut tenure: Tenure,
        begun: Instant,
        until: watch::Sender<Instant>,
    ) {
        let mut next = begun + self.spans.retry();
        loop {
            tokio::select! {
                () = until.closed() => break,
                () = tokio::time::sleep_until(next.into()) => {}
            }
            let begun = Instant::now();
            let renewed = self.renew(&mut tenure).await;
            let now = Instant::now();
            // Once it is lost it stays so: others have acted on it.
            if now >= *until.borrow() {
                return;
            }
            match renewed {
                Renewed::Yes => {
                    self.fine();
                    until.send_replace(begun + self.spans.leads());
                    next = begun + self.spans.retry();
                }
                Renewed::Lost => {
                    until.send_replace(begun);
                    return;
                }
                Renewed::No(failure) => {
                    if !matches!(failure, Failure::Conflict(_)) {
                        self.complain(&failure);
                    }
                    next = now + self.spans.retry() / 4;
                }
            }
        }
        self.release(tenure).await;
    }

    async fn renew(&self, tenure: &mut Tenure) -> Renewed {
        if !tenure.sure {
            match self.leases.get::<Lease>(&self.name).await {
                Ok(Some(lease)) if lease.spec.holder() == Some(&self.me) => tenure.lease = lease,
                Ok(_) => return Renewed::Lost,
                Err(failure) => return Renewed::No(failure),
            }
        }
        let lease = tenure.lease.clone().renew(celeriac::clock::now());
        match self.leases.update(&self.name, &lease).await {
            Ok(lease) => {
                *tenure = Tenure { lease, sure: true };
                Renewed::Yes
            }
            Err(Failure::Missing(_)) => Renewed::Lost,
            Err(failure) => {
                tenure.sure = false;
                Renewed::No(failure)
            }
        }
    }

    /// Lets the next one lead at once. If it cannot, the Lease ends by itself.
    async fn release(&self, tenure: Tenure) {
        let mut lease = tenure.lease;
        if !tenure.sure {
            match self.leases.get::<Lease>(&self.name).await {
                Ok(Some(found)) if found.spec.holder() == Some(&self.me) => lease = found,
                _ => return,
            }
        }
        let freed = lease.release(celeriac::clock::now());
        if let Err(failure) = self.leases.update(&self.name, &freed).await {
            tracing::debug!(%failure, "the Lease was not given back");
        }
    }

    /// Logs what is wrong, once until something else is.
    fn complain(&self, failure: &Failure) {
        let text = failure.to_string();
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.as_ref() != Some(&text) {
            tracing::warn!(reason = text, "the Lease is out of reach; tried again");
            *trouble = Some(text);
        }
    }

    fn fine(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Lock for Held {
    fn is_held(&self) -> bool {
        Instant::now() < *self.0.borrow()
    }

    fn lost(&self) -> BoxFuture<'_, ()> {
        let mut until = self.0.clone();
        Box::pin(async move {
            loop {
                let end = *until.borrow_and_update();
                if Instant::now() >= end {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep_until(end.into()) => {}
                    changed = until.changed() => if changed.is_err() {
                        // Nobody renews it any more.
                        tokio::time::sleep_until(end.into()).await;
                    }
                }
            }
        })
    }
}

impl fmt::Debug for ByLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByLease")
            .field("leases", &self.candidate.leases)
            .field("name", &self.candidate.name)
            .field("me", &self.candidate.me)
            .field("spans", &self.candidate.spans)
            .finish_non_exhaustive()
    }
}
