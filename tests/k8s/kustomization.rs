//! What a kustomization file may say, as far as ours do.
#![expect(dead_code, reason = "what is not read is still decoded strictly")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Kustomization {
    api_version: String,
    kind: String,
    metadata: Option<Value>,
    namespace: Option<String>,
    name_prefix: Option<String>,
    name_suffix: Option<String>,
    #[serde(default)]
    pub(crate) resources: Vec<String>,
    #[serde(default)]
    pub(crate) components: Vec<String>,
    #[serde(default)]
    pub(crate) configurations: Vec<String>,
    #[serde(default)]
    pub(crate) patches: Vec<Patch>,
    #[serde(default)]
    replacements: Vec<Value>,
    #[serde(default)]
    pub(crate) config_map_generator: Vec<Generator>,
    #[serde(default)]
    pub(crate) secret_generator: Vec<Generator>,
    generator_options: Option<Value>,
    #[serde(default)]
    labels: Vec<Value>,
    #[serde(default)]
    images: Vec<Value>,
    #[serde(default)]
    replicas: Vec<Value>,
    common_annotations: Option<BTreeMap<String, String>>,
    sort_options: Option<Value>,
}

impl Kustomization {
    /// Returns what it takes in: files and folders.
    pub(crate) fn taken_in(&self) -> impl Iterator<Item = &str> {
        let all = self.resources.iter().chain(&self.components);
        all.map(String::as_str)
    }

    /// Returns every file and folder that it names.
    pub(crate) fn named(&self) -> Vec<String> {
        let mut named: Vec<String> = self.taken_in().map(str::to_owned).collect();
        named.extend(self.configurations.iter().cloned());
        named.extend(self.patches.iter().filter_map(|patch| patch.path.clone()));
        let replacements = self.replacements.iter();
        named.extend(replacements.filter_map(|one| one["path"].as_str().map(str::to_owned)));
        for generator in self
            .config_map_generator
            .iter()
            .chain(&self.secret_generator)
        {
            let files = generator.files.iter().chain(&generator.envs);
            named.extend(files.map(|file| {
                let path = file.split_once('=').map_or(file.as_str(), |(_, path)| path);
                path.to_owned()
            }));
        }
        named
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Patch {
    pub(crate) path: Option<String>,
    patch: Option<String>,
    target: Option<Target>,
    options: Option<BTreeMap<String, bool>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Target {
    group: Option<String>,
    version: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    label_selector: Option<String>,
    annotation_selector: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Generator {
    name: String,
    namespace: Option<String>,
    behavior: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    literals: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    envs: Vec<String>,
    options: Option<Value>,
}
