//! KEDA's kinds, `keda.sh/v1alpha1`.
#![expect(dead_code, reason = "what is not read is still decoded strictly")]

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ScaledObject {
    api_version: String,
    kind: String,
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: ScaledObjectSpec,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ScaledObjectSpec {
    pub(crate) scale_target_ref: ScaleTarget,
    pub(crate) polling_interval: Option<i32>,
    pub(crate) cooldown_period: Option<i32>,
    pub(crate) initial_cooldown_period: Option<i32>,
    pub(crate) idle_replica_count: Option<i32>,
    pub(crate) min_replica_count: Option<i32>,
    pub(crate) max_replica_count: Option<i32>,
    pub(crate) advanced: Option<Advanced>,
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) fallback: Option<Fallback>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ScaleTarget {
    pub(crate) api_version: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) name: String,
    pub(crate) env_source_container_name: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Advanced {
    restore_to_original_replica_count: Option<bool>,
    pub(crate) horizontal_pod_autoscaler_config: Option<AutoscalerConfig>,
    scaling_modifiers: Option<ScalingModifiers>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AutoscalerConfig {
    name: Option<String>,
    behavior: Option<HorizontalPodAutoscalerBehavior>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ScalingModifiers {
    formula: Option<String>,
    target: Option<String>,
    activation_target: Option<String>,
    metric_type: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Trigger {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) authentication_ref: Option<AuthenticationRef>,
    pub(crate) metric_type: Option<String>,
    use_cached_metrics: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AuthenticationRef {
    pub(crate) name: String,
    pub(crate) kind: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Fallback {
    pub(crate) failure_threshold: i32,
    pub(crate) replicas: i32,
    pub(crate) behavior: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TriggerAuthentication {
    api_version: String,
    kind: String,
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: TriggerAuthenticationSpec,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TriggerAuthenticationSpec {
    #[serde(default)]
    pub(crate) secret_target_ref: Vec<KeyTarget>,
    #[serde(default)]
    pub(crate) config_map_target_ref: Vec<KeyTarget>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct KeyTarget {
    pub(crate) parameter: String,
    pub(crate) name: String,
    pub(crate) key: String,
}
