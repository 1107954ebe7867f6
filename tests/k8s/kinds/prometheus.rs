//! The kinds of Prometheus' operator, `monitoring.coreos.com/v1`.
#![expect(dead_code, reason = "what is not read is still decoded strictly")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;

use super::Duration;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ServiceMonitor {
    api_version: String,
    kind: String,
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: ServiceMonitorSpec,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ServiceMonitorSpec {
    pub(crate) selector: LabelSelector,
    pub(crate) namespace_selector: Option<NamespaceSelector>,
    pub(crate) endpoints: Vec<Endpoint>,
    job_label: Option<String>,
    target_labels: Option<Vec<String>>,
    pod_target_labels: Option<Vec<String>>,
    sample_limit: Option<u64>,
    label_limit: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PodMonitor {
    api_version: String,
    kind: String,
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: PodMonitorSpec,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PodMonitorSpec {
    pub(crate) selector: LabelSelector,
    pub(crate) namespace_selector: Option<NamespaceSelector>,
    pub(crate) pod_metrics_endpoints: Vec<Endpoint>,
    job_label: Option<String>,
    pod_target_labels: Option<Vec<String>>,
    sample_limit: Option<u64>,
    label_limit: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NamespaceSelector {
    #[serde(default)]
    pub(crate) any: bool,
    #[serde(default)]
    pub(crate) match_names: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Endpoint {
    pub(crate) port: Option<String>,
    pub(crate) target_port: Option<IntOrString>,
    pub(crate) port_number: Option<i32>,
    pub(crate) path: Option<String>,
    scheme: Option<String>,
    interval: Option<Duration>,
    scrape_timeout: Option<Duration>,
    honor_labels: Option<bool>,
    honor_timestamps: Option<bool>,
    filter_running: Option<bool>,
    pub(crate) authorization: Option<Authorization>,
    params: Option<BTreeMap<String, Vec<String>>>,
    relabelings: Option<Vec<Relabeling>>,
    metric_relabelings: Option<Vec<Relabeling>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Authorization {
    #[serde(rename = "type")]
    kind: Option<String>,
    pub(crate) credentials: SecretKey,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SecretKey {
    pub(crate) name: String,
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) optional: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Relabeling {
    source_labels: Option<Vec<String>>,
    separator: Option<String>,
    target_label: Option<String>,
    regex: Option<String>,
    modulus: Option<u64>,
    replacement: Option<String>,
    action: Option<RelabelAction>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RelabelAction {
    Replace,
    Keep,
    Drop,
    Hashmod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
    KeepEqual,
    DropEqual,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PrometheusRule {
    api_version: String,
    kind: String,
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: PrometheusRuleSpec,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PrometheusRuleSpec {
    groups: Vec<RuleGroup>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleGroup {
    name: String,
    interval: Option<Duration>,
    limit: Option<u32>,
    labels: Option<BTreeMap<String, String>>,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    alert: Option<String>,
    record: Option<String>,
    expr: IntOrString,
    #[serde(rename = "for")]
    hold: Option<Duration>,
    keep_firing_for: Option<Duration>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}
