//! A Lease as the API server has it (`coordination.k8s.io/v1`).

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A Lease. What is not ours in it is given back as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lease {
    #[serde(default = "api_version")]
    api_version: String,
    #[serde(default = "kind")]
    kind: String,
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) spec: LeaseSpec,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    /// Changes with each write: a write with another one is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource_version: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LeaseSpec {
    pub(super) holder_identity: Option<String>,
    pub(super) lease_duration_seconds: Option<i64>,
    pub(super) acquire_time: Option<String>,
    pub(super) renew_time: Option<String>,
    pub(super) lease_transitions: Option<i64>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// The term of the latest holder; `leaseTransitions` has no room for it.
const TERM: &str = "celeriac-term";

fn api_version() -> String {
    "coordination.k8s.io/v1".to_owned()
}

fn kind() -> String {
    "Lease".to_owned()
}

impl LeaseSpec {
    /// Returns who holds it; `None` when it was given back.
    pub(super) fn holder(&self) -> Option<&str> {
        self.holder_identity
            .as_deref()
            .filter(|holder| !holder.is_empty())
    }

    /// Returns how long it holds after a renewal, when it says so.
    pub(super) fn duration(&self) -> Option<Duration> {
        let seconds = u64::try_from(self.lease_duration_seconds?).ok()?;
        Some(Duration::from_secs(seconds)).filter(|duration| !duration.is_zero())
    }
}

impl Lease {
    /// Returns one that nobody ever held.
    pub(super) fn new(name: &str) -> Self {
        let metadata = Metadata {
            name: name.to_owned(),
            ..Metadata::default()
        };
        Self {
            api_version: api_version(),
            kind: kind(),
            metadata,
            spec: LeaseSpec::default(),
        }
    }

    /// Returns the term of the latest holder; 0 without one.
    pub(super) fn term(&self) -> u64 {
        let term = self.metadata.annotations.get(TERM);
        term.and_then(|term| term.parse().ok()).unwrap_or(0)
    }

    /// Begins a time of holding, with a term greater than every one before.
    pub(super) fn hold(mut self, me: &str, duration: Duration, wall: SystemTime) -> Self {
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or_default();
        let term = millis.max(self.term().saturating_add(1));
        let terms = &mut self.metadata.annotations;
        terms.insert(TERM.to_owned(), term.to_string());
        let spec = &mut self.spec;
        // One that was made anew has not changed hands.
        let before = spec.lease_transitions.unwrap_or(-1);
        let changed = i64::from(spec.holder() != Some(me));
        spec.lease_transitions = Some((before + changed).clamp(0, i64::from(i32::MAX)));
        spec.holder_identity = Some(me.to_owned());
        spec.lease_duration_seconds = Some(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX));
        spec.acquire_time = Some(micro_time(wall));
        spec.renew_time = Some(micro_time(wall));
        self
    }

    /// Goes on holding.
    pub(super) fn renew(mut self, wall: SystemTime) -> Self {
        self.spec.renew_time = Some(micro_time(wall));
        self
    }

    /// Gives it back, as Kubernetes' own components do: to nobody, for a second.
    pub(super) fn release(mut self, wall: SystemTime) -> Self {
        self.spec.holder_identity = Some(String::new());
        self.spec.lease_duration_seconds = Some(1);
        self.spec.acquire_time = Some(micro_time(wall));
        self.spec.renew_time = Some(micro_time(wall));
        self
    }
}

/// Writes a `MicroTime`: people read it, nothing is decided by it.
fn micro_time(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    #[test]
    fn a_lease_is_written_as_the_api_server_reads_it() {
        let lease = Lease::new("beat").hold("pod-a", Duration::from_secs(3), at(1_500));
        let expected = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "name": "beat", "annotations": { "celeriac-term": "1500" } },
            "spec": {
                "holderIdentity": "pod-a",
                "leaseDurationSeconds": 3,
                "acquireTime": "1970-01-01T00:00:01.500000Z",
                "renewTime": "1970-01-01T00:00:01.500000Z",
                "leaseTransitions": 0,
            },
        });
        assert_eq!(serde_json::to_value(lease).unwrap(), expected);
    }

    #[test]
    fn what_is_not_ours_is_given_back() {
        let found = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": "beat", "namespace": "n", "uid": "u", "resourceVersion": "7",
                "labels": { "a": "b" }, "annotations": { "c": "d", "celeriac-term": "9000" },
            },
            "spec": {
                "holderIdentity": "pod-a", "leaseDurationSeconds": 3, "acquireTime": "t",
                "renewTime": "t", "leaseTransitions": 4, "strategy": "OldestEmulationVersion",
            },
        });
        let lease: Lease = serde_json::from_value(found.clone()).unwrap();
        assert_eq!(serde_json::to_value(&lease).unwrap(), found);
        let next = lease.hold("pod-b", Duration::from_secs(3), at(1));
        assert_eq!(next.term(), 9_001, "a clock that is behind goes not back");
        assert_eq!(next.spec.lease_transitions, Some(5));
        let again = next.clone().hold("pod-b", Duration::from_secs(3), at(2));
        assert_eq!(again.spec.lease_transitions, Some(5), "the same holder");
        assert_eq!(again.term(), 9_002);
        let freed = next.release(at(3));
        assert_eq!(freed.spec.holder(), None);
        assert_eq!(freed.term(), 9_001);
        let value = serde_json::to_value(&freed).unwrap();
        assert_eq!(value["metadata"]["labels"], json!({ "a": "b" }));
        assert_eq!(value["spec"]["strategy"], json!("OldestEmulationVersion"));
    }
}
