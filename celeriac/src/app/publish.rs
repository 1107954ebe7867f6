//! Publishes task messages to queues that exist.

use super::App;
use crate::broker::{Link, Publication};
use crate::error::{Error, Result};
use crate::producer::PublishRetry;
use crate::routing::TaskQueue;

/// More queues than this are declared anew each time: a bound, not a limit.
const MAX_DECLARED: usize = 10_000;

impl App {
    /// Publishes as often as a policy allows; without one the broker is waited for.
    pub(super) async fn publish_trying(
        &self,
        publications: Vec<Publication>,
        retry: Option<PublishRetry>,
    ) -> Result<()> {
        let mut tried = 0;
        loop {
            self.reach(retry, &mut tried).await?;
            // The bodies are shared, so this copies headers only.
            match self.publish(publications.clone()).await {
                Err(error) if error.is_connection() => {
                    let Some(wait) = retry.and_then(|retry| retry.delay(tried)) else {
                        return Err(error);
                    };
                    tried += 1;
                    tokio::time::sleep(wait).await;
                }
                published => return published,
            }
        }
    }

    /// Waits until the broker is there, as often as a policy allows it to be found away.
    pub(super) async fn reach(&self, retry: Option<PublishRetry>, tried: &mut u32) -> Result<()> {
        let Some(retry) = retry else { return Ok(()) };
        let mut link = self.0.broker.link();
        loop {
            let reason = match &*link.borrow_and_update() {
                // Nobody knows yet.
                Link::Connecting { error: None, .. } => None,
                Link::Connecting {
                    error: Some(reason),
                    ..
                } => Some(reason.clone()),
                Link::Blocked { reason } => Some(format!("it takes no messages now: {reason}")),
                Link::Up { .. } | Link::Closed => return Ok(()),
            };
            let Some(reason) = reason else {
                if link.changed().await.is_err() {
                    return Ok(());
                }
                continue;
            };
            let Some(wait) = retry.delay(*tried) else {
                return Err(Error::Unavailable {
                    what: "broker",
                    reason,
                    source: None,
                });
            };
            *tried += 1;
            tokio::time::sleep(wait).await;
        }
    }

    /// Publishes task messages, each to a queue that exists: a queue that is named for
    /// the first time is declared as it is described, and once more when it was deleted
    /// since.
    ///
    /// # Errors
    ///
    /// The first error of any message; the others may have been sent.
    pub async fn publish(&self, mut publications: Vec<Publication>) -> Result<()> {
        let sends = self.trace_sends(&mut publications);
        let told = self.0.sent_events.then(|| publications.clone());
        let published = self.publish_declared(publications).await;
        sends.end_all(&published);
        published?;
        if let Some(told) = told {
            self.tell_sent(&told).await;
        }
        Ok(())
    }

    async fn publish_declared(&self, publications: Vec<Publication>) -> Result<()> {
        // The bodies are shared, so this copies headers only.
        let outcomes = self.declare_and_publish(publications.clone()).await?;
        let mut again = Vec::new();
        for (publication, outcome) in publications.into_iter().zip(outcomes) {
            match outcome {
                Err(Error::Refused { .. }) if self.forget(&publication) => again.push(publication),
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

    /// Declares what a publication goes to, as far as it is described.
    async fn declare(&self, publication: &Publication) -> Result<()> {
        let queues = &self.0.routing.queues;
        if publication.exchange.is_empty() {
            let name = publication.routing_key.as_str();
            if !self.0.declared.contains(name) {
                let queue = queues.get(name)?;
                self.declare_queue(&queue).await?;
            }
            return Ok(());
        }
        for queue in queues.behind(&publication.exchange) {
            if !self.0.declared.contains(&queue.name) {
                self.declare_queue(&queue).await?;
            }
        }
        Ok(())
    }

    async fn declare_queue(&self, queue: &TaskQueue) -> Result<()> {
        self.0.broker.declare(&queue.producer_topology()).await?;
        if self.0.declared.len() < MAX_DECLARED {
            self.0.declared.insert(queue.name.clone());
        }
        Ok(())
    }

    /// Forgets that the goal of a publication was declared; tells whether declaring it again
    /// could help.
    fn forget(&self, publication: &Publication) -> bool {
        if publication.exchange.is_empty() {
            self.0.declared.remove(&publication.routing_key);
            return true;
        }
        let mut described = false;
        for queue in self.0.routing.queues.behind(&publication.exchange) {
            self.0.declared.remove(&queue.name);
            described = true;
        }
        described
    }
}
