//! A consumer as its user sees it, and what it shares with the task that feeds it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use celeriac_protocol::Message;
use tokio::sync::{Notify, mpsc, oneshot};

use super::acks::{Acks, Command};
use crate::broker::{BoxFuture, Consumer, Delivery, Receipt, Settlement, Settler, Tag};
use crate::error::{Error, Result};

/// A consumer as its user sees it. Dropping it tells its task to cancel.
#[derive(Debug)]
pub(super) struct AmqpConsumer {
    pub(super) shared: Arc<Shared>,
    pub(super) requests: mpsc::Sender<Request>,
}

/// What the user asks of the task.
#[derive(Debug)]
pub(super) enum Request {
    SetPrefetch(u16, oneshot::Sender<Result<()>>),
    Cancel(oneshot::Sender<()>),
}

/// What a consumer, its receipts and its task share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Arc<str>,
    /// Deliveries are acknowledged when handed out. The server could do so when it
    /// sends them, but then nothing would bound how many it sends.
    automatic: bool,
    /// The server has a consumer for this one.
    consuming: AtomicBool,
    state: Mutex<State>,
    /// Something is in the buffer, or nothing ever will be.
    ready: Notify,
    /// There is something to flush.
    pub(super) work: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The present channel's, 0 between two. What is below belongs to it.
    epoch: u64,
    acks: Acks,
    /// Bounded by the prefetch.
    buffer: VecDeque<Arrived>,
    /// Nothing is handed out any more: what comes goes back.
    ended: bool,
}

/// A message that came and was not handed out.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) number: u64,
    pub(super) message: Arc<Message>,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) redelivered: bool,
}

impl Shared {
    pub(super) fn new(queue: &str, automatic: bool) -> Arc<Self> {
        Arc::new(Self {
            queue: queue.into(),
            automatic,
            consuming: AtomicBool::new(false),
            state: Mutex::default(),
            ready: Notify::new(),
            work: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether the server has a consumer for this one.
    pub(super) fn set_consuming(&self, consuming: bool) {
        self.consuming.store(consuming, Ordering::Release);
    }

    /// Begins a channel, on which the server has a consumer.
    pub(super) fn attach(&self, epoch: u64) {
        self.lock().epoch = epoch;
        self.set_consuming(true);
    }

    /// Forgets a channel: the server has back what was not settled on it.
    pub(super) fn detach(&self) {
        self.set_consuming(false);
        let mut state = self.lock();
        state.epoch = 0;
        state.acks = Acks::default();
        state.buffer.clear();
    }

    /// Hands out nothing more; what was not handed out goes back with the next flush.
    pub(super) fn end(&self) {
        self.set_consuming(false);
        let mut state = self.lock();
        state.ended = true;
        while let Some(arrived) = state.buffer.pop_front() {
            state.acks.finish(arrived.number, Settlement::Requeue);
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Adds what came.
    pub(super) fn push(&self, arrived: impl Iterator<Item = Arrived>) {
        let mut state = self.lock();
        let mut first = false;
        for arrived in arrived {
            state.acks.deliver(arrived.number);
            if state.ended {
                first |= state.acks.finish(arrived.number, Settlement::Requeue);
            } else {
                state.buffer.push_back(arrived);
            }
        }
        drop(state);
        self.ready.notify_one();
        if first {
            self.work.notify_one();
        }
    }

    /// Returns what to tell the server.
    pub(super) fn flush(&self, out: &mut Vec<Command>) {
        self.lock().acks.flush(out);
    }

    /// Returns how many deliveries are not settled, and how many of them wait here.
    pub(super) fn load(&self) -> (usize, usize) {
        let state = self.lock();
        (state.acks.outstanding(), state.buffer.len())
    }

    /// Hands out what is here.
    fn take(self: &Arc<Self>, max: usize) -> Option<Option<Vec<Delivery>>> {
        let mut state = self.lock();
        if state.buffer.is_empty() {
            return state.ended.then_some(None);
        }
        let epoch = state.epoch;
        let count = state.buffer.len().min(max.max(1));
        let mut first = false;
        let mut deliveries = Vec::with_capacity(count);
        let State { acks, buffer, .. } = &mut *state;
        for arrived in buffer.drain(..count) {
            let receipt = if self.automatic {
                first |= acks.finish(arrived.number, Settlement::Acknowledge);
                Receipt::settled()
            } else {
                let settler: Arc<dyn Settler> = Arc::clone(self) as _;
                Receipt::new(
                    Tag {
                        epoch,
                        number: arrived.number,
                    },
                    settler,
                )
            };
            deliveries.push(Delivery {
                message: arrived.message,
                exchange: arrived.exchange,
                routing_key: arrived.routing_key,
                queue: Arc::clone(&self.queue),
                redelivered: arrived.redelivered,
                receipt,
            });
        }
        drop(state);
        if first {
            self.work.notify_one();
        }
        Some(Some(deliveries))
    }
}

impl Settler for Shared {
    fn settle(&self, tag: Tag, settlement: Settlement) {
        let mut state = self.lock();
        // Under the lock, because a new channel counts its deliveries from 1 again.
        if state.epoch != tag.epoch {
            return;
        }
        let first = state.acks.finish(tag.number, settlement);
        drop(state);
        if first {
            self.work.notify_one();
        }
    }

    fn is_current(&self, tag: Tag) -> bool {
        // Between two channels there are no receipts.
        tag.epoch != 0 && self.lock().epoch == tag.epoch
    }
}

impl Consumer for AmqpConsumer {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Option<Vec<Delivery>>> {
        Box::pin(async move {
            loop {
                if let Some(taken) = self.shared.take(max) {
                    return taken;
                }
                self.shared.ready.notified().await;
            }
        })
    }

    fn set_prefetch(&mut self, prefetch: u16) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let closed = |_| Error::Closed("consumer");
            let request = Request::SetPrefetch(prefetch.max(1), answer);
            self.requests
                .send(request)
                .await
                .map_err(|_| Error::Closed("consumer"))?;
            answered.await.map_err(closed)?
        })
    }

    fn is_consuming(&self) -> bool {
        self.shared.consuming.load(Ordering::Acquire)
    }

    fn cancel(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            // Either error means that the task has ended, which cancelled everything.
            if self.requests.send(Request::Cancel(answer)).await.is_ok() {
                let _ = answered.await;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn arrived(number: u64) -> Arrived {
        Arrived {
            number,
            message: Arc::default(),
            exchange: String::new(),
            routing_key: "q".to_owned(),
            redelivered: false,
        }
    }

    fn returned(shared: &Shared) -> Vec<u64> {
        let mut commands = Vec::new();
        shared.flush(&mut commands);
        let number = |command| match command {
            Command::Return {
                number,
                requeue: true,
            } => number,
            other => panic!("{other:?}"),
        };
        commands.into_iter().map(number).collect()
    }

    #[test]
    fn receipts_are_of_one_channel() {
        let shared = Shared::new("q", false);
        let between = Tag {
            epoch: 0,
            number: 1,
        };
        shared.attach(1);
        shared.push((1..=2).map(arrived));
        let held = shared.take(1).unwrap().unwrap();
        assert!(held[0].receipt.is_current());
        shared.detach();
        assert!(!held[0].receipt.is_current() && !shared.is_current(between));
        assert!(shared.take(1).is_none());
        shared.attach(2);
        shared.push((1..=2).map(arrived));
        shared.settle(between, Settlement::Acknowledge);
        drop(held);
        assert_eq!((shared.load(), returned(&shared)), ((2, 2), vec![]));
    }

    #[test]
    fn what_comes_after_the_end_goes_back() {
        let shared = Shared::new("q", false);
        shared.attach(1);
        shared.push((1..=3).map(arrived));
        let held = shared.take(1).unwrap().unwrap();
        shared.end();
        shared.push((4..=5).map(arrived));
        assert!(shared.take(1).unwrap().is_none());
        assert_eq!(returned(&shared), [2, 3, 4, 5]);
        assert!(held[0].receipt.is_current());
        assert_eq!(shared.load(), (1, 0));
    }
}
