//! Sends calls and workflows.

use celeriac_protocol::{Signature, Value};
use futures_util::future::try_join_all;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use uuid::Uuid;

use super::App;
use crate::backend;
use crate::broker::{Link, Publication, Topology};
use crate::canvas::{self, Plan, plan};
use crate::clock;
use crate::error::{Error, Result};
use crate::producer::{self, Lineage};
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

/// What became of a workflow that was sent: ids and the result as Celery writes it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sent {
    /// The id whose result is the workflow's.
    pub id: String,
    /// The ids of the members, when the workflow ends in a group.
    pub members: Option<Vec<String>>,
    /// `[[id, parent], children]`.
    pub result: Value,
}

/// More queues than this are declared anew each time: a bound, not a limit.
const MAX_DECLARED: usize = 10_000;

/// How many members of a group are watched at once.
const WATCHES: usize = 256;

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
        let sending = self.watch_and_send(plan, wanted, parent);
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
    ) -> Result<AsyncResult<R>> {
        // Interest is registered before the message is out, or the result may be first.
        let result = match &plan.members {
            None => self.watched(&plan.id, wanted).await?,
            Some(ids) => {
                let mut members = Vec::with_capacity(ids.len());
                for ids in ids.chunks(WATCHES) {
                    let watches = ids.iter().map(|id| self.watched(id, wanted));
                    members.extend(try_join_all(watches).await?);
                }
                AsyncResult::group(self.clone(), plan.id.clone(), members)
            }
        };
        let lineage = parent.map(lineage).unwrap_or_default();
        let sent = self.send_plan(plan, &lineage).await?;
        if let Some(parent) = parent {
            parent.add_child(sent.result);
        }
        Ok(result)
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
        if let Some(error) = canvas::fault(&signature) {
            return Err(error.into());
        }
        let mut new_id = || Uuid::new_v4().to_string();
        Ok(plan::plan(
            signature,
            rest,
            Some(&self.0.defaults.reply_to),
            &mut new_id,
        )?)
    }

    /// Sends a planned workflow. Nodes continue chains with it.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a chord that the result backend cannot count, before
    /// anything is sent; else the first error of any message, when the others may have
    /// been sent.
    pub async fn send_plan(&self, plan: Plan, lineage: &Lineage) -> Result<Sent> {
        if plan.has_chord && !self.0.backend.capabilities().join {
            return Err(backend::no_join(self.0.backend.url()));
        }
        let now = clock::now();
        let publications = plan
            .sends
            .into_iter()
            .map(|send| {
                producer::publication(
                    send.signature,
                    &send.embed,
                    lineage,
                    &self.0.defaults,
                    &self.0.routes,
                    &self.0.registry,
                    now,
                )
            })
            .collect::<Result<Vec<_>>>()?;
        for join in &plan.joins {
            self.0.backend.begin_join(&join.group, join.size).await?;
        }
        self.publish(publications).await?;
        Ok(Sent {
            id: plan.id,
            members: plan.members,
            result: plan.result,
        })
    }

    /// Publishes task messages, each to a queue that exists: a queue that is named for
    /// the first time is declared as Celery's clients declare it, and once more when it
    /// was deleted since.
    ///
    /// # Errors
    ///
    /// The first error of any message; the others may have been sent.
    pub async fn publish(&self, publications: Vec<Publication>) -> Result<()> {
        // The bodies are shared, so this copies headers only.
        let outcomes = self.declare_and_publish(publications.clone()).await?;
        let mut again = Vec::new();
        for (publication, outcome) in publications.into_iter().zip(outcomes) {
            match outcome {
                Err(Error::Refused { .. }) if publication.exchange.is_empty() => {
                    self.0.declared.remove(&publication.routing_key);
                    again.push(publication);
                }
                outcome => outcome?,
            }
        }
        if again.is_empty() {
            return Ok(());
        }
        let outcomes = self.declare_and_publish(again).await?;
        outcomes.into_iter().collect()
    }

    async fn declare_and_publish(
        &self,
        mut publications: Vec<Publication>,
    ) -> Result<Vec<Result<()>>> {
        for publication in &publications {
            self.declare(publication).await?;
        }
        if publications.len() == 1
            && let Some(one) = publications.pop()
        {
            return Ok(vec![self.0.broker.publish(one).await]);
        }
        Ok(self.0.broker.publish_all(publications).await)
    }

    async fn declare(&self, publication: &Publication) -> Result<()> {
        let queue = publication.routing_key.as_str();
        if !publication.exchange.is_empty() || self.0.declared.contains(queue) {
            return Ok(());
        }
        self.0.broker.declare(&Topology::task_queue(queue)).await?;
        if self.0.declared.len() < MAX_DECLARED {
            self.0.declared.insert(queue.to_owned());
        }
        Ok(())
    }

    async fn watched<R>(&self, id: &str, wanted: bool) -> Result<AsyncResult<R>> {
        let waiter = if wanted && self.0.backend.capabilities().stores {
            match self.0.backend.watch(id).await {
                Ok(waiter) => Some(waiter),
                Err(Error::Unsupported { .. }) => None,
                Err(error) => return Err(error),
            }
        } else {
            None
        };
        Ok(AsyncResult::new(self.clone(), id.to_owned(), waiter))
    }
}

/// Returns what a task's children say of their origin.
pub(crate) fn lineage(parent: &Context) -> Lineage {
    let headers = &parent.request().headers;
    Lineage {
        root_id: Some(headers.root().to_owned()),
        parent_id: Some(headers.id.clone()),
    }
}
