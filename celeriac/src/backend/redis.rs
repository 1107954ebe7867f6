//! The Redis backend, in Celery's own keys and channels.

mod groups;
mod joins;
mod link;
mod listener;
mod options;
mod reader;
mod stored;
mod writer;

use std::fmt;
use std::sync::Arc;

use celeriac_protocol::{ResultDocument, ResultTuple};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::groups::Groups;
use self::joins::Joins;
use self::link::{Link, WHAT};
use self::listener::{Listener, Wish};
pub use self::options::RedisOptions;
use self::options::Target;
use self::reader::Reader;
use self::writer::Writer;
use super::{
    Addition, Backend, Capabilities, Claim, Joined, Member, Store, Stored, Waiter, Waiters,
};
use crate::broker::BoxFuture;
use crate::error::{Error, Result};

/// How many wishes to hear of a result may queue up before [`Backend::watch`] waits.
const WISHES: usize = 1024;

/// Keeps results in Redis, where Celery's clients and workers read and write them.
///
/// One connection carries all commands, another one hears of all results; both are
/// made when first needed and again when lost. A batch is stored in one round trip,
/// each document by one atomic step that never replaces a success. A call on a server
/// that is away fails at once or after the timeout with a retryable error.
///
/// # Delivery guarantee
///
/// A waiter hears of every result that is stored after [`Backend::watch`] returned,
/// through reconnects, for as long as the result is kept.
pub struct RedisBackend {
    url: String,
    link: Arc<Link>,
    reader: Arc<Reader>,
    writer: Writer,
    joins: Joins,
    groups: Groups,
    waiters: Waiters,
    wishes: mpsc::Sender<Wish>,
    stop: CancellationToken,
    /// Ends the listener with the backend.
    _stop: DropGuard,
}

impl RedisBackend {
    /// Makes a backend as a URL says:
    /// `redis://[user:password@]host[:port][/db]`, `rediss://` for TLS, with Celery's
    /// settings as parameters: `global_keyprefix`, `result_expires`,
    /// `result_failure_expires`, `result_chord_expires`, `result_chord_ordered`,
    /// `result_serializer`, `socket_timeout`, `socket_connect_timeout`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for anything else. That the server is away is no error here.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn open(url: &str) -> Result<Self> {
        let target = Target::read(url)?;
        let options = target.options.clone();
        Ok(Self::start(target, options))
    }

    /// Makes a backend with options that take the place of the URL's parameters.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn with_options(url: &str, options: RedisOptions) -> Result<Self> {
        Ok(Self::start(Target::read(url)?, options))
    }

    fn start(target: Target, options: RedisOptions) -> Self {
        let link = Arc::new(Link::new(target.client.clone(), &options));
        let reader = Arc::new(Reader::new(Arc::clone(&link), options));
        let waiters = Waiters::default();
        let stop = CancellationToken::new();
        let (wishes, receiver) = mpsc::channel(WISHES);
        let listener = Listener {
            client: target.client,
            reader: Arc::clone(&reader),
            waiters: waiters.clone(),
            wishes: receiver,
            stop: stop.clone(),
        };
        tokio::spawn(listener.run());
        Self {
            url: target.url,
            writer: Writer::new(Arc::clone(&link)),
            joins: Joins::new(Arc::clone(&link)),
            groups: Groups::new(Arc::clone(&link)),
            link,
            reader,
            waiters,
            wishes,
            _stop: stop.clone().drop_guard(),
            stop,
        }
    }

    fn check_open(&self) -> Result<()> {
        if self.stop.is_cancelled() {
            Err(Error::Closed(WHAT))
        } else {
            Ok(())
        }
    }

    /// Waits until the listener hears of a task.
    async fn hear(&self, id: &str) -> Result<()> {
        let options = self.reader.options();
        let limit = options.connection_timeout + options.response_timeout;
        let asked = async {
            let (heard, hears) = oneshot::channel();
            let wish = Wish {
                id: id.to_owned(),
                heard,
            };
            // Both fail only when the listener has ended.
            self.wishes
                .send(wish)
                .await
                .map_err(|_| Error::Closed(WHAT))?;
            hears.await.map_err(|_| Error::Closed(WHAT))
        };
        match tokio::time::timeout(limit, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Timeout {
                what: "subscribing to a result".to_owned(),
                after: limit,
            }),
        }
    }
}

impl Backend for RedisBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            stores: true,
            shared: true,
            fetch: true,
            join: true,
        }
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    fn store(&self, batch: Vec<Store>) -> BoxFuture<'_, Vec<Result<Stored>>> {
        Box::pin(async move {
            if self.check_open().is_err() {
                return batch.iter().map(|_| Err(Error::Closed(WHAT))).collect();
            }
            let documents: Vec<ResultDocument> =
                batch.into_iter().map(|store| store.document).collect();
            self.writer.store(&documents, self.reader.options()).await
        })
    }

    fn fetch<'a>(
        &'a self,
        ids: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<ResultDocument>>>> {
        Box::pin(async move {
            self.check_open()?;
            self.reader.fetch(ids).await
        })
    }

    fn watch<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Waiter>> {
        Box::pin(async move {
            self.check_open()?;
            let waiter = self.waiters.wait(id);
            // Subscribed first and read after: whatever comes between is heard.
            self.hear(id).await?;
            let ids = [id.to_owned()];
            for document in self.reader.fetch(&ids).await?.into_iter().flatten() {
                self.waiters.notify(document);
            }
            Ok(waiter)
        })
    }

    fn forget<'a>(&'a self, ids: &'a [String]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.check_open()?;
            self.reader.forget(ids).await
        })
    }

    fn begin_join<'a>(&'a self, group: &'a str, size: u32) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.check_open()?;
            self.joins.begin(group, size, self.reader.options()).await
        })
    }

    fn extend_join<'a>(
        &'a self,
        group: &'a str,
        addition: Addition<'a>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.check_open()?;
            let options = self.reader.options();
            self.joins.extend(group, &addition, options).await
        })
    }

    fn save_group<'a>(&'a self, group: &'a ResultTuple) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.check_open()?;
            self.groups.save(group, self.reader.options()).await
        })
    }

    fn restore_group<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<ResultTuple>>> {
        Box::pin(async move {
            self.check_open()?;
            self.groups.restore(id, self.reader.options()).await
        })
    }

    fn delete_group<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.check_open()?;
            self.groups.delete(id, self.reader.options()).await
        })
    }

    fn join(&self, member: Member) -> BoxFuture<'_, Result<Option<Vec<Joined>>>> {
        Box::pin(async move {
            self.check_open()?;
            self.joins.join(&member, self.reader.options()).await
        })
    }

    fn hold_join<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            self.check_open()?;
            self.joins.hold(claim, self.reader.options()).await
        })
    }

    fn end_join<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.check_open()?;
            self.joins.end(group, self.reader.options()).await
        })
    }

    fn break_join<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.check_open()?;
            self.joins.give_up(group, self.reader.options()).await
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.stop.cancel();
            self.link.close().await;
        })
    }
}

impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackend")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
