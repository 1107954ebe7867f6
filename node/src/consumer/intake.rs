//! What becomes of each message that is taken.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use celeriac::broker::Delivery;
use celeriac::clock;
use celeriac::protocol::event::{EventKind, TaskReceived};
use celeriac::protocol::task::Protocol;
use celeriac::protocol::{DecodeError, State, TaskHeaders, TaskMessage, Value, naming};
use celeriac::task::{Context, DeliveryInfo, Request};
use tokio::time::timeout;

use super::Intake;
use crate::backend::Parcel;
use crate::execution::admit::{self, Admission, View, Waiting};
use crate::execution::outcome::{Outcome, Revocation};
use crate::execution::report::{Report, Settle};
use crate::execution::{republish, run};
use crate::job::{Claim, Job};
use crate::jobs::{Known, Turn};
use crate::returned;

/// How long a look at stored results may take; without an answer the task runs.
const LOOK_WITHIN: Duration = Duration::from_secs(2);

impl Intake {
    /// Takes messages, and returns those that others have to be asked about.
    pub(super) fn take(&mut self, batch: Vec<Delivery>) -> Vec<Claim> {
        self.drop_void();
        let count = batch.len() as u64;
        self.shared.counters.received.add(count);
        self.state.taken.fetch_add(count, Ordering::Relaxed);
        let mut again = Vec::new();
        for delivery in batch {
            let redelivered = delivery.redelivered;
            match self.read(delivery) {
                Some(claim) if redelivered || is_tick(claim.headers()) => again.push(claim),
                Some(claim) => self.admit(claim),
                None => {}
            }
        }
        again
    }

    /// Drops the jobs whose connection is gone, without a look at each for every batch:
    /// the oldest job is of the oldest connection. The broker delivers them again, here
    /// or elsewhere, and while no place is free nothing else would let go of them.
    fn drop_void(&mut self) {
        if self.waiting.front().is_none_or(|claim| claim.is_current()) {
            return;
        }
        let before = self.waiting.len();
        self.waiting.retain(|claim| claim.is_current());
        let dropped = before - self.waiting.len();
        self.shared.counters.requeued.add(dropped as u64);
    }

    /// Takes messages that were delivered before, here or elsewhere, or whose tick another
    /// leader may have sent before: some may have a success stored, and some may be what ended the node before.
    ///
    /// # Cancel safety
    ///
    /// What was not decided about is still in `claims`.
    pub(super) async fn take_again(&mut self, claims: &mut Vec<Claim>) {
        self.shared.acquainted(LOOK_WITHIN).await;
        let mut stored = self.successes(claims).await;
        for claim in claims.drain(..) {
            match stored.remove(claim.id()) {
                Some(value) => {
                    self.shared.counters.duplicates.add(1);
                    self.conclude(claim, Outcome::Stored(value));
                }
                None => match self.deadly(&claim) {
                    Some(cause) => self.conclude(claim, Outcome::Deadly { cause }),
                    None => self.admit(claim),
                },
            }
        }
    }

    /// Returns why a message that was delivered before is not to be tried again.
    fn deadly(&self, job: &Job) -> Option<String> {
        let limit = self.shared.config.max_deliveries;
        admit::too_often(returned::deliveries(job), limit)
            .or_else(|| self.shared.quarantine.reason(job.id()))
    }

    async fn successes(&self, claims: &[Claim]) -> HashMap<String, Value> {
        let backend = self.shared.app.backend();
        if !backend.capabilities().fetch {
            return HashMap::new();
        }
        let ids: Vec<String> = claims.iter().map(|claim| claim.id().to_owned()).collect();
        let documents = match timeout(LOOK_WITHIN, backend.fetch(&ids)).await {
            Ok(Ok(documents)) => documents,
            Ok(Err(error)) => {
                tracing::debug!(%error, "stored results are out of reach: redelivered tasks run");
                return HashMap::new();
            }
            Err(_) => return HashMap::new(),
        };
        let done = documents
            .into_iter()
            .flatten()
            .filter(|doc| doc.status == State::Success);
        done.map(|document| (document.task_id, document.result))
            .collect()
    }

    /// Reads the headers; `None` when nothing is left to do for the message here.
    fn read(&self, delivery: Delivery) -> Option<Claim> {
        let Delivery {
            message,
            exchange,
            routing_key,
            queue: _,
            redelivered,
            receipt,
        } = delivery;
        let (decoded, protocol, body) = match TaskMessage::decode_ref(&message, &self.shared.limits)
        {
            Ok(task) => {
                let TaskMessage {
                    headers,
                    properties,
                    protocol,
                    body,
                } = task;
                (Ok((headers, properties)), protocol, body)
            }
            Err(error) => (Err(error), Protocol::V2, message.body.clone()),
        };
        let (headers, properties, error): (_, _, Option<DecodeError>) = match decoded {
            Ok((headers, properties)) => (headers, properties, None),
            Err(error) => (
                TaskHeaders::default(),
                message.properties.clone(),
                Some(error),
            ),
        };
        let tick = is_tick(&headers);
        let receipt = match (redelivered || tick) && error.is_none() {
            false => receipt,
            true => match self
                .shared
                .jobs
                .recognise(&headers.id, Turn::of(&headers), tick, receipt)
            {
                Known::No(receipt) => receipt,
                Known::Here => {
                    self.shared.counters.duplicates.add(1);
                    return None;
                }
                Known::Ended(receipt) => {
                    self.shared.counters.duplicates.add(1);
                    receipt.acknowledge();
                    return None;
                }
            },
        };
        let handler = self.shared.tasks.get(&headers.task).cloned();
        let delivery = DeliveryInfo {
            exchange,
            routing_key: without_delay(routing_key),
            priority: properties.priority,
            redelivered,
        };
        let hostname = self.shared.name().to_owned();
        let request = Request {
            headers,
            properties,
            delivery,
            hostname,
        };
        let context = Context::new(self.shared.app.clone(), request);
        if self.shared.app.tracer().is_some() {
            // Its span tells how long it has waited here.
            context.trace();
        }
        let serial = self.shared.jobs.next_serial();
        let mut job = Job::new(serial, context, Arc::clone(&self.queue), handler, receipt);
        job.body = body;
        job.protocol = protocol;
        job.original = (protocol == Protocol::V1 || error.is_some()).then_some(message);
        let job = Arc::new(job);
        self.shared.jobs.insert(Arc::clone(&job));
        let claim = Claim::new(job, Arc::clone(&self.shared.jobs));
        match error {
            None => Some(claim),
            Some(error) => {
                self.conclude(claim, Outcome::Unreadable(error));
                None
            }
        }
    }

    /// Decides what becomes of a job, also of one whose time has come.
    pub(super) fn admit(&mut self, claim: Claim) {
        let now = clock::now();
        let headers = claim.headers();
        let limited = match claim.admitted {
            true => None,
            false => self.shared.rates.peek(&headers.task).map(|wait| now + wait),
        };
        let view = View {
            registered: claim.handler.is_some(),
            revoked: self.shared.revoked.contains(headers),
            limited,
        };
        match admit::admit(headers, view, now) {
            Admission::Run => self.run(claim),
            Admission::Unknown => self.conclude(claim, Outcome::Unknown),
            Admission::Expired => self.conclude(claim, Outcome::Revoked(Revocation::Expired)),
            Admission::Revoked => self.conclude(claim, Outcome::Revoked(Revocation::Revoked)),
            Admission::NotYet(at) => self.wait(at, now, claim),
            Admission::RateLimited(at) => self.limit(at, now, claim),
        }
    }

    fn run(&mut self, mut claim: Claim) {
        if !claim.admitted {
            // The time was free a moment ago, so taking it does not change the answer.
            let _ = self.shared.rates.take(&claim.headers().task);
            claim.admitted = true;
        }
        self.tell_received(&mut claim);
        self.waiting.push_back(claim);
    }

    fn wait(&self, at: SystemTime, now: SystemTime, claim: Claim) {
        let delays = self.shared.app.broker().capabilities().delay;
        match admit::place(at, now, self.shared.config.hold, delays) {
            Waiting::Here => self.hold(at, claim),
            Waiting::Broker => self.park(at, claim),
        }
    }

    /// Keeps a task that a rate limit holds back: here while there is room beside others,
    /// with its time taken; else in the broker, to ask again then.
    fn limit(&self, at: SystemTime, now: SystemTime, mut claim: Claim) {
        let room = usize::from(self.state.prefetch.load(Ordering::Relaxed)) / 2;
        let delays = self.shared.app.broker().capabilities().delay;
        if delays && self.shared.timetable.len() >= room {
            return self.park(at.max(now + Duration::from_secs(1)), claim);
        }
        let wait = self.shared.rates.take(&claim.headers().task);
        claim.admitted = true;
        self.hold(now + wait.unwrap_or_default(), claim);
    }

    fn hold(&self, at: SystemTime, mut claim: Claim) {
        self.tell_received(&mut claim);
        self.shared.timetable.hold(at, claim, self.back.clone());
    }

    fn park(&self, at: SystemTime, claim: Claim) {
        let shared = &self.shared;
        match republish::later(&claim, at, &self.shared.limits) {
            Ok(publication) => {
                // From now on it is scheduled, wherever its message is.
                let delivery = &claim.context.request().delivery;
                shared.parked.add(at, &claim, delivery);
                let report = Report {
                    before: Some(publication),
                    settle: Settle::Parked(at),
                    ..Report::default()
                };
                let parcel = Parcel::new(Some(claim), report).or_back(self.back.clone());
                if let Some(parcel) = shared.outcomes.offer(shared, parcel) {
                    let shared = Arc::clone(shared);
                    tokio::spawn(async move { shared.outcomes.send(parcel).await });
                }
            }
            // Only a message that has to be written anew, and cannot be read.
            Err(celeriac::Error::Decode(error)) => {
                self.conclude(claim, Outcome::Unreadable(error));
            }
            Err(error) => {
                tracing::warn!(task_id = claim.id(), %error, "task waits here: it cannot be parked");
                self.hold(at, claim);
            }
        }
    }

    /// Ends a job whose task does not run. As many of these may be on the way as the
    /// broker hands out messages.
    fn conclude(&self, claim: Claim, outcome: Outcome) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move { run::conclude(&shared, claim, outcome).await });
    }

    /// Tells once of a message that stays here. One that ends at once was not received
    /// to be run, and one that is parked is received by the node that it comes to then.
    fn tell_received(&self, claim: &mut Claim) {
        if claim.told || !self.shared.events.enabled() {
            return;
        }
        claim.told = true;
        let headers = claim.headers();
        self.shared
            .events
            .emit([EventKind::TaskReceived(Box::new(TaskReceived {
                uuid: headers.id.clone(),
                name: headers.display_name().to_owned(),
                args: headers.argsrepr.clone(),
                kwargs: headers.kwargsrepr.clone(),
                root_id: headers.root_id.clone(),
                parent_id: headers.parent_id.clone(),
                retries: headers.retries,
                eta: headers.eta.map(|eta| eta.to_string()),
                expires: headers.expires.map(|expires| expires.to_string()),
            }))]);
    }
}

/// Tells whether the task is a tick of a schedule. Its id is that of the tick, so that one
/// which two leaders sent is known, like a message that is delivered twice.
fn is_tick(headers: &TaskHeaders) -> bool {
    headers.extra(naming::header::TICK).is_some()
}

fn without_delay(routing_key: String) -> String {
    match naming::strip_delay(&routing_key) {
        key if key.len() == routing_key.len() => routing_key,
        key => key.to_owned(),
    }
}
