//! The task that publishes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lapin::Channel;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::connection::{Connection, Live};
use super::core::{Core, random};
use super::failure::Failure;
use super::job::Job;
use super::ledger::{Ledger, Prepared, Sent};
use crate::broker::Publication;
use crate::error::Error;

/// How long publications under way may wait for their confirms when the broker closes.
const LAST_CONFIRMS: Duration = Duration::from_millis(800);

/// How many publications are taken over from callers at once.
const BATCH: usize = 512;

/// How long opening a channel may take at most; the broker's own limit may be shorter.
const OPEN: Duration = Duration::from_secs(10);

/// A write that nobody waits for. Writes end in their order.
type Write = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The task that publishes: everything goes through one channel with confirms, or
/// one of two without, of the publishing connection.
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

/// The channels in use; each is opened when it is needed.
#[derive(Default)]
struct Channels {
    live: Option<Arc<Live>>,
    confirmed: Option<Arc<Channel>>,
    /// Without confirms: to the default exchange, and to others. One that does not exist
    /// ends the channel, and what is on its way behind on it is lost without a word;
    /// results must not share it with answers to whatever address somebody made up.
    plain: [Option<Channel>; 2],
    /// When to try again to open one.
    retry: Option<Instant>,
    failures: u32,
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
        let mut link = self.core.link.subscribe();
        let mut closed = self.core.runtime.closed();
        let core = Arc::clone(&self.core);
        let limit = core.config.call_timeout.min(OPEN);
        let busy = core.busy();
        loop {
            channels.follow(live.borrow_and_update().clone());
            while let Some(job) = ledger.next_to_send() {
                let channel = match channels.open(&job.publication, limit).await {
                    Ok(Some(channel)) => channel,
                    Ok(None) => {
                        ledger.waiting.push_front(job);
                        break;
                    }
                    Err(failure) => {
                        let wait = self.core.config.backoff.wait(channels.failures, random());
                        tracing::warn!(
                            broker = %self.core.url, reason = %failure,
                            retry_in_ms = wait.as_millis() as u64, "no channel to publish on",
                        );
                        channels.retry = Some(Instant::now() + wait);
                        link.mark_unchanged();
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
                () = channels.retry_is_due(), if channels.retry.is_some() => channels.retry = None,
                // A server that blocks answers nothing until it does not.
                Ok(()) = link.changed(), if channels.retry.is_some() => {
                    if link.borrow().is_up() {
                        channels.retry = None;
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

    /// Returns the channel for a publication; `None` while there is no connection, or it
    /// is not time to try again.
    async fn open(
        &mut self,
        publication: &Publication,
        limit: Duration,
    ) -> Result<Option<Open<'_>>, Failure> {
        let Some(live) = &self.live else {
            return Ok(None);
        };
        if !live.is_up() {
            return Ok(None);
        }
        let plain = usize::from(!publication.exchange.is_empty());
        let is_open = match publication.confirm {
            true => self.confirmed.is_some(),
            false => self.plain[plain]
                .as_ref()
                .is_some_and(|channel| channel.status().connected()),
        };
        if !is_open {
            if self.retry.is_some() {
                return Ok(None);
            }
            self.failures += 1;
            let channel = live.channel(limit).await?;
            if publication.confirm {
                let select = channel.confirm_select(ConfirmSelectOptions::default());
                tokio::time::timeout(limit, select).await??;
                self.confirmed = Some(Arc::new(channel));
            } else {
                self.plain[plain] = Some(channel);
            }
            self.failures = 0;
        }
        Ok(match publication.confirm {
            true => self.confirmed.as_ref().map(Open::Confirmed),
            false => self.plain[plain].as_ref().map(Open::Plain),
        })
    }

    /// Waits until it is time to try again.
    async fn retry_is_due(&self) {
        if let Some(at) = self.retry {
            sleep_until(at).await;
        }
    }
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
