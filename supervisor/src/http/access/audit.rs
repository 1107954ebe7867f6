//! What is written down of each control.

use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use celeriac_protocol::Value as Plain;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::access::Identity;
use crate::cluster::cut;
use crate::config::Config;
use crate::feed::Change;
use crate::http::Desk;
use crate::store::Store;
use crate::store::audit::Entry;

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

/// Writes entries into the store, those that come at the same time in one transaction.
#[derive(Debug, Default)]
pub(crate) struct AuditLog {
    /// Started with the first entry, on the runtime that has it.
    queue: OnceLock<mpsc::Sender<(Entry, oneshot::Sender<bool>)>>,
}

/// How many entries wait to be written.
const WAITING: usize = 1_024;
/// How many entries go into one transaction.
const BATCH: usize = 256;
/// How long a control waits for its entry to be durable.
const PATIENCE: Duration = Duration::from_secs(2);
/// Targets and details are cut to so many bytes.
const TARGET: usize = 512;
const DETAILS: usize = 4 * 1024;

impl Outcome {
    pub(crate) const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Failed];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl AuditLog {
    /// Writes an entry; says whether it is durable.
    async fn write(&self, store: &Store, config: &Config, entry: Entry) -> bool {
        let queue = self.queue.get_or_init(|| {
            let (queue, entries) = mpsc::channel(WAITING);
            let access = &config.access;
            tokio::spawn(write(
                store.clone(),
                entries,
                access.audit_entries,
                access.audit_age,
            ));
            queue
        });
        let (tell, written) = oneshot::channel();
        let wait =
            async { queue.send((entry, tell)).await.is_ok() && written.await.unwrap_or(false) };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or(false)
    }
}

async fn write(
    store: Store,
    mut entries: mpsc::Receiver<(Entry, oneshot::Sender<bool>)>,
    most: u64,
    age: Duration,
) {
    let mut batch = Vec::new();
    while entries.recv_many(&mut batch, BATCH).await > 0 {
        let (entries, waiting): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        let oldest = celeriac::clock::now().checked_sub(age);
        let oldest = micros(oldest.unwrap_or(UNIX_EPOCH));
        let written = store.add_audit(&entries, most, oldest).await;
        if let Err(error) = &written {
            let entries = entries.len();
            tracing::error!(%error, entries, "the audit log is in this log alone for now");
        }
        for tell in waiting {
            // Who asked may have gone.
            let _ = tell.send(written.is_ok());
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

    /// Writes a control to the audit log, with how it ended. Secrets in the details are
    /// hidden; the entry is durable when this returns, unless the store is not to be had
    /// within two seconds: then the log alone has it.
    pub(crate) async fn audit_as(
        &self,
        who: &Identity,
        action: &str,
        target: &str,
        details: Value,
        outcome: Outcome,
    ) {
        who.set_told();
        let details = self.shown(details);
        let target = cut(&printable(target), TARGET);
        tracing::info!(
            target: "celeriac::audit",
            who = &*who.name,
            role = who.role.as_str(),
            via = who.via.as_str(),
            peer = who.peer.map(tracing::field::display),
            action,
            on = target,
            outcome = outcome.as_str(),
            details,
            "control"
        );
        let entry = Entry {
            id: 0,
            at: micros(celeriac::clock::now()),
            who: who.name.to_string(),
            role: who.role.to_string(),
            via: who.via.as_str().to_owned(),
            peer: who.peer.map(|peer| peer.to_canonical().to_string()),
            action: action.to_owned(),
            target: target.clone(),
            details,
            outcome: outcome.as_str().to_owned(),
        };
        self.audit_log.write(&self.store, &self.config, entry).await;
        let action = action.to_owned();
        self.board.feed.publish(Change::Audit { action, target });
    }

    /// Returns the details as JSON without secrets, not too long.
    fn shown(&self, details: Value) -> String {
        let plain = Plain::from_serialize(&details).unwrap_or_default();
        let hidden = self.config.redaction.value(plain);
        let text = serde_json::to_string(&hidden).unwrap_or_default();
        if text.len() <= DETAILS {
            return text;
        }
        // Half a document would be none.
        serde_json::json!({ "cut": cut(&text, DETAILS / 2) }).to_string()
    }
}

/// Escapes what no name has, and a database may refuse: one bad target must not keep the
/// entries out that are written with it.
fn printable(text: &str) -> String {
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    match text.chars().any(char::is_control) {
        true => text.chars().map(escape).collect(),
        false => text.to_owned(),
    }
}

fn micros(time: std::time::SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_no_control_characters() {
        assert_eq!(printable("größe"), "größe");
        assert_eq!(printable("a\0b\nc"), "a\\u{0}b\\nc");
    }
}
