//! One channel with one consumer on it, from its opening to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions,
};
use lapin::types::{FieldTable, ShortString};
use tokio::time::{Instant, timeout};

use super::acks::Command;
use super::connection::Live;
use super::consumer::{Arrived, Shared};
use super::core::{Core, random};
use super::declare;
use super::failure::Failure;
use super::table;

/// The most deliveries moved to the buffer at once, so that settlements get their turn.
const BATCH: usize = 256;

/// How long to wait for the server's answer when a consumer or channel ends. What comes
/// later is not lost, only not waited for.
const GOODBYE: Duration = Duration::from_millis(500);

/// What to consume, and how.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) queue: ShortString,
    pub(super) prefetch: u16,
    pub(super) exclusive: bool,
    pub(super) arguments: FieldTable,
}

/// One channel with one consumer on it.
pub(super) struct Session {
    pub(super) live: Arc<Live>,
    core: Arc<Core>,
    shared: Arc<Shared>,
    channel: lapin::Channel,
    stream: Option<lapin::Consumer>,
    /// When to consume again after the server cancelled.
    pub(super) retry: Option<Instant>,
    retries: u32,
    commands: Vec<Command>,
}

impl Session {
    /// Declares the queue if it is remembered, opens a channel and consumes.
    pub(super) async fn open(
        core: &Arc<Core>,
        live: &Arc<Live>,
        shared: &Arc<Shared>,
        wanted: &Wanted,
    ) -> Result<Self, Failure> {
        let limit = core.config.call_timeout;
        declare::ensure(core, live, &shared.queue).await?;
        let channel = live.channel(limit).await?;
        let stream = timeout(limit, subscribe(&channel, wanted)).await??;
        shared.attach(core.next_epoch());
        Ok(Self {
            live: Arc::clone(live),
            core: Arc::clone(core),
            shared: Arc::clone(shared),
            channel,
            stream: Some(stream),
            retry: None,
            retries: 0,
            commands: Vec::new(),
        })
    }

    /// Tells whether the channel can be used.
    pub(super) fn is_up(&self) -> bool {
        self.channel.status().connected()
    }

    /// Waits for the next delivery; `None` when the server cancelled the consumer.
    pub(super) async fn next(&mut self) -> Option<lapin::Result<Delivery>> {
        next(&mut self.stream).await
    }

    /// Moves a delivery, and those that came with it, to the buffer; says whether the
    /// consumer ended with them.
    pub(super) fn receive(&mut self, first: Delivery) -> bool {
        self.retries = 0;
        let mut count = 0;
        let mut ended = false;
        let stream = &mut self.stream;
        let more = std::iter::from_fn(|| match next(stream).now_or_never() {
            Some(Some(Ok(delivery))) => Some(delivery),
            Some(_) => {
                ended = true;
                None
            }
            None => None,
        });
        self.shared.push(
            std::iter::once(first)
                .chain(more.take(BATCH))
                .map(|delivery| {
                    count += 1;
                    arrived(delivery)
                }),
        );
        self.core
            .stats
            .delivered
            .fetch_add(count, Ordering::Relaxed);
        if ended {
            self.stream = None;
        }
        ended
    }

    /// Notes that the server cancelled the consumer: the queue was deleted, or moved.
    pub(super) fn cancelled(&mut self, why: &str) {
        self.stream = None;
        self.shared.set_consuming(false);
        self.retries += 1;
        let wait = self.core.config.backoff.wait(self.retries, random());
        tracing::warn!(
            broker = %self.core.url, queue = %self.shared.queue, why,
            retry_in_ms = wait.as_millis() as u64, "consuming again later",
        );
        self.retry = Some(Instant::now() + wait);
    }

    /// Consumes again on the same channel, so that receipts that are out stay good.
    pub(super) async fn again(&mut self, wanted: &Wanted) -> Result<(), Failure> {
        self.retry = None;
        if let Err(why) = self.find(wanted).await {
            if !self.is_up() {
                return Err(Failure::Ended);
            }
            self.cancelled(&why);
            return Ok(());
        }
        let subscribed = subscribe(&self.channel, wanted);
        self.stream = Some(timeout(self.core.config.call_timeout, subscribed).await??);
        self.shared.set_consuming(true);
        Ok(())
    }

    /// Declares the queue, or at least finds it: to consume one that is not there would
    /// end the channel.
    async fn find(&self, wanted: &Wanted) -> Result<(), String> {
        let say = |failure: Failure| failure.to_string();
        declare::ensure(&self.core, &self.live, &self.shared.queue)
            .await
            .map_err(say)?;
        let mut scratch = declare::Scratch::new(&self.live, self.core.config.call_timeout);
        match scratch.look(wanted.queue.clone()).await.map_err(say)? {
            Some(_) => Ok(()),
            None => Err("the queue is gone".to_owned()),
        }
    }

    /// Takes over a changed prefetch, which RabbitMQ reads only when a consumer starts.
    pub(super) async fn restart(&mut self, wanted: &Wanted) -> Result<(), Failure> {
        let Some(old) = self.stream.take() else {
            return Ok(());
        };
        let limit = self.core.config.call_timeout;
        // The new one first, or a queue that goes with its last consumer would go; but
        // an exclusive consumer must leave before another can come.
        self.stream = Some(if wanted.exclusive {
            self.unsubscribe(old, limit).await?;
            timeout(limit, subscribe(&self.channel, wanted)).await??
        } else {
            let new = timeout(limit, subscribe(&self.channel, wanted)).await??;
            self.unsubscribe(old, limit).await?;
            new
        });
        Ok(())
    }

    /// Stops new deliveries and gives back those that nobody took.
    pub(super) async fn stop(&mut self) {
        // First, so that what comes until the server has stopped goes back as well.
        self.shared.end();
        if let Some(stream) = &mut self.stream {
            let cancel = self.channel.basic_cancel(stream.tag(), Default::default());
            // When it fails the channel is gone, and everything went back with it; when
            // the server is slow, what it still sends is for `receive`.
            if timeout(GOODBYE, cancel).await.is_ok() {
                drain(stream, &self.shared);
                self.stream = None;
            }
        }
        self.flush();
    }

    /// Cancels on the server and moves what came until then to the buffer.
    async fn unsubscribe(
        &self,
        mut stream: lapin::Consumer,
        limit: Duration,
    ) -> Result<(), Failure> {
        let cancel = self.channel.basic_cancel(stream.tag(), Default::default());
        let cancelled = timeout(limit, cancel).await;
        drain(&mut stream, &self.shared);
        Ok(cancelled??)
    }

    /// Tells the server what was settled, without waiting: the first poll queues the
    /// frame, and a channel that cannot take it has lost the deliveries anyway.
    pub(super) fn flush(&mut self) {
        self.shared.flush(&mut self.commands);
        let channel = &self.channel;
        for command in self.commands.drain(..) {
            let _ = match command {
                Command::Acknowledge { number, multiple } => channel
                    .basic_ack(number, BasicAckOptions { multiple })
                    .now_or_never(),
                // A return is not a failed delivery: newer servers count rejections
                // against the message, and only those.
                Command::Return {
                    number,
                    requeue: true,
                } => {
                    let options = BasicNackOptions {
                        requeue: true,
                        multiple: false,
                    };
                    channel.basic_nack(number, options).now_or_never()
                }
                Command::Return {
                    number,
                    requeue: false,
                } => {
                    let options = BasicRejectOptions { requeue: false };
                    channel.basic_reject(number, options).now_or_never()
                }
            };
        }
    }

    /// Closes the channel, which gives back what is not settled.
    pub(super) async fn close(&mut self) {
        self.flush();
        let _ = timeout(GOODBYE, self.channel.close(200, "OK".into())).await;
    }
}

async fn subscribe(channel: &lapin::Channel, wanted: &Wanted) -> lapin::Result<lapin::Consumer> {
    channel
        .basic_qos(wanted.prefetch, BasicQosOptions { global: false })
        .await?;
    let options = BasicConsumeOptions {
        exclusive: wanted.exclusive,
        ..BasicConsumeOptions::default()
    };
    channel
        .basic_consume(
            wanted.queue.clone(),
            "".into(),
            options,
            wanted.arguments.clone(),
        )
        .await
}

/// Waits for the next delivery; for ever when there is no consumer.
async fn next(stream: &mut Option<lapin::Consumer>) -> Option<lapin::Result<Delivery>> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

/// Moves what is here to the buffer.
fn drain(stream: &mut lapin::Consumer, shared: &Shared) {
    let rest = std::iter::from_fn(|| stream.next().now_or_never()??.ok());
    shared.push(rest.map(arrived));
}

fn arrived(delivery: Delivery) -> Arrived {
    Arrived {
        number: delivery.delivery_tag,
        message: Arc::new(table::message(&delivery.properties, delivery.data)),
        exchange: delivery.exchange.into(),
        routing_key: delivery.routing_key.into(),
        redelivered: delivery.redelivered,
    }
}
