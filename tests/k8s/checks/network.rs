//! NetworkPolicies let through what is needed, and nothing for strangers.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::keda::addresses;
use super::policies::{Direction, Party, Policies};
use crate::finding::{Finding, Findings};
use crate::kinds::gateway::HTTPRoute;
use crate::kinds::keda::ScaledObject;
use crate::kinds::prometheus::{PodMonitor, ServiceMonitor};
use crate::manifests::Manifests;
use crate::pod::{Labels, Pod, Port, selects};

/// A connection that has to be possible.
#[derive(Debug)]
struct Need {
    from: Party,
    to: Party,
    port: i32,
    protocol: &'static str,
    why: &'static str,
}

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("network");
    let policies = Policies::of(manifests);
    let pods = manifests.pods();
    let needs = needs(manifests, &pods);
    for Need {
        from,
        to,
        port,
        protocol,
        why,
    } in &needs
    {
        let refused = policies.refuses(from, to, *port, protocol);
        if let Some(direction) = refused {
            findings.add(
                &from.title(),
                format!("to {}, port {port}", to.title()),
                format!("no policy that lets it through ({direction:?})"),
                format!("a way: {why}"),
            );
        }
    }
    let stranger = Party::Pod(outsider("a stranger", "elsewhere", &[], &[]));
    for pod in &pods {
        for direction in [Direction::Ingress, Direction::Egress] {
            if !policies.governs(direction, pod) {
                let found = format!("no policy about {direction:?}");
                findings.add(&pod.title, "pods", found, "one that denies what none opens");
            }
        }
        for port in &pod.ports {
            let to = Party::Pod(pod.clone());
            if policies
                .refuses(&stranger, &to, port.number, "TCP")
                .is_none()
            {
                findings.add(
                    &pod.title,
                    format!("port {}", port.number),
                    "open to pods of any namespace",
                    "open to those that need it",
                );
            }
        }
    }
    for node in of(&pods, "node") {
        let server = Party::Address(Ipv4Addr::new(10, 96, 0, 1));
        let from = Party::Pod(node.clone());
        if policies.refuses(&from, &server, 6443, "TCP").is_none() {
            let field = "to the API server, port 6443";
            findings.add(&node.title, field, "a way", "none: nodes ask nothing of it");
        }
    }
    findings.done()
}

fn of<'a>(pods: &'a [Pod], component: &'a str) -> impl Iterator<Item = &'a Pod> {
    pods.iter()
        .filter(move |pod| label(pod, "app.kubernetes.io/component") == Some(component))
}

fn label<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.labels.get(name).map(String::as_str)
}

fn outsider(title: &str, namespace: &str, labels: &[(&str, &str)], ports: &[i32]) -> Pod {
    let labels = labels.iter();
    let labels = labels.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let ports = ports.iter().map(|number| Port {
        name: None,
        number: *number,
        protocol: "TCP".to_owned(),
    });
    Pod {
        title: title.to_owned(),
        namespace: namespace.to_owned(),
        labels: labels.collect::<Labels>(),
        ports: ports.collect(),
    }
}

fn needs(manifests: &Manifests, pods: &[Pod]) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut need = |from: &Pod, to: &Pod, port, why| {
        needs.push(Need {
            from: Party::Pod(from.clone()),
            to: Party::Pod(to.clone()),
            port,
            protocol: "TCP",
            why,
        });
    };
    let workers: Vec<_> = of(pods, "node").chain(of(pods, "supervisor")).collect();
    for broker in of(pods, "rabbitmq") {
        for worker in &workers {
            need(worker, broker, 5672, "tasks come from the broker");
        }
        if members(manifests, broker) > 1 {
            need(
                broker,
                broker,
                4369,
                "members of the broker find each other",
            );
            need(
                broker,
                broker,
                25672,
                "members of the broker talk to each other",
            );
        }
        for supervisor in of(pods, "supervisor").filter(|pod| asks_management(manifests, pod)) {
            need(
                supervisor,
                broker,
                15672,
                "the supervisor asks the management",
            );
        }
    }
    for store in of(pods, "redis") {
        for worker in &workers {
            need(worker, store, 6379, "results are kept there");
        }
    }
    for (pod, port) in scraped(manifests, pods) {
        let prometheus = outsider(
            "Prometheus",
            "monitoring",
            &[("app.kubernetes.io/name", "prometheus")],
            &[9090],
        );
        need(&prometheus, pod, port, "its metrics are scraped");
    }
    for (pod, port) in asked_by_keda(manifests, pods) {
        let labels = [
            ("app", "keda-operator"),
            ("app.kubernetes.io/name", "keda-operator"),
        ];
        let keda = outsider("KEDA", "keda", &labels, &[]);
        need(&keda, pod, port, "KEDA asks it how many nodes are wanted");
    }
    for (namespace, pod, port) in routed(manifests, pods) {
        let proxy = outsider("the way in from outside", &namespace, &[], &[]);
        need(&proxy, pod, port, "people come in by it");
    }
    let dns = outsider("DNS", "kube-system", &[("k8s-app", "kube-dns")], &[53]);
    for pod in pods {
        for protocol in ["UDP", "TCP"] {
            needs.push(Need {
                from: Party::Pod(pod.clone()),
                to: Party::Pod(dns.clone()),
                port: 53,
                protocol,
                why: "names are resolved there",
            });
        }
    }
    for supervisor in of(pods, "supervisor") {
        for port in [443, 6443] {
            for address in [Ipv4Addr::new(10, 96, 0, 1), Ipv4Addr::new(203, 0, 113, 7)] {
                needs.push(Need {
                    from: Party::Pod(supervisor.clone()),
                    to: Party::Address(address),
                    port,
                    protocol: "TCP",
                    why: "the Lease is at the API server, wherever that is",
                });
            }
        }
    }
    needs
}

fn members(manifests: &Manifests, broker: &Pod) -> i64 {
    let document = manifests
        .documents
        .iter()
        .find(|document| document.title == broker.title);
    let replicas = document.and_then(|document| document.value["spec"]["replicas"].as_i64());
    replicas.unwrap_or(1)
}

fn asks_management(manifests: &Manifests, pod: &Pod) -> bool {
    let workloads = manifests.workloads();
    let mut own = workloads
        .iter()
        .filter(|workload| workload.title() == pod.title);
    own.any(|workload| {
        workload.containers().iter().any(|(_, container)| {
            let variables = super::environment::of(manifests, workload, container);
            variables
                .keys()
                .any(|name| name.starts_with("CELERIAC_MANAGEMENT_URL"))
        })
    })
}

/// Returns the pods and ports that monitors name.
fn scraped<'a>(manifests: &Manifests, pods: &'a [Pod]) -> Vec<(&'a Pod, i32)> {
    let mut found = Vec::new();
    for (document, monitor) in manifests.all::<PodMonitor>() {
        let here = pods
            .iter()
            .filter(|pod| pod.namespace == document.namespace());
        for pod in here.filter(|pod| selects(&monitor.spec.selector, &pod.labels)) {
            for endpoint in &monitor.spec.pod_metrics_endpoints {
                let name = IntOrString::String(endpoint.port.clone().unwrap_or_default());
                let ports = pod.ports.iter().filter(|port| port.is(&name));
                found.extend(ports.map(|port| (pod, port.number)));
            }
        }
    }
    for (_, monitor) in manifests.all::<ServiceMonitor>() {
        for (document, service) in manifests.all::<Service>() {
            let labels = service.metadata.labels.clone().unwrap_or_default();
            if !selects(&monitor.spec.selector, &labels) {
                continue;
            }
            for endpoint in &monitor.spec.endpoints {
                let wanted = |port: &i32, name: Option<&str>| {
                    let _ = port;
                    name == endpoint.port.as_deref()
                };
                found.extend(behind(document.namespace(), service, pods, wanted));
            }
        }
    }
    found
}

/// Returns the pods and ports of Services that triggers name.
fn asked_by_keda<'a>(manifests: &Manifests, pods: &'a [Pod]) -> Vec<(&'a Pod, i32)> {
    let mut found = Vec::new();
    for (document, object) in manifests.all::<ScaledObject>() {
        for address in object.spec.triggers.iter().flat_map(addresses) {
            let Some((name, _)) = address.service() else {
                continue;
            };
            let Some(service) = manifests.service(document.namespace(), name) else {
                continue;
            };
            let wanted = |port: &i32, _: Option<&str>| address.port.map(i32::from) == Some(*port);
            found.extend(behind(document.namespace(), service, pods, wanted));
        }
    }
    found
}

/// Returns the namespaces of gateways and ingress controllers, with the pods and ports behind
/// their routes. A controller is in a namespace called as its class.
fn routed<'a>(manifests: &Manifests, pods: &'a [Pod]) -> Vec<(String, &'a Pod, i32)> {
    let mut found = Vec::new();
    let mut add = |from: &str, namespace: &str, name: &str, number: i32, named: Option<&str>| {
        let Some(service) = manifests.service(namespace, name) else {
            return;
        };
        let wanted =
            |port: &i32, name: Option<&str>| *port == number || named.is_some() && named == name;
        let behind = behind(namespace, service, pods, wanted).into_iter();
        found.extend(behind.map(|(pod, port)| (from.to_owned(), pod, port)));
    };
    for (document, route) in manifests.all::<HTTPRoute>() {
        let here = document.namespace();
        for parent in &route.spec.parent_refs {
            let from = parent.namespace.as_deref().unwrap_or(here);
            for of in route.spec.rules.iter().flat_map(|rule| &rule.backend_refs) {
                add(from, here, &of.name, of.port.map_or(0, i32::from), None);
            }
        }
    }
    for (document, ingress) in manifests.all::<Ingress>() {
        let Some(spec) = &ingress.spec else { continue };
        let from = spec.ingress_class_name.as_deref().unwrap_or_default();
        let rules = spec
            .rules
            .iter()
            .flatten()
            .filter_map(|rule| rule.http.as_ref());
        let services = rules
            .flat_map(|http| &http.paths)
            .filter_map(|path| path.backend.service.as_ref());
        for of in services {
            let port = of.port.clone().unwrap_or_default();
            let number = port.number.unwrap_or_default();
            add(
                from,
                document.namespace(),
                &of.name,
                number,
                port.name.as_deref(),
            );
        }
    }
    found
}

/// Returns the pods behind a Service with the ports that the wanted ones lead to.
fn behind<'a>(
    namespace: &str,
    service: &Service,
    pods: &'a [Pod],
    wanted: impl Fn(&i32, Option<&str>) -> bool,
) -> Vec<(&'a Pod, i32)> {
    let Some(spec) = &service.spec else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for pod in pods.iter().filter(|pod| pod.namespace == namespace) {
        let mut selector = spec.selector.iter().flatten();
        if !selector.all(|(key, value)| pod.labels.get(key) == Some(value)) {
            continue;
        }
        for port in spec.ports.iter().flatten() {
            if !wanted(&port.port, port.name.as_deref()) {
                continue;
            }
            let target = port.target_port.clone();
            let target = target.unwrap_or(IntOrString::Int(port.port));
            let ports = pod.ports.iter().filter(|one| one.is(&target));
            found.extend(ports.map(|one| (pod, one.number)));
        }
    }
    found
}
