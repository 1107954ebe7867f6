//! What pods name.

use k8s_openapi::api::core::v1::PodSpec;

use crate::pod::Workload;

/// One thing that is named: kind, name, key, and whether it may be missing.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) field: String,
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) key: Option<String>,
    pub(super) optional: bool,
}

impl Reference {
    pub(super) fn new(field: &str, kind: &'static str, name: &str, optional: Option<bool>) -> Self {
        Self {
            field: field.to_owned(),
            kind,
            name: name.to_owned(),
            key: None,
            optional: optional.unwrap_or_default(),
        }
    }

    pub(super) fn key(self, key: &str) -> Self {
        let key = Some(key.to_owned());
        Self { key, ..self }
    }
}

/// Returns what a pod names.
pub(super) fn of_pod(workload: &Workload<'_>, spec: &PodSpec) -> Vec<Reference> {
    let mut all = Vec::new();
    let account = spec.service_account_name.as_deref();
    if let Some(account) = account.filter(|account| *account != "default") {
        all.push(Reference::new(
            "serviceAccountName",
            "ServiceAccount",
            account,
            None,
        ));
    }
    for secret in spec.image_pull_secrets.iter().flatten() {
        all.push(Reference::new(
            "imagePullSecrets",
            "Secret",
            &secret.name,
            None,
        ));
    }
    for (at, container) in workload.containers() {
        for source in container.env_from.iter().flatten() {
            let field = format!("{at}.envFrom");
            if let Some(map) = &source.config_map_ref {
                all.push(Reference::new(&field, "ConfigMap", &map.name, map.optional));
            }
            if let Some(secret) = &source.secret_ref {
                all.push(Reference::new(
                    &field,
                    "Secret",
                    &secret.name,
                    secret.optional,
                ));
            }
        }
        for variable in container.env.iter().flatten() {
            let field = format!("{at}.env[{}]", variable.name);
            let Some(from) = &variable.value_from else {
                continue;
            };
            if let Some(of) = &from.config_map_key_ref {
                let reference = Reference::new(&field, "ConfigMap", &of.name, of.optional);
                all.push(reference.key(&of.key));
            }
            if let Some(of) = &from.secret_key_ref {
                let reference = Reference::new(&field, "Secret", &of.name, of.optional);
                all.push(reference.key(&of.key));
            }
        }
    }
    all.extend(of_volumes(spec));
    all
}

fn of_volumes(spec: &PodSpec) -> Vec<Reference> {
    let mut all = Vec::new();
    for volume in spec.volumes.iter().flatten() {
        let field = format!("volumes[{}]", volume.name);
        let mut push = |kind, name: &str, optional, keys: Vec<&str>| {
            let reference = Reference::new(&field, kind, name, optional);
            all.extend(keys.into_iter().map(|key| reference.clone().key(key)));
            all.push(reference);
        };
        if let Some(claim) = &volume.persistent_volume_claim {
            push("PersistentVolumeClaim", &claim.claim_name, None, Vec::new());
        }
        if let Some(map) = &volume.config_map {
            let keys = map.items.iter().flatten().map(|item| item.key.as_str());
            push("ConfigMap", &map.name, map.optional, keys.collect());
        }
        if let Some(secret) = &volume.secret {
            let keys = secret.items.iter().flatten().map(|item| item.key.as_str());
            let name = secret.secret_name.as_deref().unwrap_or_default();
            push("Secret", name, secret.optional, keys.collect());
        }
        let projected = volume.projected.iter();
        for source in projected.flat_map(|projected| projected.sources.iter().flatten()) {
            if let Some(map) = &source.config_map {
                let keys = map.items.iter().flatten().map(|item| item.key.as_str());
                push("ConfigMap", &map.name, map.optional, keys.collect());
            }
            if let Some(secret) = &source.secret {
                let keys = secret.items.iter().flatten().map(|item| item.key.as_str());
                push("Secret", &secret.name, secret.optional, keys.collect());
            }
        }
    }
    all
}
