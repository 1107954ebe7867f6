//! Results of many calls at once.

use std::time::Duration;

use celeriac_protocol::{ResultDocument, State, Value};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::get::{check, value};
use super::{AsyncResult, revoke};
use crate::app::App;
use crate::broker::BoxFuture;
use crate::error::{Error, Result};

/// The results of many calls, to be waited for and called off together.
///
/// # Example
///
/// ```no_run
/// use std::time::Duration;
///
/// use celeriac::result::ResultSet;
/// use celeriac::{App, task};
///
/// #[task]
/// async fn fetch(page: u32) -> usize {
///     page as usize
/// }
///
/// # async fn example(app: App) -> celeriac::Result<()> {
/// let mut pages = ResultSet::new(&app);
/// for page in 1..=20 {
///     pages.add(fetch.call(page).send(&app).await?);
/// }
/// // As they come.
/// let mut completed = pages.completed();
/// while let Some((page, size)) = completed.next(Duration::from_secs(60)).await? {
///     println!("{}: {:?}", page.id(), size);
/// }
/// // Or all, in their order.
/// let sizes: Vec<usize> = pages.get(Duration::from_secs(60)).await?;
/// println!("{sizes:?} {:?}", pages.counts().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ResultSet<R = Value> {
    app: App,
    results: Vec<AsyncResult<R>>,
}

/// How far the results of a set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// How many succeeded.
    pub successful: usize,
    /// How many failed, or were called off.
    pub failed: usize,
    /// How many have not ended.
    pub waiting: usize,
}

impl Counts {
    /// Returns how many have ended, well or not.
    pub const fn completed(&self) -> usize {
        self.successful + self.failed
    }

    /// Tells whether all have ended.
    pub const fn is_ready(&self) -> bool {
        self.waiting == 0
    }
}

impl<R> ResultSet<R> {
    /// Makes an empty set.
    pub fn new(app: &App) -> Self {
        Self::of(app, Vec::new())
    }

    pub(super) fn of(app: &App, results: Vec<AsyncResult<R>>) -> Self {
        Self {
            app: app.clone(),
            results,
        }
    }

    pub(super) const fn app(&self) -> &App {
        &self.app
    }

    /// Adds a result, unless one of its id is there.
    pub fn add(&mut self, result: AsyncResult<R>) {
        if self.results.iter().all(|known| known.id() != result.id()) {
            self.results.push(result);
        }
    }

    /// Removes and returns the result of an id.
    pub fn remove(&mut self, id: &str) -> Option<AsyncResult<R>> {
        let at = self.results.iter().position(|result| result.id() == id)?;
        Some(self.results.remove(at))
    }

    /// Returns the results in their order.
    pub fn results(&self) -> &[AsyncResult<R>] {
        &self.results
    }

    /// Returns the results in their order.
    pub fn into_results(self) -> Vec<AsyncResult<R>> {
        self.results
    }

    /// Returns the number of results.
    pub fn len(&self) -> usize {
        self.results.len()
    }

    /// Tells whether there is no result.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// Counts the results by how far they are now. A result that is a group counts once.
    ///
    /// # Errors
    ///
    /// When the backend is out of reach.
    pub async fn counts(&self) -> Result<Counts> {
        let documents = self.results.iter().map(AsyncResult::document);
        let mut counts = Counts::default();
        for document in try_join_all(documents).await? {
            match document.map(|document| document.status) {
                Some(State::Success) => counts.successful += 1,
                Some(state) if state.is_ready() => counts.failed += 1,
                _ => counts.waiting += 1,
            }
        }
        Ok(counts)
    }

    /// Waits until all have ended, well or not, and returns their documents in order.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`]; [`Error::Unsupported`] when the backend keeps no results.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: ask again.
    pub async fn ready(&self, within: Duration) -> Result<Vec<ResultDocument>> {
        check(&self.app)?;
        let ends = try_join_all(self.results.iter().map(AsyncResult::end));
        match timeout(within, ends).await {
            Ok(documents) => documents,
            Err(_) => Err(self.late(within)),
        }
    }

    /// Returns the results as they complete, each once.
    pub fn completed(&self) -> Completed<'_, R> {
        let end = |(at, result)| {
            let result: &AsyncResult<R> = result;
            let end: BoxFuture<'_, _> = Box::pin(async move { (at, result.end().await) });
            end
        };
        Completed {
            set: self,
            pending: self.results.iter().enumerate().map(end).collect(),
        }
    }

    /// Removes what is stored of all.
    ///
    /// # Errors
    ///
    /// When the backend is out of reach.
    pub async fn forget(&self) -> Result<()> {
        self.app.backend().forget(&self.ids()).await
    }

    /// Calls all off: those that have not started do not start any more. With
    /// `terminate` nodes that run them stop them.
    ///
    /// # Errors
    ///
    /// When the broker is out of reach. Whether a node heard it is not known.
    pub async fn revoke(&self, terminate: bool) -> Result<()> {
        revoke(&self.app, self.ids(), terminate).await
    }

    fn ids(&self) -> Vec<String> {
        self.results
            .iter()
            .flat_map(AsyncResult::task_ids)
            .collect()
    }

    fn late(&self, after: Duration) -> Error {
        Error::Timeout {
            what: format!("a set of {} results", self.results.len()),
            after,
        }
    }
}

impl<R: DeserializeOwned> ResultSet<R> {
    /// Waits for all values and returns them in order.
    ///
    /// # Errors
    ///
    /// As [`AsyncResult::get`], as soon as one fails.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: ask again.
    pub async fn get(&self, within: Duration) -> Result<Vec<R>> {
        check(&self.app)?;
        let values = self
            .results
            .iter()
            .map(|one| async { value(one.end().await?) });
        match timeout(within, try_join_all(values)).await {
            Ok(values) => values,
            Err(_) => Err(self.late(within)),
        }
    }
}

/// The results of a [`ResultSet`] in the order of their completion.
pub struct Completed<'a, R = Value> {
    set: &'a ResultSet<R>,
    pending: FuturesUnordered<BoxFuture<'a, (usize, Result<ResultDocument>)>>,
}

impl<'a, R> Completed<'a, R> {
    /// Waits for the next one that has ended, and returns its document; `None` after the
    /// last one.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`], after which one may go on; [`Error::Unsupported`] when the
    /// backend keeps no results.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: none is lost.
    pub async fn next_document(
        &mut self,
        within: Duration,
    ) -> Result<Option<(&'a AsyncResult<R>, ResultDocument)>> {
        if self.pending.is_empty() {
            return Ok(None);
        }
        check(&self.set.app)?;
        match timeout(within, self.pending.next()).await {
            Ok(None) => Ok(None),
            Ok(Some((at, document))) => Ok(Some((&self.set.results[at], document?))),
            Err(_) => Err(self.set.late(within)),
        }
    }

    /// Waits for the next one that has ended, and returns its value, or why there is
    /// none; `None` after the last one.
    ///
    /// # Errors
    ///
    /// As [`Completed::next_document`]. What a task failed with is no error of this call.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: none is lost.
    pub async fn next(
        &mut self,
        within: Duration,
    ) -> Result<Option<(&'a AsyncResult<R>, Result<R>)>>
    where
        R: DeserializeOwned,
    {
        let next = self.next_document(within).await?;
        Ok(next.map(|(result, document)| (result, value(document))))
    }

    /// Returns how many have not been returned yet.
    pub fn remaining(&self) -> usize {
        self.pending.len()
    }
}

impl<R> std::fmt::Debug for Completed<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Completed")
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
