//! The kind of RabbitMQ's cluster operator, `rabbitmq.com/v1beta1`.
#![expect(dead_code, reason = "what is not read is still decoded strictly")]

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSetSpec;
use k8s_openapi::api::core::v1::{
    Affinity, LocalObjectReference, ResourceRequirements, ServiceSpec, Toleration,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RabbitmqCluster {
    api_version: String,
    kind: String,
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) spec: RabbitmqClusterSpec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RabbitmqClusterSpec {
    /// The definition of the kind has the minimum 0.
    pub(crate) replicas: Option<u32>,
    image: Option<String>,
    image_pull_secrets: Option<Vec<LocalObjectReference>>,
    service: Option<ClientService>,
    persistence: Option<Persistence>,
    pub(crate) resources: Option<ResourceRequirements>,
    affinity: Option<Affinity>,
    tolerations: Option<Vec<Toleration>>,
    rabbitmq: Option<Configuration>,
    tls: Option<Tls>,
    #[serde(rename = "override")]
    changes: Option<Changes>,
    skip_post_deploy_steps: Option<bool>,
    termination_grace_period_seconds: Option<u64>,
    delay_start_seconds: Option<u32>,
    secret_backend: Option<SecretBackend>,
    auto_enable_all_feature_flags: Option<bool>,
    disable_default_topology_spread_constraints: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ClientService {
    #[serde(rename = "type")]
    kind: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
    ip_family_policy: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Persistence {
    storage_class_name: Option<String>,
    storage: Option<Quantity>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Configuration {
    additional_plugins: Option<Vec<String>>,
    additional_config: Option<String>,
    advanced_config: Option<String>,
    env_config: Option<String>,
    erlang_inet_config: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Tls {
    secret_name: Option<String>,
    ca_secret_name: Option<String>,
    #[serde(rename = "disableNonTLSListeners")]
    disable_non_tls_listeners: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Changes {
    stateful_set: Option<StatefulSetChanges>,
    service: Option<ServiceChanges>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StatefulSetChanges {
    metadata: Option<ObjectMeta>,
    spec: Option<StatefulSetSpec>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ServiceChanges {
    metadata: Option<ObjectMeta>,
    spec: Option<ServiceSpec>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SecretBackend {
    external_secret: Option<LocalObjectReference>,
}
