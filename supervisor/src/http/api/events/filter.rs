//! Which events a client wants.

use serde::{Deserialize, Deserializer};

use crate::access::{Role, rules};
use crate::cluster::cut;
use crate::feed::Change;
use crate::http::Problem;

/// A set of types of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Kinds(u8);

/// The types, by their place in [`Kinds`].
const NAMES: [&str; 7] = [
    "task", "node", "queue", "schedule", "letter", "audit", "overview",
];

/// Which events a client wants.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    kinds: Kinds,
    name: Option<String>,
    task: Option<String>,
}

impl Kinds {
    const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// Leaves a type out.
    fn without(self, kind: &str) -> Self {
        let place = NAMES.iter().position(|name| *name == kind);
        place.map_or(self, |place| Self(self.0 & !(1 << place)))
    }

    pub(super) fn has(self, kind: &str) -> bool {
        let place = NAMES.iter().position(|name| *name == kind);
        place.is_some_and(|place| self.0 & (1 << place) != 0)
    }
}

impl<'de> Deserialize<'de> for Kinds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut kinds = Self(0);
        for asked in text.split(',').map(str::trim) {
            let Some(place) = NAMES.iter().position(|name| *name == asked) else {
                let (known, found) = (NAMES.join(", "), cut(asked, 60));
                let wrong = format!("expected some of {known}, found '{found}'");
                return Err(serde::de::Error::custom(wrong));
            };
            kinds.0 |= 1 << place;
        }
        Ok(kinds)
    }
}

/// Returns the type of a change.
pub(super) const fn kind(change: &Change) -> &'static str {
    match change {
        Change::Task { .. } => "task",
        Change::Node { .. } => "node",
        Change::Queue { .. } => "queue",
        Change::Schedule { .. } => "schedule",
        Change::Letter { .. } => "letter",
        Change::Audit { .. } => "audit",
    }
}

impl Filter {
    /// Makes a filter for somebody with a role: who may not read the audit log gets
    /// nothing of it here.
    pub(super) fn new(
        role: Role,
        kinds: Option<Kinds>,
        name: Option<String>,
        task: Option<String>,
    ) -> Result<Self, Problem> {
        let reads = rules::rule("GET", "/api/v1/audit")
            .role
            .is_none_or(|least| role >= least);
        if !reads && kinds.is_some_and(|kinds| kinds.has("audit")) {
            let message = format!("types: expected no audit for the role {role}, found it");
            return Err(Problem::forbidden(message));
        }
        let all = match reads {
            true => Kinds::ALL,
            false => Kinds::ALL.without("audit"),
        };
        Ok(Self {
            kinds: kinds.unwrap_or(all),
            name,
            task,
        })
    }

    pub(super) fn takes(&self, change: &Change) -> bool {
        let id = match change {
            Change::Task { id, .. } => Some(&**id),
            _ => None,
        };
        let name = match change {
            Change::Task { name, .. } => Some(&**name),
            Change::Node { name, .. }
            | Change::Queue { name, .. }
            | Change::Schedule { name, .. } => Some(&**name),
            Change::Letter { .. } | Change::Audit { .. } => None,
        };
        self.kinds.has(kind(change))
            && self.task.as_ref().is_none_or(|task| id == Some(task))
            && self.name.as_ref().is_none_or(|wanted| name == Some(wanted))
    }

    /// Tells whether the overview is wanted: it has neither name nor id.
    pub(super) fn takes_overview(&self) -> bool {
        self.kinds.has("overview") && self.name.is_none() && self.task.is_none()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn kinds(text: &str) -> Result<Kinds, String> {
        serde_json::from_value(text.into()).map_err(|error| error.to_string())
    }

    #[test]
    fn filters_join() {
        let task = Change::Task {
            id: "t1".into(),
            name: "app.add".into(),
            state: "STARTED".into(),
        };
        let node = Change::Node {
            name: "w1@host".into(),
            state: "online",
        };
        let filter = |types: Option<&str>, name: Option<&str>, task: Option<&str>| {
            let kinds = types.map(|types| kinds(types).unwrap());
            let (name, task) = (name.map(str::to_owned), task.map(str::to_owned));
            Filter::new(Role::Viewer, kinds, name, task).unwrap()
        };
        let all = filter(None, None, None);
        assert!(all.takes(&task) && all.takes(&node) && all.takes_overview());
        let nodes = filter(Some("node,queue"), None, None);
        assert!(!nodes.takes(&task) && nodes.takes(&node) && !nodes.takes_overview());
        let named = filter(None, Some("app.add"), None);
        assert!(named.takes(&task) && !named.takes(&node) && !named.takes_overview());
        let one = filter(None, None, Some("t1"));
        assert!(one.takes(&task) && !one.takes(&node));
        assert!(!filter(Some("task"), Some("app.add"), Some("t2")).takes(&task));
    }

    #[test]
    fn unknown_types_are_refused_by_name() {
        for wrong in ["", "tasks", "task,,node", "task, knode"] {
            let error = kinds(wrong).unwrap_err();
            assert!(error.starts_with("expected some of task, node"), "{error}");
        }
    }

    // S48: the audit log is for admins, live too.
    #[test]
    fn the_audit_log_is_streamed_to_admins_alone() {
        let done = Change::Audit {
            action: "queue.purge".to_owned(),
            target: "mail".to_owned(),
        };
        let new = |role, types: Option<&str>| {
            let kinds = types.map(|types| kinds(types).unwrap());
            Filter::new(role, kinds, None, None)
        };
        assert!(new(Role::Admin, None).unwrap().takes(&done));
        assert!(new(Role::Admin, Some("audit")).unwrap().takes(&done));
        assert!(!new(Role::Operator, None).unwrap().takes(&done));
        let refused = new(Role::Viewer, Some("task,audit")).unwrap_err();
        assert_eq!(refused.status(), 403);
    }
}
