//! Results as messages to the caller, as Celery's `rpc://` sends them.

mod cache;
mod inbox;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use celeriac_protocol::naming::argument;
use celeriac_protocol::{Codec, Message, Properties, ResultDocument};

use self::inbox::Inbox;
use super::{Backend, Capabilities, Store, Stored, Waiter};
use crate::broker::{BoxFuture, Broker, Publication, Queue};
use crate::error::Result;

/// Sends results as messages to the caller, as Celery's `rpc://` does.
///
/// The caller has a queue of its own, named by a UUID; task messages name it in
/// `reply_to`, and who runs the task sends each state there. Works over any broker.
///
/// What this cannot do: only the caller can read a result, as long as the process
/// lives that made the call; a result is not stored anywhere else. Results that nobody
/// waits for are kept in memory, the newest [`Config::kept`] of them. There are no
/// chords. For anything that others read, or that outlives a process, use a backend
/// that stores.
///
/// # Delivery guarantee
///
/// A result is handed to the broker and not confirmed: it is lost with the connection,
/// with the caller's queue, and, unless [`Config::persistent`], with the broker.
pub struct RpcBackend {
    broker: Arc<dyn Broker>,
    config: Config,
    queue: String,
    inbox: Inbox,
}

/// What can be set on an [`RpcBackend`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// How results are written. Default JSON.
    pub codec: Codec,
    /// Whether results survive a restart of the broker in the caller's queue. Default
    /// false, as in Celery.
    pub persistent: bool,
    /// How long the caller's queue outlives the caller; `None` is for ever. Default a
    /// day, as in Celery.
    pub expires: Option<Duration>,
    /// How many results are kept that nobody waited for when they came. Default
    /// 10,000.
    pub kept: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            codec: Codec::Json,
            persistent: false,
            expires: Some(Duration::from_secs(24 * 60 * 60)),
            kept: 10_000,
        }
    }
}

impl RpcBackend {
    /// Makes a backend with the default settings.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self::with_config(broker, Config::default())
    }

    /// Makes a backend. The caller's queue is declared when it is first needed, so a
    /// process that only runs tasks has none.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn with_config(broker: Arc<dyn Broker>, config: Config) -> Self {
        let queue = uuid::Uuid::new_v4().to_string();
        let mut declared = Queue {
            auto_delete: true,
            ..Queue::new(&queue)
        };
        if let Some(expires) = config.expires.filter(|expires| !expires.is_zero()) {
            let millis = i64::try_from(expires.as_millis()).unwrap_or(i64::MAX);
            declared = declared.argument(argument::EXPIRES, millis);
        }
        let inbox = Inbox::new(Arc::clone(&broker), declared, config.kept);
        Self {
            broker,
            config,
            queue,
            inbox,
        }
    }

    fn publication(&self, store: Store, reply_to: String) -> Result<Publication> {
        let body = store.document.encode(self.config.codec)?;
        let message = Message {
            properties: Properties {
                content_type: Some(self.config.codec.content_type().to_owned()),
                content_encoding: Some(self.config.codec.content_encoding().to_owned()),
                delivery_mode: Some(if self.config.persistent { 2 } else { 1 }),
                priority: Some(0),
                correlation_id: Some(store.correlation_id.unwrap_or(store.document.task_id)),
                ..Properties::default()
            },
            body: body.into(),
            ..Message::default()
        };
        Ok(Publication::to_queue(reply_to, message).unconfirmed())
    }

    async fn send(&self, batch: Vec<Store>) -> Vec<Result<Stored>> {
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut publications = Vec::with_capacity(batch.len());
        for mut store in batch {
            if let Err(closed) = self.inbox.check() {
                outcomes.push(Err(closed));
                continue;
            }
            let reply_to = store.reply_to.take().filter(|queue| !queue.is_empty());
            outcomes.push(match reply_to.map(|queue| self.publication(store, queue)) {
                None => Ok(Stored::Dropped),
                Some(Err(error)) => Err(error),
                Some(Ok(publication)) => {
                    publications.push(publication);
                    Ok(Stored::Written)
                }
            });
        }
        let mut sent = self.broker.publish_all(publications).await.into_iter();
        for outcome in outcomes
            .iter_mut()
            .filter(|outcome| matches!(outcome, Ok(Stored::Written)))
        {
            if let Some(Err(error)) = sent.next() {
                *outcome = Err(error);
            }
        }
        outcomes
    }
}

impl Backend for RpcBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            stores: true,
            shared: true,
            fetch: false,
            join: false,
        }
    }

    fn url(&self) -> String {
        "rpc://".to_owned()
    }

    fn store(&self, batch: Vec<Store>) -> BoxFuture<'_, Vec<Result<Stored>>> {
        Box::pin(self.send(batch))
    }

    /// Answers from the results that came to this process and are still kept.
    fn fetch<'a>(
        &'a self,
        ids: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<ResultDocument>>>> {
        Box::pin(async move {
            self.inbox.open().await?;
            Ok(self.inbox.known(ids))
        })
    }

    fn watch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Waiter>> {
        Box::pin(async move {
            self.inbox.open().await?;
            Ok(self.inbox.wait(id))
        })
    }

    fn forget<'a>(&'a self, ids: &'a [String]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.inbox.check()?;
            self.inbox.forget(ids);
            Ok(())
        })
    }

    /// Returns the caller's queue. It exists once [`Backend::watch`] returned; results
    /// sent to it before are lost.
    fn reply_to(&self) -> Option<String> {
        Some(self.queue.clone())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.inbox.close())
    }
}

impl fmt::Debug for RpcBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcBackend")
            .field("queue", &self.queue)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use celeriac_protocol::{State, Value};

    use super::*;
    use crate::broker;
    use crate::error::Error;

    fn pair() -> (RpcBackend, RpcBackend) {
        let broker = broker::open("memory://").unwrap();
        (
            RpcBackend::new(Arc::clone(&broker)),
            RpcBackend::new(broker),
        )
    }

    fn store(caller: &RpcBackend, id: &str, status: State, result: i64) -> Store {
        Store {
            document: ResultDocument::new(id, status, result),
            reply_to: caller.reply_to(),
            correlation_id: None,
        }
    }

    #[tokio::test]
    async fn a_result_reaches_its_caller() {
        let (caller, node) = pair();
        let mut waiter = caller.watch("a").await.unwrap();
        let stored = node
            .store(vec![store(&caller, "a", State::Success, 5)])
            .await;
        assert!(matches!(stored[..], [Ok(Stored::Written)]));
        let document = waiter.ready().await;
        assert_eq!(
            (document.task_id.as_str(), &document.result),
            ("a", &Value::Int(5))
        );
        // And again, for those who ask later.
        let again = caller
            .fetch(&["a".to_owned(), "b".to_owned()])
            .await
            .unwrap();
        assert_eq!(
            again[0].as_ref().map(|document| &document.result),
            Some(&Value::Int(5))
        );
        assert!(again[1].is_none());
        assert_eq!(
            caller.watch("a").await.unwrap().ready().await.result,
            Value::Int(5)
        );
    }

    #[tokio::test]
    async fn a_process_that_waits_for_nothing_has_no_queue() {
        let (caller, node) = pair();
        let queue = caller.reply_to().unwrap();
        node.store(vec![store(&caller, "a", State::Success, 5)])
            .await;
        // Long enough for anything that would declare it in the background.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(caller.broker.queue(&queue).await.unwrap(), None);
        caller.watch("b").await.unwrap();
        let status = caller.broker.queue(&queue).await.unwrap().unwrap();
        assert_eq!(status.consumers, 1);
    }

    #[tokio::test]
    async fn a_result_that_nobody_waited_for_is_kept() {
        let (caller, node) = pair();
        let mut other = caller.watch("other").await.unwrap();
        let batch = vec![
            store(&caller, "early", State::Success, 1),
            store(&caller, "early", State::Started, 2),
            store(&caller, "other", State::Success, 3),
        ];
        node.store(batch).await;
        other.ready().await;
        // A late state on the way does not hide the end.
        assert_eq!(
            caller.watch("early").await.unwrap().ready().await.result,
            Value::Int(1)
        );
        caller.forget(&["early".to_owned()]).await.unwrap();
        assert_eq!(caller.fetch(&["early".to_owned()]).await.unwrap(), [None]);
    }

    #[tokio::test]
    async fn without_a_caller_nothing_is_sent() {
        let (caller, node) = pair();
        let nobody = Store {
            reply_to: None,
            ..store(&caller, "a", State::Success, 1)
        };
        assert!(matches!(
            node.store(vec![nobody]).await[..],
            [Ok(Stored::Dropped)]
        ));
    }

    #[tokio::test]
    async fn after_close_calls_fail() {
        let (caller, _) = pair();
        caller.watch("a").await.unwrap();
        caller.close().await;
        assert!(matches!(caller.watch("a").await, Err(Error::Closed(_))));
    }
}
