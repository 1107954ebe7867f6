//! The result of a call, wherever it runs.

use std::marker::PhantomData;
use std::time::Duration;

use celeriac_protocol::{Exception, ResultDocument, State};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::app::App;
use crate::backend::Waiter;
use crate::error::{Error, Result};

/// The result of a call, which may not be there yet.
///
/// Holds a place in the backend's table of waiters for as long as it lives, so a
/// result cannot come unseen.
#[derive(Debug)]
pub struct AsyncResult<R> {
    id: String,
    app: App,
    waiter: Option<Waiter>,
    members: Vec<AsyncResult<R>>,
    result: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned> AsyncResult<R> {
    pub(crate) fn new(app: App, id: String, waiter: Option<Waiter>) -> Self {
        Self {
            id,
            app,
            waiter,
            members: Vec::new(),
            result: PhantomData,
        }
    }

    pub(crate) fn with_members(mut self, members: Vec<Self>) -> Self {
        self.members = members;
        self
    }

    /// Returns the task's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the members' results, when the call was a group.
    pub fn members(&self) -> &[Self] {
        &self.members
    }

    /// Returns what is stored of the task now; `None` when nothing is.
    ///
    /// # Errors
    ///
    /// When the backend is out of reach.
    pub async fn document(&self) -> Result<Option<ResultDocument>> {
        if let Some(seen) = self.waiter.as_ref().and_then(Waiter::last)
            && seen.status.is_ready()
        {
            return Ok(Some(seen.as_ref().clone()));
        }
        let ids = std::slice::from_ref(&self.id);
        let stored = self.app.backend().fetch(ids).await?.pop().flatten();
        let seen = || {
            self.waiter
                .as_ref()
                .and_then(Waiter::last)
                .map(|seen| seen.as_ref().clone())
        };
        Ok(stored.or_else(seen))
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
    /// [`Error::Timeout`]; [`Error::Unsupported`] when the backend keeps no results.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; only the last document is kept.
    pub async fn changed(&mut self, within: Duration) -> Result<ResultDocument> {
        let id = self.id.clone();
        let waiter = match &mut self.waiter {
            Some(waiter) => waiter,
            None => self.waiter.insert(self.app.backend().watch(&id).await?),
        };
        match timeout(within, waiter.changed()).await {
            Ok(document) => Ok(document.as_ref().clone()),
            Err(_) => Err(Error::Timeout {
                what: format!("task {id}"),
                after: within,
            }),
        }
    }

    /// Waits until the task is ready and returns its document, whatever the outcome.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`]; [`Error::Unsupported`] when the backend keeps no results.
    pub async fn ready(&self, within: Duration) -> Result<ResultDocument> {
        if !self.app.backend().capabilities().stores {
            return Err(Error::Unsupported {
                what: "waiting for a result",
                with: self.app.backend().url(),
                instead: "give the app a result backend, such as rpc:// or redis://",
            });
        }
        let wait = async {
            match &self.waiter {
                Some(waiter) => Ok(waiter.clone().ready().await.as_ref().clone()),
                None => {
                    let mut waiter = self.app.backend().watch(&self.id).await?;
                    Ok(waiter.ready().await.as_ref().clone())
                }
            }
        };
        match timeout(within, wait).await {
            Ok(document) => document,
            Err(_) => Err(Error::Timeout {
                what: format!("task {}", self.id),
                after: within,
            }),
        }
    }

    /// Waits for the task's value.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with the task's exception, [`Error::Revoked`],
    /// [`Error::Timeout`], or [`Error::Decode`] when the value is not an `R`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: ask again.
    pub async fn get(&self, within: Duration) -> Result<R> {
        let document = self.ready(within).await?;
        match document.status {
            State::Success => Ok(document.result.to()?),
            State::Revoked => Err(Error::Revoked {
                id: self.id.clone(),
                reason: exception(&document)
                    .exc_message
                    .first()
                    .and_then(|reason| reason.as_str().map(str::to_owned))
                    .unwrap_or_else(|| "revoked".to_owned()),
            }),
            _ => Err(Error::Failed {
                id: self.id.clone(),
                exception: exception(&document),
                traceback: document.traceback,
            }),
        }
    }

    /// Waits for the values of a group's members, in order.
    ///
    /// # Errors
    ///
    /// Those of [`AsyncResult::get`], of the first member that has one.
    pub async fn get_all(&self, within: Duration) -> Result<Vec<R>> {
        let all = self.members.iter().map(|member| member.get(within));
        futures_util::future::try_join_all(all).await
    }

    /// Removes what is stored of the task.
    ///
    /// # Errors
    ///
    /// When the backend is out of reach.
    pub async fn forget(&self) -> Result<()> {
        self.app
            .backend()
            .forget(std::slice::from_ref(&self.id))
            .await
    }

    /// Calls the task off: it does not start any more. With `terminate` a node that
    /// runs it stops it.
    ///
    /// # Errors
    ///
    /// When the broker is out of reach. Whether a node heard it is not known.
    pub async fn revoke(&self, terminate: bool) -> Result<()> {
        self.app
            .control()
            .revoke(std::slice::from_ref(&self.id), terminate)
            .await
    }
}

fn exception(document: &ResultDocument) -> Exception {
    Exception::from_value(&document.result).unwrap_or_default()
}
