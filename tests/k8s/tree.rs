//! The folder `k8s` as files: a copy that a test may change and render.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::kustomization::Kustomization;
use crate::tools::{self, complaint, printed};

/// A copy of the folder `k8s`.
#[derive(Debug)]
pub(crate) struct Tree {
    folder: PathBuf,
}

impl Tree {
    pub(crate) fn copy() -> Self {
        let folder = tools::scratch("tree");
        copy(&tools::root().join("k8s"), &folder);
        Self { folder }
    }

    /// Copies the copy.
    pub(crate) fn duplicate(&self) -> Self {
        let folder = tools::scratch("tree");
        copy(&self.folder, &folder);
        Self { folder }
    }

    /// Returns every folder with a kustomization file, as a path below `k8s`.
    pub(crate) fn kustomizations(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.walk(&self.folder, &mut |file| {
            if file.file_name().unwrap() == "kustomization.yaml" {
                found.push(self.below(file.parent().unwrap()));
            }
        });
        found.sort();
        found
    }

    /// Returns every file, as a path below `k8s`.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.walk(&self.folder, &mut |file| found.push(self.below(file)));
        found.sort();
        found
    }

    /// Returns the folders directly in `kind`: `overlays` or `components`.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<String> {
        let all = self.kustomizations().into_iter();
        all.filter(|path| path.split('/').count() == 2 && path.starts_with(&format!("{kind}/")))
            .collect()
    }

    pub(crate) fn read(&self, file: &str) -> String {
        let path = self.folder.join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Returns the kustomization file of a folder, decoded strictly and as written.
    pub(crate) fn kustomization(&self, folder: &str) -> (Kustomization, Value) {
        let file = format!("{folder}/kustomization.yaml");
        let text = self.read(&file);
        let raw = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let decoded = serde_saphyr::from_str(&text).unwrap_or_else(|error| {
            panic!("{file}: expected fields that tests/k8s/kustomization.rs knows: {error}")
        });
        (decoded, raw)
    }

    /// Writes a kustomization file; YAML takes JSON.
    pub(crate) fn set_kustomization(&self, folder: &str, raw: &Value) {
        self.write(&format!("{folder}/kustomization.yaml"), &raw.to_string());
    }

    /// Makes an overlay of the base and these components, and returns its folder.
    pub(crate) fn combine(&self, components: &[&str]) -> String {
        let names: Vec<_> = components
            .iter()
            .map(|one| one.replace("components/", ""))
            .collect();
        let name = match names.is_empty() {
            true => "overlays/base-alone".to_owned(),
            false => format!("overlays/base-with-{}", names.join("-")),
        };
        let components: Vec<_> = components
            .iter()
            .map(|one| format!("../../{one}"))
            .collect();
        let raw = json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "celeriac",
            "resources": ["../../base"],
            "components": components,
        });
        self.set_kustomization(&name, &raw);
        name
    }

    /// Renders a folder.
    ///
    /// # Errors
    ///
    /// What kustomize says.
    pub(crate) fn render(&self, folder: &str) -> Result<String, String> {
        let path = self.folder.join(folder);
        let output = tools::run("kubectl", &["kustomize", path.to_str().unwrap()]);
        if !output.status.success() {
            return Err(format!("{folder}: {}", complaint(&output).trim()));
        }
        // What is deprecated works until it does not.
        let complaint = complaint(&output);
        if !complaint.trim().is_empty() {
            return Err(format!("{folder}: kustomize warns: {}", complaint.trim()));
        }
        Ok(printed(&output))
    }

    /// Returns the folder and every folder that it takes in, however deep.
    pub(crate) fn closure(&self, folder: &str) -> Vec<String> {
        let mut found = vec![folder.to_owned()];
        let mut next = 0;
        while let Some(folder) = found.get(next).cloned() {
            next += 1;
            let (kustomization, _) = self.kustomization(&folder);
            for path in kustomization.taken_in() {
                let path = self.folder.join(&folder).join(path);
                let Ok(path) = path.canonicalize() else {
                    continue;
                };
                if path.is_dir() {
                    let path = self.below(&path);
                    if !found.contains(&path) {
                        found.push(path);
                    }
                }
            }
        }
        found
    }

    fn below(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.folder).unwrap();
        below.to_str().unwrap().to_owned()
    }

    fn walk(&self, folder: &Path, visit: &mut dyn FnMut(&Path)) {
        let entries = std::fs::read_dir(folder).unwrap();
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.walk(&path, visit);
            } else {
                visit(&path);
            }
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let entries =
        std::fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    for entry in entries {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}
