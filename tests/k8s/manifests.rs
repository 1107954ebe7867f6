//! The objects of one rendering, and the questions that checks ask of them.

use k8s_openapi::api::core::v1::Service;
use serde_json::Value;

use crate::document::Document;
use crate::finding::{Finding, Findings};
use crate::pod::{Pod, Workload, pods, workloads};

/// One rendering, decoded.
#[derive(Debug, Clone)]
pub(crate) struct Manifests {
    pub(crate) documents: Vec<Document>,
}

impl Manifests {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        let documents = values.into_iter().map(Document::new).collect();
        Self { documents }
    }

    /// Parses what kustomize printed.
    pub(crate) fn parse(yaml: &str) -> Self {
        let values = serde_saphyr::from_multiple::<Value>(yaml);
        let values = values.unwrap_or_else(|error| panic!("a rendering is no YAML: {error}"));
        Self::new(values.into_iter().map(unwrapped).collect())
    }

    /// Returns every object of a type, with its document.
    pub(crate) fn all<T: 'static>(&self) -> impl Iterator<Item = (&Document, &T)> {
        self.documents
            .iter()
            .filter_map(|document| Some((document, document.get::<T>()?)))
    }

    /// Returns an object by kind, namespace and name.
    pub(crate) fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&Document> {
        self.documents.iter().find(|document| {
            document.kind() == kind && document.name() == name && document.namespace() == namespace
        })
    }

    /// Returns a Service by namespace and name.
    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        self.find("Service", namespace, name)?.get()
    }

    /// Returns everything that makes pods.
    pub(crate) fn workloads(&self) -> Vec<Workload<'_>> {
        workloads(self)
    }

    /// Returns a pod for everything that makes pods, an operator's included.
    pub(crate) fn pods(&self) -> Vec<Pod> {
        pods(self)
    }

    /// Returns what the strict decoder refused.
    pub(crate) fn undecoded(&self) -> Vec<Finding> {
        let mut findings = Findings::new("decode");
        for document in &self.documents {
            for fault in &document.faults {
                findings.add(&document.title, &fault.field, &fault.found, &fault.expected);
            }
        }
        findings.done()
    }
}

/// Takes the line ends out of base64, where kustomize wraps it and every reader skips them.
fn unwrapped(mut value: Value) -> Value {
    if value["kind"] == "Secret" {
        let data = value["data"].as_object_mut().into_iter().flatten();
        for (_, value) in data {
            if let Some(text) = value.as_str() {
                *value = text.replace('\n', "").into();
            }
        }
    }
    value
}
