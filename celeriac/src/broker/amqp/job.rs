//! A publication on its way, and who waits for its outcome.

use std::sync::{Arc, Mutex, PoisonError};

use lapin::BasicProperties;
use lapin::message::BasicReturnMessage;
use lapin::types::ShortString;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::table::{properties, short};
use crate::broker::Publication;
use crate::error::{Error, Result};

/// A publication on its way.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) publication: Publication,
    outcome: Outcome,
    /// Its place in the window, free again when this is dropped.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// Who waits for an outcome.
#[derive(Debug)]
enum Outcome {
    One(oneshot::Sender<Result<()>>),
    Many(Arc<Batch>, usize),
}

/// The outcomes of publications that somebody waits for together.
#[derive(Debug)]
pub(super) struct Batch(Mutex<Open>);

#[derive(Debug)]
struct Open {
    results: Vec<Option<Result<()>>>,
    left: usize,
    done: Option<oneshot::Sender<()>>,
}

impl Batch {
    /// Makes a batch of `count`, and what resolves when all are known.
    pub(super) fn new(count: usize) -> (Arc<Self>, oneshot::Receiver<()>) {
        let (done, all) = oneshot::channel();
        let results = std::iter::repeat_with(|| None).take(count).collect();
        (
            Arc::new(Self(Mutex::new(Open {
                results,
                left: count,
                done: Some(done),
            }))),
            all,
        )
    }

    /// Notes an outcome.
    pub(super) fn resolve(&self, at: usize, result: Result<()>) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot @ None) = open.results.get_mut(at) else {
            return;
        };
        *slot = Some(result);
        open.left -= 1;
        if open.left == 0
            && let Some(done) = open.done.take()
        {
            let _ = done.send(());
        }
    }

    /// Takes the outcomes; those that are not known are made by `missing`.
    pub(super) fn take(&self, missing: impl Fn() -> Error) -> Vec<Result<()>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let results = std::mem::take(&mut open.results);
        results
            .into_iter()
            .map(|result| result.unwrap_or_else(|| Err(missing())))
            .collect()
    }

    fn is_abandoned(&self) -> bool {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.done.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

/// A publication in the client's types.
pub(super) struct Wire {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    pub(super) properties: BasicProperties,
}

impl Job {
    pub(super) fn one(
        publication: Publication,
        permit: OwnedSemaphorePermit,
    ) -> (Self, oneshot::Receiver<Result<()>>) {
        let (outcome, known) = oneshot::channel();
        (
            Self {
                publication,
                outcome: Outcome::One(outcome),
                permit: Some(permit),
            },
            known,
        )
    }

    pub(super) fn many(
        publication: Publication,
        permit: OwnedSemaphorePermit,
        batch: &Arc<Batch>,
        at: usize,
    ) -> Self {
        Self {
            publication,
            outcome: Outcome::Many(Arc::clone(batch), at),
            permit: Some(permit),
        }
    }

    /// Tells the outcome.
    pub(super) fn resolve(self, result: Result<()>) {
        match self.outcome {
            // Whoever waited has gone: past his deadline, or cancelled.
            Outcome::One(outcome) => drop(outcome.send(result)),
            Outcome::Many(batch, at) => batch.resolve(at, result),
        }
    }

    /// Tells whether nobody waits any more.
    pub(super) fn is_abandoned(&self) -> bool {
        match &self.outcome {
            Outcome::One(outcome) => outcome.is_closed(),
            Outcome::Many(batch, _) => batch.is_abandoned(),
        }
    }

    /// Converts it. The publication stays, to be sent again if need be.
    pub(super) fn wire(&self) -> Result<Wire> {
        Ok(Wire {
            exchange: short("exchange name", &self.publication.exchange)?,
            routing_key: short("routing key", &self.publication.routing_key)?,
            properties: properties(&self.publication.message)?,
        })
    }

    /// Tells whether this is what the server returned.
    pub(super) fn is(&self, returned: &BasicReturnMessage) -> bool {
        let message = &self.publication.message;
        let id = |id: &Option<ShortString>| id.as_ref().map(|id| id.as_str().to_owned());
        self.publication.mandatory
            && self.publication.routing_key == returned.routing_key.as_str()
            && self.publication.exchange == returned.exchange.as_str()
            && message.properties.correlation_id == id(returned.properties.correlation_id())
            && message.properties.message_id == id(returned.properties.message_id())
            && message.body == returned.data
    }

    /// Makes the error of a publication that no queue took.
    pub(super) fn unroutable(&self) -> Error {
        let Publication {
            exchange,
            routing_key,
            ..
        } = &self.publication;
        Error::Refused {
            what: format!("publishing to exchange {exchange:?} with routing key {routing_key:?}"),
            reason: "no queue takes messages for it".to_owned(),
        }
    }

    /// Says what was asked, for errors.
    pub(super) fn what(&self) -> String {
        format!("publishing to exchange {:?}", self.publication.exchange)
    }
}
