//! What a broker is asked, with the deadlines.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::AmqpBroker;
use super::connection::{Connection, Live};
use super::consumer::{AmqpConsumer, Shared};
use super::declare::{Scratch, Wire};
use super::failure::{EXPULSIONS, Failure, code};
use super::feed::Feed;
use super::job::{Batch, Job};
use super::session::Wanted;
use super::{delay, table};
use crate::broker::{Consumer, Link, Publication, Subscription, Topology};
use crate::clock;
use crate::error::{Error, Result};

/// How long to wait for a queue that is another connection's: most often that of a
/// process of the same name which just ended, and which the server has yet to notice.
const LOCKED: Duration = Duration::from_secs(5);

impl AmqpBroker {
    /// Returns the connection to ask things on: the server stops reading from one that
    /// publishes when it runs low, and then answers nothing there.
    pub(super) fn asking(&self) -> &Arc<Connection> {
        if self.consuming.is_started() {
            &self.consuming
        } else {
            &self.publishing
        }
    }

    /// Asks until there is an answer, or the deadline passes.
    pub(super) async fn ask<T, F>(
        &self,
        connection: &Arc<Connection>,
        what: &str,
        ask: impl Fn(Arc<Live>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = std::result::Result<T, Failure>>,
    {
        let asked = async {
            let mut expulsions = 0;
            loop {
                let live = connection.live().await?;
                let answer = ask(live).await;
                expulsions += u32::from(matches!(answer, Err(Failure::Expelled { .. })));
                match answer {
                    Err(Failure::Lost(_)) => sleep(Duration::from_millis(50)).await,
                    Err(Failure::Expelled { .. }) if expulsions < EXPULSIONS => {
                        sleep(Duration::from_millis(50)).await;
                    }
                    Err(failure) => return Err(failure.into_error(what)),
                    Ok(answer) => return Ok(answer),
                }
            }
        };
        match tokio::time::timeout(self.core.config.call_timeout, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(self.late(what, self.core.config.call_timeout)),
        }
    }

    /// Makes the error for something that did not happen in time.
    pub(super) fn late(&self, what: &str, after: Duration) -> Error {
        let unavailable = |reason: String| Error::Unavailable {
            what: "broker",
            reason,
            source: None,
        };
        match &*self.core.link.borrow() {
            Link::Up { .. } => Error::Timeout {
                what: what.to_owned(),
                after,
            },
            Link::Closed => Error::Closed("broker"),
            Link::Blocked { reason } => {
                unavailable(format!("the server takes no messages: {reason}"))
            }
            Link::Connecting { error, .. } => unavailable(match error {
                Some(error) => format!("no connection within {} ms: {error}", after.as_millis()),
                None => format!("no connection within {} ms", after.as_millis()),
            }),
        }
    }

    /// Sends a publication whose time has not come to where the server holds it.
    pub(super) async fn due(&self, mut publication: Publication) -> Result<Publication> {
        let Some(seconds) = delay::seconds(publication.not_before, clock::now()) else {
            return Ok(publication);
        };
        self.stair
            .get_or_try_init(|| async {
                let wanted = &self.core.config.delayed_queue_type;
                match self.declare_all(&Topology::delayed_delivery(wanted)).await {
                    // A server without such queues.
                    Err(Error::Refused { .. }) if wanted != "classic" => {
                        self.declare_all(&Topology::delayed_delivery("classic"))
                            .await
                    }
                    declared => declared,
                }
            })
            .await?;
        if !self.routes.is_known(&publication) {
            let way = delay::way_out(&publication, &self.core.remembered())?;
            self.declare_all(&way).await?;
            self.routes.note(&publication);
        }
        delay::redirect(&mut publication, seconds);
        Ok(publication)
    }

    pub(super) async fn publish_one(&self, publication: Publication) -> Result<()> {
        if self.core.runtime.closed().now() {
            return Err(Error::Closed("broker"));
        }
        let after = self.core.config.publish_timeout;
        let published = async {
            let publication = self.due(publication).await?;
            let window = Arc::clone(&self.window).acquire_owned().await;
            let permit = window.map_err(|_| Error::Closed("broker"))?;
            let (job, outcome) = Job::one(publication, permit);
            self.jobs.send(job).map_err(|_| Error::Closed("broker"))?;
            outcome.await.map_err(|_| Error::Closed("broker"))?
        };
        match tokio::time::timeout(after, published).await {
            Ok(result) => result,
            Err(_) => Err(self.late("publishing", after)),
        }
    }

    pub(super) async fn publish_many(&self, publications: Vec<Publication>) -> Vec<Result<()>> {
        if publications.is_empty() {
            return Vec::new();
        }
        let after = self.core.config.publish_timeout;
        let (batch, all) = Batch::new(publications.len());
        let published = async {
            for (at, publication) in publications.into_iter().enumerate() {
                let publication = match self.due(publication).await {
                    Ok(publication) => publication,
                    Err(error) => {
                        batch.resolve(at, Err(error));
                        continue;
                    }
                };
                let Ok(permit) = Arc::clone(&self.window).acquire_owned().await else {
                    return;
                };
                if self
                    .jobs
                    .send(Job::many(publication, permit, &batch, at))
                    .is_err()
                {
                    return;
                }
            }
            let _ = all.await;
        };
        let late = tokio::time::timeout(after, published).await.is_err();
        batch.take(|| {
            if late {
                self.late("publishing", after)
            } else {
                Error::Closed("broker")
            }
        })
    }

    pub(super) async fn start_consumer(
        &self,
        subscription: Subscription,
    ) -> Result<Box<dyn Consumer>> {
        let queue = table::short("queue name", &subscription.queue)?;
        let arguments = table::table(&subscription.arguments)?;
        let shared = Shared::new(&subscription.queue, subscription.no_ack);
        let (requests, asked) = mpsc::channel(4);
        let (first, consuming) = oneshot::channel();
        let feed = Feed {
            core: Arc::clone(&self.core),
            connection: Arc::clone(&self.consuming),
            shared: Arc::clone(&shared),
            requests: asked,
            wanted: Wanted {
                queue,
                prefetch: subscription.prefetch.max(1),
                exclusive: subscription.exclusive,
                arguments,
            },
            first: Some(first),
        };
        self.core.runtime.spawn(feed.run());
        // Dropped on any error, which ends the task.
        let consumer = AmqpConsumer { shared, requests };
        match tokio::time::timeout(self.core.config.call_timeout, consuming).await {
            Ok(Ok(begun)) => begun.map(|()| Box::new(consumer) as Box<dyn Consumer>),
            Ok(Err(_)) => Err(Error::Closed("broker")),
            Err(_) => Err(self.late(
                &format!("consuming queue {:?}", subscription.queue),
                self.core.config.call_timeout,
            )),
        }
    }

    pub(super) async fn declare_all(&self, topology: &Topology) -> Result<()> {
        let wire = Wire::new(topology)?;
        // An exclusive queue belongs to its connection, which must be the consumers'.
        let connection = match topology.queues.iter().any(|queue| queue.exclusive) {
            true => &self.consuming,
            false => self.asking(),
        };
        let timeout = self.core.config.call_timeout;
        let wire = &wire;
        let patience = Instant::now() + LOCKED;
        loop {
            let declare = |live: Arc<Live>| async move {
                match wire.declare(&mut Scratch::new(&live, timeout)).await {
                    Ok(()) => Ok(None),
                    Err((what, refused @ Failure::Refused { .. })) => Ok(Some((what, refused))),
                    Err((_, failure)) => Err(failure),
                }
            };
            match self.ask(connection, "declaring", declare).await? {
                None => {
                    self.core.remembered().add(topology);
                    return Ok(());
                }
                Some((_, refused))
                    if refused.is(code::RESOURCE_LOCKED) && Instant::now() < patience =>
                {
                    sleep(LOCKED / 20).await;
                }
                Some((what, refused)) => return Err(refused.into_error(what)),
            }
        }
    }
}
