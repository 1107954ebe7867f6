//! Asking for a result, and waiting for it.

use std::time::Duration;

use celeriac_protocol::{Exception, ResultDocument, State, Timestamp, Value};
use futures_util::future::try_join_all;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::AsyncResult;
use super::tree::children;
use crate::app::App;
use crate::backend::Waiter;
use crate::error::{Error, Result};

impl<R> AsyncResult<R> {
    /// Returns what is stored of the task now; `None` when nothing is. A group is
    /// ready when a member has failed or all have succeeded; before that, `None`.
    ///
    /// # Errors
    ///
    /// When the backend is out of reach.
    pub async fn document(&self) -> Result<Option<ResultDocument>> {
        let stored = stored(&self.app, &self.tasks()).await?;
        if self.members.is_none() {
            return Ok(stored.into_iter().next().flatten());
        }
        let mut values = Vec::with_capacity(stored.len());
        let mut waits = false;
        for document in stored {
            match document {
                Some(document) if is_failure(&document) => return Ok(Some(document)),
                Some(document) if document.status.is_ready() => values.push(document.result),
                _ => waits = true,
            }
        }
        Ok((!waits).then(|| self.list(values)))
    }

    /// Returns the task's state now; [`State::Pending`] when nothing is known of it.
    ///
    /// # Errors
    ///
    /// When the backend is out of reach.
    pub async fn state(&self) -> Result<State> {
        let document = self.document().await?;
        Ok(document.map_or(State::Pending, |document| document.status))
    }

    /// Returns the value of a success, the exception of a failure, or what a state on
    /// the way says; null when nothing is known.
    ///
    /// # Errors
    ///
    /// When the backend is out of reach.
    pub async fn info(&self) -> Result<Value> {
        let document = self.document().await?;
        Ok(document.map_or(Value::Null, |document| document.result))
    }

    /// Returns the traceback of a failure.
    ///
    /// # Errors
    ///
    /// When the backend is out of reach.
    pub async fn traceback(&self) -> Result<Option<String>> {
        Ok(self
            .document()
            .await?
            .and_then(|document| document.traceback))
    }

    /// Returns when the task became ready.
    ///
    /// # Errors
    ///
    /// When the backend is out of reach.
    pub async fn date_done(&self) -> Result<Option<Timestamp>> {
        Ok(self
            .document()
            .await?
            .and_then(|document| document.date_done))
    }

    /// Returns the results of what the task sent; of a group, its members.
    ///
    /// # Errors
    ///
    /// When the backend is out of reach.
    pub async fn children(&self) -> Result<Vec<AsyncResult<Value>>> {
        let children = match &self.members {
            Some(members) => members.iter().map(AsyncResult::tuple).collect(),
            None => self
                .document()
                .await?
                .as_ref()
                .map(children)
                .unwrap_or_default(),
        };
        let children = children.into_iter();
        Ok(children.map(|child| self.app.known(child)).collect())
    }

    /// Waits for the next document: a state on the way, such as `PROGRESS`, or the end.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`]; [`Error::Unsupported`] when the backend keeps no results, and
    /// for a group, whose members have documents and not itself.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; only the last document is kept.
    pub async fn changed(&mut self, within: Duration) -> Result<ResultDocument> {
        if self.members.is_some() {
            return Err(Error::Unsupported {
                what: "watching the states",
                with: "a group".to_owned(),
                instead: "watch those of its members",
            });
        }
        check(&self.app)?;
        let next = async {
            let waiter = match &mut self.waiter {
                Some(waiter) => waiter,
                None => self
                    .waiter
                    .insert(self.app.backend().watch(&self.id).await?),
            };
            Ok(waiter.changed().await.as_ref().clone())
        };
        match timeout(within, next).await {
            Ok(document) => document,
            Err(_) => Err(self.late(within)),
        }
    }

    /// Waits until the task is ready and returns its document, whatever the outcome. Of
    /// a group it is the document of the first member to fail, or the list of all
    /// values.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`]; [`Error::Unsupported`] when the backend keeps no results.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: ask again.
    pub async fn ready(&self, within: Duration) -> Result<ResultDocument> {
        check(&self.app)?;
        match timeout(within, self.end()).await {
            Ok(document) => document,
            Err(_) => Err(self.late(within)),
        }
    }

    pub(super) async fn end(&self) -> Result<ResultDocument> {
        if self.members.is_none() {
            return end(&self.app, &self.id, self.waiter.as_ref()).await;
        }
        let ends = self.tasks().into_iter().map(|(id, waiter)| async move {
            match end(&self.app, id, waiter).await {
                Ok(document) if is_failure(&document) => Err(Ok(document)),
                Ok(document) => Ok(document.result),
                Err(error) => Err(Err(error)),
            }
        });
        match try_join_all(ends).await {
            Ok(values) => Ok(self.list(values)),
            Err(first) => first,
        }
    }

    /// The document of a group whose members all succeeded, from the values of the
    /// tasks in it.
    fn list(&self, values: Vec<Value>) -> ResultDocument {
        let value = self.shape(&mut values.into_iter());
        ResultDocument::new(self.id.as_str(), State::Success, value)
    }

    fn shape(&self, values: &mut dyn Iterator<Item = Value>) -> Value {
        match &self.members {
            None => values.next().unwrap_or_default(),
            Some(members) => members
                .iter()
                .map(|member| member.shape(&mut *values))
                .collect::<Vec<_>>()
                .into(),
        }
    }

    fn late(&self, after: Duration) -> Error {
        let what = if self.members.is_some() {
            "group"
        } else {
            "task"
        };
        Error::Timeout {
            what: format!("{what} {}", self.id),
            after,
        }
    }
}

impl<R: DeserializeOwned> AsyncResult<R> {
    /// Waits for the value.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with the task's exception, [`Error::Revoked`],
    /// [`Error::Timeout`], or [`Error::Decode`] when the value is not an `R`. Of a
    /// group, as soon as one member fails.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: ask again.
    pub async fn get(&self, within: Duration) -> Result<R> {
        value(self.ready(within).await?)
    }
}

/// Returns what is stored of tasks: what was heard of those that are ready, and what the
/// backend says of the others.
async fn stored(
    app: &App,
    tasks: &[(&str, Option<&Waiter>)],
) -> Result<Vec<Option<ResultDocument>>> {
    let mut documents: Vec<Option<ResultDocument>> = tasks
        .iter()
        .map(|(_, waiter)| Some(waiter.as_ref()?.last()?.as_ref().clone()))
        .collect();
    let unready = |document: &Option<ResultDocument>| {
        !document
            .as_ref()
            .is_some_and(|known| known.status.is_ready())
    };
    let places: Vec<usize> = (0..tasks.len())
        .filter(|&at| unready(&documents[at]))
        .collect();
    if places.is_empty() {
        return Ok(documents);
    }
    let ids: Vec<String> = places.iter().map(|&at| tasks[at].0.to_owned()).collect();
    let fetched = app.backend().fetch(&ids).await?;
    for (at, document) in places.into_iter().zip(fetched) {
        documents[at] = document.or(documents[at].take());
    }
    Ok(documents)
}

/// Waits for the end of a task.
async fn end(app: &App, id: &str, waiter: Option<&Waiter>) -> Result<ResultDocument> {
    let mut waiter = match waiter {
        Some(waiter) => waiter.clone(),
        None => app.backend().watch(id).await?,
    };
    Ok(waiter.ready().await.as_ref().clone())
}

/// Refuses to wait where nothing ever comes.
pub(super) fn check(app: &App) -> Result<()> {
    if app.backend().capabilities().stores {
        return Ok(());
    }
    Err(Error::Unsupported {
        what: "waiting for a result",
        with: app.backend().url(),
        instead: "give the app a result backend, such as rpc:// or redis://",
    })
}

/// Reads the value of a task that is ready, or why there is none.
pub(super) fn value<R: DeserializeOwned>(document: ResultDocument) -> Result<R> {
    match document.status {
        State::Success => Ok(document.result.to()?),
        State::Revoked => Err(Error::Revoked {
            reason: exception(&document)
                .exc_message
                .first()
                .and_then(|reason| reason.as_str().map(str::to_owned))
                .unwrap_or_else(|| "revoked".to_owned()),
            id: document.task_id,
        }),
        _ => Err(Error::Failed {
            exception: exception(&document),
            id: document.task_id,
            traceback: document.traceback,
        }),
    }
}

fn is_failure(document: &ResultDocument) -> bool {
    document.status.is_ready() && document.status != State::Success
}

fn exception(document: &ResultDocument) -> Exception {
    Exception::from_value(&document.result).unwrap_or_default()
}
