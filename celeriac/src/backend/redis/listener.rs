//! The one connection that hears of results.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use celeriac_protocol::ResultDocument;
use celeriac_protocol::error::DecodeError;
use celeriac_protocol::naming::keys;
use futures_util::StreamExt;
use redis::RedisError;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::link::rest;
use super::reader::Reader;
use crate::backend::Waiters;

/// How many channels go into one command.
const BATCH: usize = 512;

/// How often channels are left that nobody waits on any more.
const SWEEP: Duration = Duration::from_secs(1);

/// How often a silent connection is asked whether it lives.
const PING: Duration = Duration::from_secs(10);

/// A wish to hear of a task; answered once the server has confirmed.
pub(super) struct Wish {
    pub(super) id: String,
    pub(super) heard: oneshot::Sender<()>,
}

/// Hears of results on one connection, for all who wait in this process.
///
/// ```text
/// idle --first wish--> connecting --> catching up --> listening
///                        ^   ^           | failed        | lost
///                        |   +-----------+               |
///                        +-------------------------------+
/// ```
///
/// Catching up subscribes to all who wait and then reads what was stored meanwhile, so
/// that a lost connection loses no result.
pub(super) struct Listener {
    pub(super) client: redis::Client,
    pub(super) reader: Arc<Reader>,
    pub(super) waiters: Waiters,
    pub(super) wishes: mpsc::Receiver<Wish>,
    pub(super) stop: CancellationToken,
}

/// A connection with what it is subscribed to.
struct Ear {
    sink: PubSubSink,
    stream: PubSubStream,
    /// Ids, not channels.
    subscribed: HashSet<String>,
    timeout: Duration,
}

/// Why listening ended.
type Lost = Box<dyn std::error::Error + Send + Sync>;

impl Listener {
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        // Dropping the future at any point is fine: all state is in it.
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.listen() => {}
        }
    }

    async fn listen(&mut self) {
        let mut wishes = Vec::new();
        if self.wishes.recv_many(&mut wishes, BATCH).await == 0 {
            return;
        }
        let mut failures = 0;
        loop {
            match self.connect_and_hear(&mut wishes, &mut failures).await {
                Ok(()) => return,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(failures, %error, "results are not heard: connecting again");
                    tokio::time::sleep(rest(failures)).await;
                }
            }
        }
    }

    /// Hears until the connection is lost, or until there is no backend any more.
    async fn connect_and_hear(
        &mut self,
        wishes: &mut Vec<Wish>,
        failures: &mut u32,
    ) -> Result<(), Lost> {
        let timeout = self.reader.options().connection_timeout;
        let connection = tokio::time::timeout(timeout, self.client.get_async_pubsub()).await??;
        let (sink, stream) = connection.split();
        let timeout = self.reader.options().response_timeout;
        let mut ear = Ear {
            sink,
            stream,
            subscribed: HashSet::new(),
            timeout,
        };
        self.catch_up(&mut ear).await?;
        *failures = 0;
        self.grant(&mut ear, wishes).await?;
        let mut sweep = tokio::time::interval(SWEEP);
        let mut ping = tokio::time::interval(PING);
        loop {
            tokio::select! {
                message = ear.stream.next() => {
                    let Some(message) = message else { return Err("the server closed it".into()) };
                    self.tell(self.reader.decode(message.get_payload_bytes()));
                }
                count = self.wishes.recv_many(wishes, BATCH) => {
                    if count == 0 {
                        return Ok(());
                    }
                    self.grant(&mut ear, wishes).await?;
                }
                _ = sweep.tick() => self.sweep(&mut ear).await?,
                _ = ping.tick() => ear.ping().await?,
            }
        }
    }

    /// Subscribes to all who wait, then reads what was stored before.
    async fn catch_up(&self, ear: &mut Ear) -> Result<(), Lost> {
        let ids = self.waiters.ids();
        for ids in ids.chunks(BATCH) {
            ear.subscribe(ids, &self.reader).await?;
            for document in self.reader.read(ids).await?.into_iter().flatten() {
                self.tell(document);
            }
        }
        Ok(())
    }

    async fn grant(&self, ear: &mut Ear, wishes: &mut Vec<Wish>) -> Result<(), Lost> {
        let ids: Vec<String> = wishes.iter().map(|wish| wish.id.clone()).collect();
        ear.subscribe(&ids, &self.reader).await?;
        for wish in wishes.drain(..) {
            // Who asked may have given up.
            let _ = wish.heard.send(());
        }
        Ok(())
    }

    fn tell(&self, document: Result<ResultDocument, DecodeError>) {
        match document {
            Ok(document) => drop(self.waiters.notify(document)),
            Err(error) => tracing::warn!(%error, "a result cannot be read"),
        }
    }

    async fn sweep(&self, ear: &mut Ear) -> Result<(), Lost> {
        let left: Vec<String> = ear
            .subscribed
            .iter()
            .filter(|id| !self.waiters.contains(id))
            .cloned()
            .collect();
        for ids in left.chunks(BATCH) {
            ear.unsubscribe(ids, &self.reader).await?;
        }
        Ok(())
    }
}

impl Ear {
    async fn subscribe(&mut self, ids: &[String], reader: &Reader) -> Result<(), Lost> {
        let new: Vec<&String> = ids
            .iter()
            .filter(|id| !self.subscribed.contains(*id))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let channels = channels(&new, reader);
        within(self.timeout, self.sink.subscribe(channels)).await?;
        self.subscribed.extend(new.into_iter().cloned());
        Ok(())
    }

    async fn unsubscribe(&mut self, ids: &[String], reader: &Reader) -> Result<(), Lost> {
        let ids: Vec<&String> = ids.iter().collect();
        within(self.timeout, self.sink.unsubscribe(channels(&ids, reader))).await?;
        for id in ids {
            self.subscribed.remove(id);
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Lost> {
        within(self.timeout, async {
            self.sink.ping::<redis::Value>().await.map(drop)
        })
        .await
    }
}

fn channels(ids: &[&String], reader: &Reader) -> Vec<String> {
    ids.iter()
        .map(|id| reader.options().key(&keys::task(id)))
        .collect()
}

async fn within(
    limit: Duration,
    answer: impl Future<Output = Result<(), RedisError>>,
) -> Result<(), Lost> {
    Ok(tokio::time::timeout(limit, answer).await??)
}
