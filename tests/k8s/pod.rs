//! What makes pods, and the pods that it makes.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::document::Document;
use crate::kinds::rabbitmq::RabbitmqCluster;
use crate::manifests::Manifests;

pub(crate) type Labels = BTreeMap<String, String>;

/// Something with a pod template.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload<'a> {
    pub(crate) document: &'a Document,
    /// Jobs have none: the server makes it.
    pub(crate) selector: Option<&'a LabelSelector>,
    pub(crate) template: &'a PodTemplateSpec,
    pub(crate) replicas: Option<i32>,
}

impl<'a> Workload<'a> {
    pub(crate) fn title(&self) -> &'a str {
        &self.document.title
    }

    pub(crate) fn spec(&self) -> Option<&'a PodSpec> {
        self.template.spec.as_ref()
    }

    pub(crate) fn labels(&self) -> Labels {
        let metadata = self.template.metadata.as_ref();
        metadata
            .and_then(|metadata| metadata.labels.clone())
            .unwrap_or_default()
    }

    /// Returns every container with its field: those that prepare, then those that run.
    pub(crate) fn containers(&self) -> Vec<(String, &'a Container)> {
        let Some(spec) = self.spec() else {
            return Vec::new();
        };
        let prepare = spec.init_containers.iter().flatten();
        let prepare = prepare.map(|container| ("initContainers", container));
        let run = spec
            .containers
            .iter()
            .map(|container| ("containers", container));
        prepare
            .chain(run)
            .map(|(field, container)| (format!("{field}[{}]", container.name), container))
            .collect()
    }
}

/// Whom a port belongs to: name, number and protocol.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    pub(crate) name: Option<String>,
    pub(crate) number: i32,
    pub(crate) protocol: String,
}

impl Port {
    pub(crate) fn is(&self, wanted: &IntOrString) -> bool {
        match wanted {
            IntOrString::Int(number) => self.number == *number,
            IntOrString::String(name) => self.name.as_ref() == Some(name),
        }
    }
}

/// A pod as others see it.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) title: String,
    pub(crate) namespace: String,
    pub(crate) labels: Labels,
    pub(crate) ports: Vec<Port>,
}

pub(crate) fn workloads(manifests: &Manifests) -> Vec<Workload<'_>> {
    manifests.documents.iter().filter_map(workload).collect()
}

fn workload(document: &Document) -> Option<Workload<'_>> {
    let (selector, template, replicas) = if let Some(of) = document.get::<Deployment>() {
        let spec = &of.spec;
        (Some(&spec.selector), &spec.template, spec.replicas)
    } else if let Some(of) = document.get::<StatefulSet>() {
        let spec = &of.spec;
        (Some(&spec.selector), &spec.template, spec.replicas)
    } else if let Some(of) = document.get::<DaemonSet>() {
        let spec = &of.spec;
        (Some(&spec.selector), &spec.template, None)
    } else if let Some(of) = document.get::<Job>() {
        (None, &of.spec.as_ref()?.template, None)
    } else if let Some(of) = document.get::<CronJob>() {
        let job = of.spec.job_template.spec.as_ref()?;
        (None, &job.template, None)
    } else {
        return None;
    };
    Some(Workload {
        document,
        selector,
        template,
        replicas,
    })
}

pub(crate) fn pods(manifests: &Manifests) -> Vec<Pod> {
    let own = manifests.workloads().into_iter().map(|workload| Pod {
        title: workload.title().to_owned(),
        namespace: workload.document.namespace().to_owned(),
        labels: workload.labels(),
        ports: workload
            .containers()
            .into_iter()
            .flat_map(|(_, container)| container.ports.iter().flatten())
            .map(|port| Port {
                name: port.name.clone(),
                number: port.container_port,
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            })
            .collect(),
    });
    let of_operators = manifests
        .all::<RabbitmqCluster>()
        .map(|(document, _)| broker_pod(document));
    own.chain(of_operators).collect()
}

/// The pod that RabbitMQ's operator makes.
fn broker_pod(document: &Document) -> Pod {
    let label = |name: &str, value: &str| (format!("app.kubernetes.io/{name}"), value.to_owned());
    let port = |name: &str, number| Port {
        name: Some(name.to_owned()),
        number,
        protocol: "TCP".to_owned(),
    };
    Pod {
        title: document.title.clone(),
        namespace: document.namespace().to_owned(),
        labels: BTreeMap::from([
            label("name", document.name()),
            label("component", "rabbitmq"),
            label("part-of", "rabbitmq"),
        ]),
        ports: vec![
            port("epmd", 4369),
            port("amqp", 5672),
            port("management", 15672),
            port("prometheus", 15692),
            port("clustering", 25672),
        ],
    }
}

/// Returns whether a selector selects these labels; an empty one selects everything.
pub(crate) fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = selector.match_labels.iter().flatten();
    let expressions = selector.match_expressions.iter().flatten();
    equal
        .into_iter()
        .all(|(key, value)| labels.get(key) == Some(value))
        && expressions.into_iter().all(|expression| {
            let value = labels.get(&expression.key);
            let values = expression.values.iter().flatten();
            let listed = value.is_some_and(|value| values.into_iter().any(|one| one == value));
            match expression.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}
