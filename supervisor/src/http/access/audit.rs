//! What is written down of each control.

use serde_json::Value;

use crate::access::Identity;
use crate::http::Desk;

/// How a control ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done.
    Done,
    /// It was not done, and whoever asked was told why.
    Refused,
    /// It was tried and did not work.
    Failed,
}

impl Outcome {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl Desk {
    /// Writes a control that was done to the audit log: `action` such as `queue.purge`,
    /// `target` such as the queue's name.
    ///
    /// A handler that ends with an error need not say so: the gate writes down every
    /// request to change something of which nothing was written.
    pub(crate) async fn audit(&self, who: &Identity, action: &str, target: &str, details: Value) {
        self.audit_as(who, action, target, details, Outcome::Done)
            .await;
    }

    /// Writes a control to the audit log, with how it ended.
    pub(crate) async fn audit_as(
        &self,
        who: &Identity,
        action: &str,
        target: &str,
        details: Value,
        outcome: Outcome,
    ) {
        who.set_told();
        tracing::info!(
            target: "celeriac::audit",
            who = &*who.name,
            role = who.role.as_str(),
            via = who.via.as_str(),
            peer = who.peer.map(tracing::field::display),
            action,
            on = target,
            outcome = outcome.as_str(),
            %details,
            "control"
        );
    }
}
