//! Sends calls and workflows.

use celeriac_protocol::{ResultTuple, Signature, Value};
use futures_util::future::try_join_all;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use uuid::Uuid;

use super::App;
use crate::backend::{self, Waiter};
use crate::broker::Link;
use crate::canvas::{self, Plan, plan};
use crate::clock;
use crate::error::{Error, Result};
use crate::producer::{self, Lineage, PublishRetry};
use crate::result::AsyncResult;
use crate::task::Context;

/// Who can send a call: an [`App`], or a task's [`Context`], whose calls become
/// children of that task.
pub trait Caller: Sync {
    /// Returns the app.
    fn app(&self) -> &App;

    /// Returns the task that sends, if one does.
    fn parent(&self) -> Option<&Context>;
}

impl Caller for App {
    fn app(&self) -> &App {
        self
    }

    fn parent(&self) -> Option<&Context> {
        None
    }
}

impl Caller for Context {
    fn app(&self) -> &App {
        Context::app(self)
    }

    fn parent(&self) -> Option<&Context> {
        Some(self)
    }
}

/// How many members of a group are watched at once, and how many chords are begun.
const AT_ONCE: usize = 256;

impl App {
    /// Sends a call or workflow and returns its result to wait for.
    ///
    /// # Errors
    ///
    /// See [`crate::call::Call::send`]. It ends within
    /// [`AppBuilder::send_timeout`](super::AppBuilder::send_timeout).
    pub async fn send<R: DeserializeOwned>(
        &self,
        signature: Signature,
        parent: Option<&Context>,
    ) -> Result<AsyncResult<R>> {
        let wanted = !signature
            .options
            .get("ignore_result")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let plan = self.plan(signature, None)?;
        self.send_plan_of(plan, wanted, parent).await
    }

    /// Sends what was planned, for a result that is wanted or not.
    pub(crate) async fn send_plan_of<R: DeserializeOwned>(
        &self,
        mut plan: Plan,
        wanted: bool,
        parent: Option<&Context>,
    ) -> Result<AsyncResult<R>> {
        let mut retry = None;
        for send in &mut plan.sends {
            // One policy for all that is sent at once: the first that a part asks for.
            let own = PublishRetry::take(self.0.publish_retry, &mut send.signature.options)?;
            retry = retry.or(own);
        }
        let sending = self.watch_and_send(plan, wanted, parent, retry);
        match timeout(self.0.send_timeout, sending).await {
            Ok(result) => result,
            Err(_) => Err(self.late()),
        }
    }

    async fn watch_and_send<R: DeserializeOwned>(
        &self,
        plan: Plan,
        wanted: bool,
        parent: Option<&Context>,
        retry: Option<PublishRetry>,
    ) -> Result<AsyncResult<R>> {
        // First, since everything below waits for the broker.
        self.reach(retry, &mut 0).await?;
        // Interest is registered before the message is out, or the result may be first.
        let waiters = match wanted && self.0.backend.capabilities().stores {
            true => self.watch(&plan.result.tasks()).await?,
            false => Vec::new(),
        };
        let lineage = parent.map(Context::lineage).unwrap_or_default();
        let result = self.send_planned(plan, &lineage, retry).await?;
        if let Some(parent) = parent {
            parent.add_child(Value::from(result.first()));
        }
        Ok(AsyncResult::new(
            self.clone(),
            result,
            &mut waiters.into_iter(),
        ))
    }

    /// Makes the error of a send whose time is up: a broker that is away says why.
    fn late(&self) -> Error {
        let link = self.0.broker.link();
        let reason = match &*link.borrow() {
            Link::Connecting {
                error: Some(reason),
                ..
            } => Some(reason.clone()),
            Link::Blocked { reason } => Some(format!("it takes no messages now: {reason}")),
            _ => None,
        };
        match reason {
            Some(reason) => Error::Unavailable {
                what: "broker",
                reason,
                source: None,
            },
            None => Error::Timeout {
                what: "sending a call".to_owned(),
                after: self.0.send_timeout,
            },
        }
    }

    /// Plans a workflow; `rest` is what follows it in a surrounding chain, reversed.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] when the workflow is not well formed, [`Error::Encode`] when
    /// an argument somewhere in it could not be encoded.
    pub fn plan(&self, signature: Signature, rest: Option<Vec<Signature>>) -> Result<Plan> {
        self.plan_with(signature, rest, &mut || Uuid::new_v4().to_string())
    }

    /// Plans a workflow with ids of the caller's making.
    pub(crate) fn plan_with(
        &self,
        signature: Signature,
        rest: Option<Vec<Signature>>,
        new_id: &mut dyn FnMut() -> String,
    ) -> Result<Plan> {
        if let Some(error) = canvas::fault(&signature) {
            return Err(error.into());
        }
        let reply_to = Some(self.0.defaults.reply_to.as_str());
        Ok(plan::plan(signature, rest, reply_to, new_id)?)
    }

    /// Sends a planned workflow and returns its result. Nodes continue chains with it.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a chord that the result backend cannot count, before
    /// anything is sent; else the first error of any message, when the others may have
    /// been sent.
    pub async fn send_plan(&self, plan: Plan, lineage: &Lineage) -> Result<ResultTuple> {
        self.send_planned(plan, lineage, None).await
    }

    async fn send_planned(
        &self,
        mut plan: Plan,
        lineage: &Lineage,
        retry: Option<PublishRetry>,
    ) -> Result<ResultTuple> {
        if plan.has_chord && !self.0.backend.capabilities().join {
            return Err(backend::no_join(self.0.backend.url()));
        }
        let now = clock::now();
        let publications = std::mem::take(&mut plan.sends)
            .into_iter()
            .map(|send| {
                producer::publication(
                    send.signature,
                    &send.embed,
                    lineage,
                    &self.0.defaults,
                    &self.0.routing,
                    &self.0.registry,
                    now,
                )
            })
            .collect::<Result<Vec<_>>>()?;
        self.begin_joins(&plan).await?;
        self.publish_trying(publications, retry).await?;
        Ok(plan.result)
    }

    /// Prepares the counters of a workflow's chords, before anything of it is sent.
    pub(super) async fn begin_joins(&self, plan: &Plan) -> Result<()> {
        let backend = &self.0.backend;
        for joins in plan.joins.chunks(AT_ONCE) {
            let begun = joins.iter().map(|join| async move {
                if let Some(header) = &join.header {
                    backend.save_group(header).await?;
                }
                backend.begin_join(&join.group, join.size).await
            });
            try_join_all(begun).await?;
        }
        Ok(())
    }

    /// Registers interest in tasks; nothing where the backend cannot tell of results.
    async fn watch(&self, ids: &[&str]) -> Result<Vec<Waiter>> {
        let mut waiters = Vec::with_capacity(ids.len());
        for ids in ids.chunks(AT_ONCE) {
            let watches = ids.iter().map(|id| self.0.backend.watch(id));
            match try_join_all(watches).await {
                Ok(some) => waiters.extend(some),
                Err(Error::Unsupported { .. }) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
        Ok(waiters)
    }
}
