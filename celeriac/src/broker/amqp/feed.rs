//! The task that keeps one consumer fed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use celeriac_protocol::Message;
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions,
};
use lapin::types::{FieldTable, ShortString};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::acks::Command;
use super::connection::{Connection, Live};
use super::consumer::{Arrived, Request, Shared};
use super::core::{Core, random};
use super::failure::{Failure, code};
use super::table;
use super::topology;
use super::watchdog::{Verdict, Watchdog};
use crate::error::Result;

/// The most deliveries moved to the buffer at once, so that settlements get their turn.
const BATCH: usize = 256;

/// How long the server may take to answer when a channel ends.
const GOODBYE: Duration = Duration::from_millis(500);

/// The task that keeps one consumer fed: one channel with one consumer on it, made
/// anew whenever it ends.
///
/// ```text
/// waiting for the connection --> declaring, prefetch, consume --> consuming
///          ^                               | refused                | channel or
///          +------------- backoff ---------+<-- connection lost ----+ cancelled
///
/// consuming --cancel or drop--> lingering (receipts are out) --> ended
/// ```
pub(super) struct Feed {
    pub(super) core: Arc<Core>,
    pub(super) connection: Arc<Connection>,
    pub(super) shared: Arc<Shared>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) queue: ShortString,
    pub(super) prefetch: u16,
    pub(super) exclusive: bool,
    pub(super) arguments: FieldTable,
    /// Who waits for the first time that it consumes.
    pub(super) first: Option<oneshot::Sender<Result<()>>>,
}

/// Why a channel's time is over.
enum End {
    /// The consumer was cancelled, or the broker closed.
    Finished,
    /// Try again.
    Failed(Failure),
}

/// A consumer on a channel.
struct Session<'a> {
    live: &'a Live,
    channel: lapin::Channel,
    stream: Option<lapin::Consumer>,
    /// When to consume again after the server cancelled.
    retry: Option<Instant>,
    retries: u32,
    commands: Vec<Command>,
}

impl Feed {
    /// Runs until the consumer is cancelled or the broker is closed.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        let mut watchdog = Watchdog::new(self.core.config.stall_timeout);
        loop {
            let connection = Arc::clone(&self.connection);
            let live = tokio::select! {
                biased;
                () = self.cancelled_while_down() => break,
                live = connection.live() => match live {
                    Ok(live) => live,
                    Err(_) => break,
                },
            };
            let end = self.session(&live, &mut watchdog, &mut failures).await;
            self.shared.detach();
            let End::Failed(failure) = end else { break };
            failures += 1;
            self.core
                .stats
                .channel_failures
                .fetch_add(1, Ordering::Relaxed);
            if self.is_final(&failure) {
                if let Some(first) = self.first.take() {
                    let _ = first.send(Err(
                        failure.into_error(format!("consuming queue {:?}", self.shared.queue))
                    ));
                }
                break;
            }
            // When the connection is gone its own backoff does the waiting.
            if live.is_up() {
                let wait = self.core.config.backoff.wait(failures, random());
                tracing::warn!(
                    broker = %self.core.url, queue = %self.shared.queue, failures, reason = %failure,
                    retry_in_ms = wait.as_millis() as u64, "consumer lost its channel",
                );
                tokio::select! {
                    biased;
                    () = self.cancelled_while_down() => break,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
        self.shared.end();
    }

    /// Tells whether to give up: only at the first try, when the caller still waits
    /// for the answer, and not for what passes when the server notices that an old
    /// connection is gone.
    fn is_final(&self, failure: &Failure) -> bool {
        self.first.is_some()
            && matches!(failure, Failure::Refused { .. })
            && !failure.is(code::RESOURCE_LOCKED)
    }

    /// Answers requests while there is no channel; returns when told to stop.
    async fn cancelled_while_down(&mut self) {
        let mut closed = self.core.runtime.closed();
        loop {
            tokio::select! {
                biased;
                () = closed.wait() => return,
                request = self.requests.recv() => match request {
                    None => return,
                    Some(Request::Cancel(answer)) => {
                        self.shared.end();
                        let _ = answer.send(());
                        return;
                    }
                    Some(Request::SetPrefetch(prefetch, answer)) => {
                        self.prefetch = prefetch;
                        let _ = answer.send(Ok(()));
                    }
                },
            }
        }
    }

    async fn session(&mut self, live: &Live, watchdog: &mut Watchdog, failures: &mut u32) -> End {
        match self.begin(live).await {
            Ok(mut session) => {
                if let Some(first) = self.first.take() {
                    let _ = first.send(Ok(()));
                }
                let core = Arc::clone(&self.core);
                let _busy = core.busy();
                self.consume(&mut session, watchdog, failures).await
            }
            Err(failure) => End::Failed(failure),
        }
    }

    async fn begin<'a>(&self, live: &'a Live) -> Result<Session<'a>, Failure> {
        let timeout = self.core.config.call_timeout;
        topology::ensure(&self.core, live, &self.shared.queue).await?;
        let channel = live.channel(timeout).await?;
        let stream = tokio::time::timeout(timeout, self.subscribe(&channel)).await??;
        self.shared.attach(self.core.next_epoch());
        Ok(Session {
            live,
            channel,
            stream: Some(stream),
            retry: None,
            retries: 0,
            commands: Vec::new(),
        })
    }

    async fn subscribe(&self, channel: &lapin::Channel) -> lapin::Result<lapin::Consumer> {
        channel
            .basic_qos(self.prefetch, BasicQosOptions { global: false })
            .await?;
        let options = BasicConsumeOptions {
            exclusive: self.exclusive,
            ..BasicConsumeOptions::default()
        };
        channel
            .basic_consume(
                self.queue.clone(),
                "".into(),
                options,
                self.arguments.clone(),
            )
            .await
    }

    async fn consume(
        &mut self,
        session: &mut Session<'_>,
        watchdog: &mut Watchdog,
        failures: &mut u32,
    ) -> End {
        let mut closed = self.core.runtime.closed();
        let shared = Arc::clone(&self.shared);
        watchdog.arrived(Instant::now());
        loop {
            let retry = session.retry;
            tokio::select! {
                biased;
                () = closed.wait() => {
                    self.finish(session, None).await;
                    return End::Finished;
                }
                request = self.requests.recv() => match request {
                    Some(Request::SetPrefetch(prefetch, answer)) => {
                        let changed = self.set_prefetch(session, prefetch).await;
                        let failed = changed.as_ref().err().cloned();
                        let _ = answer.send(changed.map_err(|failure| failure.into_error("changing the prefetch")));
                        if let Some(failure) = failed {
                            return End::Failed(failure);
                        }
                    }
                    Some(Request::Cancel(answer)) => {
                        self.finish(session, Some(answer)).await;
                        self.linger(session).await;
                        return End::Finished;
                    }
                    None => {
                        self.finish(session, None).await;
                        self.linger(session).await;
                        return End::Finished;
                    }
                },
                () = shared.work.notified() => session.flush(&shared),
                delivery = next(&mut session.stream) => match delivery {
                    Some(Ok(delivery)) => {
                        *failures = 0;
                        session.retries = 0;
                        watchdog.arrived(Instant::now());
                        watchdog.recovered();
                        self.receive(session, delivery);
                    }
                    Some(Err(error)) => return End::Failed(error.into()),
                    // The server cancelled: the queue was deleted, or moved.
                    None => {
                        if !session.channel.status().connected() {
                            return End::Failed(Failure::Late);
                        }
                        session.stream = None;
                        self.retry_later(session, "the server cancelled the consumer");
                    }
                },
                () = sleep_until(retry.unwrap_or_else(Instant::now)), if retry.is_some() => {
                    session.retry = None;
                    if let Err(end) = self.again(session).await {
                        return end;
                    }
                }
                () = sleep_until(watchdog.due()) => {
                    if !session.channel.status().connected() {
                        return End::Failed(Failure::Late);
                    }
                    match watchdog.look(&self.core, session.live, &self.shared, self.prefetch).await {
                        Verdict::Fine => {}
                        Verdict::Channel => return End::Failed(Failure::Late),
                        Verdict::Connection => {
                            self.connection.rebuild();
                            return End::Failed(Failure::Late);
                        }
                    }
                }
            }
        }
    }

    fn retry_later(&self, session: &mut Session<'_>, why: &str) {
        session.retries += 1;
        let wait = self.core.config.backoff.wait(session.retries, random());
        tracing::warn!(
            broker = %self.core.url, queue = %self.shared.queue, why,
            retry_in_ms = wait.as_millis() as u64, "consuming again later",
        );
        session.retry = Some(Instant::now() + wait);
    }

    /// Consumes again on the same channel, so that receipts that are out stay good.
    async fn again(&self, session: &mut Session<'_>) -> Result<(), End> {
        let ready = match topology::ensure(&self.core, session.live, &self.shared.queue).await {
            // Consuming a queue that is not there would end the channel.
            Ok(()) => {
                let mut scratch =
                    topology::Scratch::new(session.live, self.core.config.call_timeout);
                match scratch.look(self.queue.clone()).await {
                    Ok(Some(_)) => Ok(()),
                    Ok(None) => Err("the queue is gone".to_owned()),
                    Err(failure) => Err(failure.to_string()),
                }
            }
            Err(failure) => Err(failure.to_string()),
        };
        if let Err(why) = ready {
            if !session.channel.status().connected() {
                return Err(End::Failed(Failure::Late));
            }
            self.retry_later(session, &why);
            return Ok(());
        }
        let subscribed = tokio::time::timeout(
            self.core.config.call_timeout,
            self.subscribe(&session.channel),
        )
        .await;
        match subscribed
            .map_err(Failure::from)
            .and_then(|done| done.map_err(Failure::from))
        {
            Ok(stream) => {
                session.stream = Some(stream);
                Ok(())
            }
            Err(failure) => Err(End::Failed(failure)),
        }
    }

    /// Moves a delivery, and those that came with it, to the buffer.
    fn receive(&self, session: &mut Session<'_>, first: Delivery) {
        let mut count = 0u64;
        let stream = &mut session.stream;
        let more = std::iter::from_fn(|| match next(stream).now_or_never() {
            Some(Some(Ok(delivery))) => Some(delivery),
            // An end is told once more by the stream's status; see `consume`.
            Some(_) => {
                *stream = None;
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
        if session.stream.is_none() {
            self.retry_later(session, "the consumer ended");
        }
    }

    /// Changes the prefetch, which RabbitMQ reads only when a consumer starts.
    async fn set_prefetch(
        &mut self,
        session: &mut Session<'_>,
        prefetch: u16,
    ) -> Result<(), Failure> {
        if prefetch == self.prefetch {
            return Ok(());
        }
        self.prefetch = prefetch;
        let Some(old) = session.stream.take() else {
            return Ok(());
        };
        let timeout = self.core.config.call_timeout;
        // The new one first, or a queue that goes with its last consumer would go; but
        // an exclusive consumer must leave before another can come.
        let new = if self.exclusive {
            self.unsubscribe(session, old).await?;
            tokio::time::timeout(timeout, self.subscribe(&session.channel)).await??
        } else {
            let new = tokio::time::timeout(timeout, self.subscribe(&session.channel)).await??;
            self.unsubscribe(session, old).await?;
            new
        };
        session.stream = Some(new);
        Ok(())
    }

    /// Cancels on the server and moves what came until then to the buffer.
    async fn unsubscribe(
        &self,
        session: &Session<'_>,
        stream: lapin::Consumer,
    ) -> Result<(), Failure> {
        let cancel = session
            .channel
            .basic_cancel(stream.tag(), Default::default());
        let cancelled = tokio::time::timeout(GOODBYE, cancel).await;
        let mut stream = Some(stream);
        let rest = std::iter::from_fn(|| next(&mut stream).now_or_never()??.ok());
        self.shared.push(rest.map(arrived));
        Ok(cancelled??)
    }

    /// Stops new deliveries and gives back those that nobody took.
    async fn finish(&mut self, session: &mut Session<'_>, answer: Option<oneshot::Sender<()>>) {
        if let Some(stream) = session.stream.take() {
            // When it fails the channel is gone, and everything went back with it.
            let _ = self.unsubscribe(session, stream).await;
        }
        self.shared.requeue_buffered();
        session.flush(&self.shared);
        self.shared.end();
        if let Some(answer) = answer {
            let _ = answer.send(());
        }
        if self.core.runtime.closed().now() {
            session.close().await;
        }
    }

    /// Keeps the channel for as long as receipts are out.
    async fn linger(&mut self, session: &mut Session<'_>) {
        let mut closed = self.core.runtime.closed();
        while self.shared.load().0 > 0 && session.channel.status().connected() {
            tokio::select! {
                biased;
                () = closed.wait() => break,
                () = self.shared.work.notified() => session.flush(&self.shared),
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
        session.flush(&self.shared);
        session.close().await;
    }
}

impl Session<'_> {
    /// Tells the server what was settled, without waiting: the first poll queues the
    /// frame, and a channel that cannot take it has lost the deliveries anyway.
    fn flush(&mut self, shared: &Shared) {
        shared.flush(&mut self.commands);
        for command in self.commands.drain(..) {
            let channel = &self.channel;
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
                } => channel
                    .basic_reject(number, BasicRejectOptions { requeue: false })
                    .now_or_never(),
            };
        }
    }

    async fn close(&self) {
        let _ = tokio::time::timeout(GOODBYE, self.channel.close(200, "OK".into())).await;
    }
}

/// Waits for the next delivery; for ever when there is no consumer.
async fn next(stream: &mut Option<lapin::Consumer>) -> Option<lapin::Result<Delivery>> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

fn arrived(delivery: Delivery) -> Arrived {
    let message: Message = table::message(&delivery.properties, delivery.data);
    Arrived {
        number: delivery.delivery_tag,
        message: Arc::new(message),
        exchange: delivery.exchange.into(),
        routing_key: delivery.routing_key.into(),
        redelivered: delivery.redelivered,
    }
}
