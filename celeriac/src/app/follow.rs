//! Sends what follows a task, where nobody is there to be told of an error.

use futures_util::future::join_all;

use super::App;
use crate::backend;
use crate::canvas::Plan;
use crate::clock;
use crate::error::{Error, Result};
use crate::producer::{self, Lineage};

impl App {
    /// Sends a planned workflow as far as it goes: one message that cannot be written or
    /// routed does not keep the others from going. Returns those that nobody takes, by
    /// their place in [`Plan::sends`], and why.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a chord that the result backend cannot count, before
    /// anything is sent; what the backend says against counting; and the first error
    /// that says that a server is out of reach, when the others may have been sent.
    pub async fn follow_up(&self, plan: &Plan, lineage: &Lineage) -> Result<Vec<(usize, Error)>> {
        if plan.has_chord && !self.0.backend.capabilities().join {
            return Err(backend::no_join(self.0.backend.url()));
        }
        self.begin_joins(plan).await?;
        let now = clock::now();
        let sends = plan.sends.iter().map(|send| async move {
            let publication = producer::publication(
                send.signature.clone(),
                &send.embed,
                lineage,
                &self.0.defaults,
                &self.0.routing,
                &self.0.registry,
                now,
            )?;
            self.publish(vec![publication]).await
        });
        let mut refusals = Vec::new();
        for (at, answer) in join_all(sends).await.into_iter().enumerate() {
            match answer {
                Ok(()) => {}
                Err(error) if error.is_retryable() || matches!(error, Error::Closed(_)) => {
                    return Err(error);
                }
                Err(error) => refusals.push((at, error)),
            }
        }
        Ok(refusals)
    }
}
