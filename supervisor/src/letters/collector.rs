//! The Collector actor: takes dead letters from the broker into the store.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use celeriac::App;
use celeriac::broker::{Delivery, Receipt, Subscription};
use celeriac::health::Pulse;
use celeriac_protocol::{Timestamp, naming};
use tokio::task::AbortHandle;

use super::Neighbour;
use super::letter::{Letter, Rules};
use crate::board::Board;
use crate::config::Config;
use crate::feed::Change;
use crate::guardian::Ward;
use crate::store::StoreError;

/// Takes the dead letters of every known queue, and of those that the settings name, into
/// the store.
///
/// ```text
///  <queue>.dead --delivery--> letter --store: committed--> acknowledged
///                               ^         |
///                               +- again -+  the store is down or read-only
/// ```
///
/// A message is acknowledged only after its letter is committed. While the store is away
/// no more than a few are taken, and all stay with the broker.
pub(crate) struct Collector {
    app: App,
    board: Arc<Board>,
    config: Config,
    _ward: Ward,
}

/// How many letters of one queue are taken at once: bodies may be large.
const TAKEN: u16 = 16;
/// From so many queues letters are taken at once.
const QUEUES: usize = 500;
/// How long a queue that was not there is not asked for.
const ABSENT: Duration = Duration::from_secs(10);
/// How often letters that are too old, or too many, are dropped.
const SWEEP: Duration = Duration::from_secs(60);
/// How long a letter that the store refuses waits for another try.
const REFUSED: Duration = Duration::from_secs(60);
/// How long to wait before the store is tried again, doubling.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

impl Collector {
    pub(crate) const fn new(app: App, board: Arc<Board>, config: Config, ward: Ward) -> Self {
        Self {
            app,
            board,
            config,
            _ward: ward,
        }
    }
}

impl Actor for Collector {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (app, board) = (self.app.clone(), Arc::clone(&self.board));
        let work = Work {
            app: app.clone(),
            board: Arc::clone(&board),
            config: Arc::new(self.config.clone()),
        };
        // In this context and not as tasks of their own: they end with the actor, and
        // their panics are the actor's.
        ctx.spawn(work.run().into_actor(self));
        ctx.spawn(Neighbour::new(app, board).answer().into_actor(self));
    }
}

/// What the loops share.
#[derive(Clone)]
struct Work {
    app: App,
    board: Arc<Board>,
    config: Arc<Config>,
}

/// Ends a drain when it is dropped.
struct Drain(AbortHandle);

impl Drop for Drain {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Work {
    async fn run(self) {
        let pulse = self.board.progress.keep("letters");
        let mut drains: BTreeMap<String, Drain> = BTreeMap::new();
        let mut absent: HashMap<String, Instant> = HashMap::new();
        let mut sweep = Instant::now();
        loop {
            drains.retain(|_, drain| !drain.0.is_finished());
            absent.retain(|_, since| since.elapsed() < ABSENT);
            for queue in self.wanted() {
                let known = drains.contains_key(&queue) || absent.contains_key(&queue);
                if known || drains.len() >= QUEUES || !self.app.broker().link().borrow().is_up() {
                    continue;
                }
                match pulse.during(self.is_there(&queue)).await {
                    Some(true) => {
                        let drain = tokio::spawn(self.clone().drain(queue.clone()));
                        drains.insert(queue, Drain(drain.abort_handle()));
                    }
                    Some(false) => {
                        absent.insert(queue, Instant::now());
                    }
                    None => {}
                }
            }
            if sweep.elapsed() >= SWEEP {
                sweep = Instant::now();
                pulse.during(self.sweep()).await;
            }
            pulse
                .during(tokio::time::sleep(self.config.queue_interval))
                .await;
        }
    }

    /// The queues that may hold dead letters.
    fn wanted(&self) -> Vec<String> {
        let known = self.board.queues.iter();
        let dead = known
            .map(|queue| queue.key().clone())
            .filter(|name| !name.ends_with(".dead"))
            .map(|name| naming::dead_queue(&name));
        let mut wanted: Vec<_> = dead
            .chain(self.config.dead_letter_queues.iter().cloned())
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    async fn is_there(&self, queue: &str) -> Option<bool> {
        let asked = self.app.broker().queue(queue);
        match tokio::time::timeout(self.config.broker_timeout, asked).await {
            Ok(Ok(status)) => Some(status.is_some()),
            Ok(Err(error)) => {
                tracing::debug!(queue, %error, "whether there are dead letters is not known");
                None
            }
            Err(_) => None,
        }
    }

    /// Takes the letters of one queue, for ever.
    async fn drain(self, queue: String) {
        let subscription = Subscription::new(queue.clone(), TAKEN);
        let mut consumer = match self.app.broker().consume(subscription).await {
            Ok(consumer) => consumer,
            Err(error) => {
                tracing::warn!(queue, %error, "dead letters cannot be taken");
                return;
            }
        };
        tracing::info!(queue, "dead letters are taken");
        let pulse = self.board.progress.keep("letters");
        while let Some(deliveries) = pulse.during(consumer.next(TAKEN.into())).await {
            self.take(&queue, deliveries, &pulse).await;
        }
    }

    /// Keeps letters, and acknowledges them once they are.
    async fn take(&self, queue: &str, deliveries: Vec<Delivery>, pulse: &Pulse) {
        let Some(mut taken) = pulse.during(self.read(queue, deliveries)).await else {
            tracing::error!(
                queue,
                "dead letters stay with the broker: reading them panicked"
            );
            self.board.metrics.letters("refused", 1);
            // They come back at once.
            return pulse.during(tokio::time::sleep(RETRY.1)).await;
        };
        let mut wait = RETRY.0;
        while !taken.is_empty() {
            // The broker has those of an earlier connection back.
            taken.retain(|(_, receipt)| receipt.is_current());
            let letters: Vec<Letter> = taken.iter().map(|(letter, _)| letter.clone()).collect();
            match pulse.during(self.keep(&letters)).await {
                Ok(kept) => return self.kept(taken, &kept),
                Err(error) if error.is_transient() => {
                    tracing::warn!(queue, letters = taken.len(), %error, ?wait,
                        "dead letters stay with the broker: the store does not take them");
                    pulse.during(tokio::time::sleep(wait)).await;
                    wait = (wait * 2).min(RETRY.1);
                }
                Err(StoreError::Closed) => return,
                Err(_) => {
                    for one in taken {
                        self.take_alone(one, pulse).await;
                    }
                    return;
                }
            }
        }
    }

    async fn keep(&self, letters: &[Letter]) -> Result<Vec<bool>, StoreError> {
        let now = Timestamp::from(celeriac::clock::now()).micros();
        self.board.store.keep_letters(letters, now).await
    }

    /// Keeps a letter whose batch was refused; one that is refused alone waits.
    async fn take_alone(&self, (letter, receipt): (Letter, Receipt), pulse: &Pulse) {
        let id = letter.id.clone();
        let letters = [letter];
        match pulse.during(self.keep(&letters)).await {
            Ok(kept) => {
                let [letter] = letters;
                self.kept(vec![(letter, receipt)], &kept);
            }
            Err(error) => {
                tracing::error!(letter = id, %error, "dead letter stays with the broker");
                self.board.metrics.letters("refused", 1);
                // Given back at once it would come back at once.
                tokio::spawn(async move {
                    tokio::time::sleep(REFUSED).await;
                    receipt.requeue();
                });
            }
        }
    }

    fn kept(&self, taken: Vec<(Letter, Receipt)>, kept: &[bool]) {
        for ((letter, receipt), new) in taken.into_iter().zip(kept) {
            receipt.acknowledge();
            if !new {
                continue;
            }
            tracing::info!(
                letter = letter.id,
                task_id = letter.task_id,
                task = letter.name,
                queue = letter.queue,
                reason = letter.reason.as_str(),
                "dead letter is kept"
            );
            self.board.metrics.letters("kept", 1);
            self.board.feed.publish(Change::Letter {
                id: letter.id,
                what: "kept",
            });
        }
    }

    /// Makes letters of messages, beside the loops: their bodies may be large.
    async fn read(&self, queue: &str, deliveries: Vec<Delivery>) -> Option<Vec<(Letter, Receipt)>> {
        let (config, queue) = (Arc::clone(&self.config), queue.to_owned());
        let now = celeriac::clock::now();
        let read = move || {
            let rules = Rules {
                max_body: config.letter_body,
                redaction: &config.redaction,
            };
            let letter = |delivery: Delivery| {
                let letter = Letter::of(&delivery.message, &queue, now, rules);
                (letter, delivery.receipt)
            };
            deliveries.into_iter().map(letter).collect()
        };
        // A panic gives the messages back.
        tokio::task::spawn_blocking(read).await.ok()
    }

    /// Drops letters that are too old or too many.
    async fn sweep(&self) {
        let now = Timestamp::from(celeriac::clock::now()).micros();
        let age = i64::try_from(self.config.letters_for.as_micros()).unwrap_or(i64::MAX);
        let most = self.config.letters as u64;
        match self
            .board
            .store
            .drop_letters(now.saturating_sub(age), most)
            .await
        {
            Ok(0) => {}
            Ok(dropped) => {
                tracing::warn!(dropped, "dead letters were dropped: too old, or too many");
                self.board.metrics.letters("dropped", dropped);
            }
            Err(error) => tracing::debug!(%error, "dead letters were not swept"),
        }
    }
}
