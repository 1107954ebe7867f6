//! The result of a call, wherever it runs.

use std::marker::PhantomData;
use std::time::Duration;

use celeriac_protocol::{Exception, ResultDocument, State, Value};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::app::App;
use crate::backend::Waiter;
use crate::error::{Error, Result};

/// The result of a call, which may not be there yet.
///
/// Holds a place in the backend's table of waiters for as long as it lives, so a
/// result cannot come unseen. The result of a group is the list of its members'
/// values: an `AsyncResult<Vec<T>>`.
#[derive(Debug)]
pub struct AsyncResult<R> {
    id: String,
    app: App,
    waiter: Option<Waiter>,
    members: Option<Vec<AsyncResult<Value>>>,
    result: PhantomData<fn() -> R>,
}

impl<R> AsyncResult<R> {
    pub(crate) fn new(app: App, id: String, waiter: Option<Waiter>) -> Self {
        Self {
            id,
            app,
            waiter,
            members: None,
            result: PhantomData,
        }
    }

    pub(crate) fn group(app: App, id: String, members: Vec<AsyncResult<Value>>) -> Self {
        Self {
            members: Some(members),
            ..Self::new(app, id, None)
        }
    }

    /// Returns the task's id, or the group's.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the members' results, when the call was a group; else none.
    pub fn members(&self) -> &[AsyncResult<Value>] {
        self.members.as_deref().unwrap_or_default()
    }

    /// Returns the members' results, to wait for each; none unless the call was a group.
    pub fn into_members(self) -> Vec<AsyncResult<Value>> {
        self.members.unwrap_or_default()
    }

    /// Returns what is stored of the task now; `None` when nothing is. A group is
    /// ready when a member has failed or all have succeeded; before that, `None`.
    ///
    /// # Errors
    ///
    /// When the backend is out of reach.
    pub async fn document(&self) -> Result<Option<ResultDocument>> {
        let Some(members) = &self.members else {
            return self.stored().await;
        };
        let mut documents = Vec::with_capacity(members.len());
        for member in members {
            match member.stored().await? {
                Some(document) if is_failure(&document) => return Ok(Some(document)),
                document => documents.extend(document),
            }
        }
        let ready = documents
            .iter()
            .filter(|document| document.status.is_ready())
            .count();
        Ok((ready == members.len()).then(|| list(&self.id, documents)))
    }

    async fn stored(&self) -> Result<Option<ResultDocument>> {
        let seen = self.waiter.as_ref().and_then(Waiter::last);
        if let Some(seen) = seen.as_ref().filter(|seen| seen.status.is_ready()) {
            return Ok(Some(seen.as_ref().clone()));
        }
        let stored = self
            .app
            .backend()
            .fetch(std::slice::from_ref(&self.id))
            .await?
            .pop();
        Ok(stored
            .flatten()
            .or_else(|| seen.map(|seen| seen.as_ref().clone())))
    }

    /// Returns the task's state now; [`State::Pending`] when nothing is known of it.
    ///
    /// # Errors
    ///
    /// When the backend is out of reach.
    pub async fn state(&self) -> Result<State> {
        Ok(self
            .document()
            .await?
            .map_or(State::Pending, |document| document.status))
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
        self.check()?;
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
        self.check()?;
        match timeout(within, self.end()).await {
            Ok(document) => document,
            Err(_) => Err(self.late(within)),
        }
    }

    async fn end(&self) -> Result<ResultDocument> {
        let Some(members) = &self.members else {
            return self.own_end().await;
        };
        let ends = members.iter().map(|member| async {
            match member.own_end().await {
                Ok(document) if is_failure(&document) => Err(Ok(document)),
                Ok(document) => Ok(document),
                Err(error) => Err(Err(error)),
            }
        });
        match futures_util::future::try_join_all(ends).await {
            Ok(documents) => Ok(list(&self.id, documents)),
            Err(first) => first,
        }
    }

    async fn own_end(&self) -> Result<ResultDocument> {
        let mut waiter = match &self.waiter {
            Some(waiter) => waiter.clone(),
            None => self.app.backend().watch(&self.id).await?,
        };
        Ok(waiter.ready().await.as_ref().clone())
    }

    fn check(&self) -> Result<()> {
        if self.app.backend().capabilities().stores {
            return Ok(());
        }
        Err(Error::Unsupported {
            what: "waiting for a result",
            with: self.app.backend().url(),
            instead: "give the app a result backend, such as rpc:// or redis://",
        })
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

    /// Removes what is stored of the task, or of a group's members.
    ///
    /// # Errors
    ///
    /// When the backend is out of reach.
    pub async fn forget(&self) -> Result<()> {
        self.app.backend().forget(&self.ids()).await
    }

    /// Calls the task off, or a group's members: it does not start any more. With
    /// `terminate` a node that runs it stops it.
    ///
    /// # Errors
    ///
    /// When the broker is out of reach. Whether a node heard it is not known.
    pub async fn revoke(&self, terminate: bool) -> Result<()> {
        self.app.control().revoke(&self.ids(), terminate).await
    }

    fn ids(&self) -> Vec<String> {
        match &self.members {
            Some(members) => members.iter().map(|member| member.id.clone()).collect(),
            None => vec![self.id.clone()],
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
        let document = self.ready(within).await?;
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
}

fn is_failure(document: &ResultDocument) -> bool {
    document.status.is_ready() && document.status != State::Success
}

/// The document of a group whose members all succeeded.
fn list(id: &str, documents: Vec<ResultDocument>) -> ResultDocument {
    let values: Vec<Value> = documents
        .into_iter()
        .map(|document| document.result)
        .collect();
    ResultDocument::new(id, State::Success, values)
}

fn exception(document: &ResultDocument) -> Exception {
    Exception::from_value(&document.result).unwrap_or_default()
}
