//! The task that publishes.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation};
use tokio::sync::mpsc;

use super::connection::{Connection, Live};
use super::core::Core;
use super::failure::{Failure, code};
use super::job::Job;
use crate::error::Error;

/// How long publications under way may wait for their confirms when the broker closes.
const LAST_CONFIRMS: Duration = Duration::from_millis(800);

/// How many publications are taken over from callers at once.
const BATCH: usize = 512;

/// How long opening a channel may take.
const OPEN: Duration = Duration::from_secs(10);

/// A publication that was sent, or could not be.
type Sent = (u64, lapin::Result<Confirmation>);

/// A write that nobody waits for. Writes end in their order.
type Write = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The task that publishes: everything goes through one channel with confirms, or
/// one without, of the publishing connection.
///
/// ```text
/// waiting --channel open--> sent --confirm--> resolved
///    ^                       |
///    +-- connection lost ----+
/// ```
pub(super) struct Publisher {
    pub(super) core: Arc<Core>,
    pub(super) connection: Arc<Connection>,
    pub(super) jobs: mpsc::UnboundedReceiver<Job>,
}

/// The publications that this task answers for.
#[derive(Default)]
struct Ledger {
    /// To be sent, oldest first.
    waiting: VecDeque<Job>,
    /// Sent and not confirmed.
    sent: HashMap<u64, Job>,
    next: u64,
    /// Returned messages whose confirm has not come yet.
    returned: Vec<BasicReturnMessage>,
    /// How many to send one at a time, to learn which of them ends the channel.
    alone: usize,
}

/// The channels in use; each is opened when it is needed.
#[derive(Default)]
struct Channels {
    live: Option<Arc<Live>>,
    confirmed: Option<Arc<Channel>>,
    plain: Option<Channel>,
}

impl Publisher {
    /// Runs until the broker is closed.
    pub(super) async fn run(mut self) {
        let mut ledger = Ledger::default();
        let mut channels = Channels::default();
        let mut flight = FuturesUnordered::new();
        let mut writes: VecDeque<Write> = VecDeque::new();
        let mut incoming = Vec::with_capacity(BATCH);
        let mut live = self.connection.subscribe();
        let mut closed = self.core.runtime.closed();
        let core = Arc::clone(&self.core);
        let busy = core.busy();
        loop {
            channels.follow(live.borrow_and_update().clone());
            while let Some(job) = ledger.next_to_send() {
                let channel = match channels.open(job.publication.confirm).await {
                    Ok(Some(channel)) => channel,
                    Ok(None) => {
                        ledger.waiting.push_front(job);
                        break;
                    }
                    Err(failure) => {
                        tracing::warn!(broker = %self.core.url, reason = %failure, "no channel to publish on");
                        ledger.waiting.push_front(job);
                        break;
                    }
                };
                match channel {
                    Open::Confirmed(channel) => {
                        if let Some((key, job)) = ledger.begin(job) {
                            flight.push(send(key, channel, job));
                        }
                    }
                    Open::Plain(channel) => write(channel, job, &mut writes),
                }
            }
            tokio::select! {
                biased;
                () = closed.wait() => break,
                Some(first) = flight.next(), if !flight.is_empty() => {
                    let mut round = vec![first];
                    drain(&mut flight, &mut round);
                    // The client hands a returned message to any one of the confirms that
                    // come after it. Its lock is held while it works through an
                    // answer of the server; having it means having all of that answer.
                    if let Some(channel) = &channels.confirmed {
                        let _ = channel.wait_for_confirms().now_or_never();
                        drain(&mut flight, &mut round);
                    }
                    if let Some(error) = ledger.settle(&self.core, round) {
                        flight.clear();
                        channels.confirmed = None;
                        ledger.channel_ended(&self.core, error);
                    }
                }
                () = first_write(&mut writes), if !writes.is_empty() => {}
                taken = self.jobs.recv_many(&mut incoming, BATCH) => {
                    if taken == 0 {
                        break;
                    }
                    ledger.waiting.extend(incoming.drain(..));
                }
                changed = live.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    if live.borrow().is_none() && !ledger.sent.is_empty() {
                        flight.clear();
                        channels.confirmed = None;
                        ledger.send_again(&self.core);
                    }
                }
            }
        }
        self.jobs.close();
        let deadline = tokio::time::Instant::now() + LAST_CONFIRMS;
        while let Ok(Some(done)) = tokio::time::timeout_at(deadline, flight.next()).await {
            ledger.settle(&self.core, vec![done]);
        }
        let _ = tokio::time::timeout_at(deadline, async {
            while !writes.is_empty() {
                first_write(&mut writes).await;
            }
        })
        .await;
        drop(busy);
        while let Ok(job) = self.jobs.try_recv() {
            ledger.waiting.push_back(job);
        }
        for job in ledger.waiting.into_iter().chain(ledger.sent.into_values()) {
            job.resolve(Err(Error::Closed("broker")));
        }
    }
}

/// A channel to send on.
enum Open<'a> {
    Confirmed(&'a Arc<Channel>),
    Plain(&'a Channel),
}

impl Channels {
    /// Changes to another connection.
    fn follow(&mut self, live: Option<Arc<Live>>) {
        let same = match (&self.live, &live) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        if !same {
            *self = Self {
                live,
                ..Self::default()
            };
        }
    }

    /// Returns the channel for publications with or without confirms; `None` while
    /// there is no connection.
    async fn open(&mut self, confirm: bool) -> Result<Option<Open<'_>>, Failure> {
        let Some(live) = &self.live else {
            return Ok(None);
        };
        if !live.is_up() {
            return Ok(None);
        }
        if confirm {
            if self.confirmed.is_none() {
                let channel = live.channel(OPEN).await?;
                let select = channel.confirm_select(ConfirmSelectOptions::default());
                tokio::time::timeout(OPEN, select).await??;
                self.confirmed = Some(Arc::new(channel));
            }
            return Ok(self.confirmed.as_ref().map(Open::Confirmed));
        }
        if !self
            .plain
            .as_ref()
            .is_some_and(|channel| channel.status().connected())
        {
            self.plain = Some(live.channel(OPEN).await?);
        }
        Ok(self.plain.as_ref().map(Open::Plain))
    }
}

impl Ledger {
    /// Takes what can be sent now.
    fn next_to_send(&mut self) -> Option<Job> {
        if self.alone > 0 && !self.sent.is_empty() {
            return None;
        }
        while let Some(job) = self.waiting.pop_front() {
            if !job.is_abandoned() {
                return Some(job);
            }
            self.alone = self.alone.saturating_sub(1);
        }
        None
    }

    /// Notes that a publication is being sent; `None` when it cannot be.
    fn begin(&mut self, job: Job) -> Option<(u64, Prepared)> {
        let wire = match job.wire() {
            Ok(wire) => wire,
            Err(error) => {
                job.resolve(Err(error));
                return None;
            }
        };
        let key = self.next;
        self.next += 1;
        let prepared = Prepared {
            wire,
            body: job.publication.message.body.clone(),
            mandatory: job.publication.mandatory,
        };
        self.sent.insert(key, job);
        Some((key, prepared))
    }

    /// Works through a round of answers; returns an error that ended the channel.
    fn settle(&mut self, core: &Core, round: Vec<Sent>) -> Option<lapin::Error> {
        let mut ended: Option<lapin::Error> = None;
        let mut taken = Vec::with_capacity(round.len());
        for (key, result) in round {
            match result {
                Ok(confirmation) => {
                    let Some(job) = self.sent.remove(&key) else {
                        continue;
                    };
                    let good = !confirmation.is_nack();
                    self.returned.extend(confirmation.take_message());
                    taken.push((job, good));
                }
                // The first says why, the others only that it is so.
                Err(error) => {
                    if ended.is_none() || error.is_amqp_error() {
                        ended = Some(error);
                    }
                }
            }
        }
        self.alone = self.alone.saturating_sub(taken.len());
        for (job, good) in taken {
            let back = self.returned.iter().position(|returned| job.is(returned));
            let result = match back {
                Some(at) => {
                    self.returned.swap_remove(at);
                    core.stats.refused.fetch_add(1, Ordering::Relaxed);
                    Err(job.unroutable())
                }
                None if good => {
                    core.stats.published.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                }
                None => Err(Error::Unavailable {
                    what: "broker",
                    reason: format!("the server could not take the message: {}", job.what()),
                    source: None,
                }),
            };
            job.resolve(result);
        }
        // Those whose publication is gone would stay for ever.
        if self.sent.is_empty() {
            self.returned.clear();
        }
        ended
    }

    /// Decides what becomes of publications whose channel ended.
    fn channel_ended(&mut self, core: &Core, error: lapin::Error) {
        let failure = Failure::from(error);
        let Failure::Refused { code: said, text } = &failure else {
            return self.send_again(core);
        };
        if *said == code::NOT_FOUND || *said == code::ACCESS_REFUSED {
            let named = |job: &Job| {
                let exchange = match job.publication.exchange.as_str() {
                    "" => "amq.default",
                    name => name,
                };
                text.contains(&format!("'{exchange}'"))
            };
            let guilty: Vec<u64> = self
                .sent
                .iter()
                .filter(|(_, job)| named(job))
                .map(|(key, _)| *key)
                .collect();
            if !guilty.is_empty() {
                for key in guilty {
                    self.refuse(core, key, &failure);
                }
                return self.send_again(core);
            }
        }
        match self.sent.keys().next().copied() {
            Some(only) if self.sent.len() == 1 => self.refuse(core, only, &failure),
            _ => {
                // The server does not say which one it was.
                self.alone = self.sent.len();
                self.send_again(core);
            }
        }
    }

    fn refuse(&mut self, core: &Core, key: u64, failure: &Failure) {
        if let Some(job) = self.sent.remove(&key) {
            core.stats.refused.fetch_add(1, Ordering::Relaxed);
            self.alone = self.alone.saturating_sub(1);
            let what = job.what();
            job.resolve(Err(failure.clone().into_error(what)));
        }
    }

    /// Puts what was sent and not confirmed back to the front, in its order.
    fn send_again(&mut self, core: &Core) {
        let mut again: Vec<(u64, Job)> = self.sent.drain().collect();
        core.stats
            .republished
            .fetch_add(again.len() as u64, Ordering::Relaxed);
        again.sort_unstable_by_key(|(key, _)| std::cmp::Reverse(*key));
        for (_, job) in again {
            self.waiting.push_front(job);
        }
        self.returned.clear();
    }
}

/// A publication in the client's types.
struct Prepared {
    wire: super::job::Wire,
    body: bytes::Bytes,
    mandatory: bool,
}

/// Sends one publication and waits for its confirm.
fn send(key: u64, channel: &Arc<Channel>, job: Prepared) -> impl Future<Output = Sent> + use<> {
    let channel = Arc::clone(channel);
    async move {
        let Prepared {
            wire,
            body,
            mandatory,
        } = job;
        let options = BasicPublishOptions {
            mandatory,
            immediate: false,
        };
        let written = channel
            .basic_publish(
                wire.exchange,
                wire.routing_key,
                options,
                &body,
                wire.properties,
            )
            .await;
        let result = match written {
            Ok(confirm) => confirm.await,
            Err(error) => Err(error),
        };
        (key, result)
    }
}

/// Collects the answers that are here.
fn drain<F: Future<Output = Sent>>(flight: &mut FuturesUnordered<F>, round: &mut Vec<Sent>) {
    while let Some(Some(sent)) = flight.next().now_or_never() {
        round.push(sent);
    }
}

/// Hands a publication that needs no confirm to the client.
fn write(channel: &Channel, mut job: Job, writes: &mut VecDeque<Write>) {
    let wire = match job.wire() {
        Ok(wire) => wire,
        Err(error) => return job.resolve(Err(error)),
    };
    let channel = channel.clone();
    let body = job.publication.message.body.clone();
    let permit = job.permit.take();
    let mut write: Write = Box::pin(async move {
        let options = BasicPublishOptions::default();
        let _ = channel
            .basic_publish(
                wire.exchange,
                wire.routing_key,
                options,
                &body,
                wire.properties,
            )
            .await;
        drop(permit);
    });
    // The first poll hands the frames over.
    if write.as_mut().now_or_never().is_none() {
        writes.push_back(write);
    }
    job.resolve(Ok(()));
}

/// Waits until the oldest writes ended.
async fn first_write(writes: &mut VecDeque<Write>) {
    if let Some(write) = writes.front_mut() {
        write.await;
        writes.pop_front();
    }
    while let Some(write) = writes.front_mut() {
        if write.as_mut().now_or_never().is_none() {
            break;
        }
        writes.pop_front();
    }
}
