//! Addresses of Services in settings: `amqp://celeriac-rabbitmq:5672/`, `name.namespace:port`.

use k8s_openapi::api::core::v1::Secret;

use crate::document::Document;
use crate::finding::{Finding, Findings};
use crate::manifests::Manifests;

/// Host and port of a URL, or of the short form without scheme.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = if text.contains("://") {
            text.to_owned()
        } else {
            format!("tcp://{text}")
        };
        let url = url::Url::parse(&text).ok()?;
        Some(Self {
            host: url.host_str()?.to_owned(),
            port: url.port().or_else(|| default_port(url.scheme())),
        })
    }

    /// Returns name and namespace of the Service, where the host is one.
    pub(crate) fn service(&self) -> Option<(&str, Option<&str>)> {
        let host = self
            .host
            .strip_suffix(".cluster.local")
            .unwrap_or(&self.host);
        let mut parts = host.split('.');
        let name = parts.next()?;
        match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => Some((name, None)),
            (Some(namespace), None | Some("svc"), None) => Some((name, Some(namespace))),
            _ => None,
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "amqp" => Some(5672),
        "amqps" => Some(5671),
        "redis" | "rediss" => Some(6379),
        "postgres" | "postgresql" => Some(5432),
        _ => None,
    }
}

pub(crate) fn check(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("addresses");
    for (document, secret) in manifests.all::<Secret>() {
        let bytes = secret.data.iter().flatten();
        let bytes = bytes.map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned()));
        let texts = secret.string_data.iter().flatten();
        let texts = texts.map(|(key, value)| (key, value.clone()));
        for (key, value) in bytes.chain(texts) {
            if let (true, Some(address)) = (value.contains("://"), Address::parse(value.trim())) {
                resolve(manifests, document, key, &address, false, &mut findings);
            }
        }
    }
    for workload in manifests.workloads() {
        for (at, container) in workload.containers() {
            for (name, value) in super::environment::of(manifests, &workload, container) {
                if let (true, Some(address)) = (value.contains("://"), Address::parse(&value)) {
                    let field = format!("{at}.env[{name}]");
                    let document = workload.document;
                    resolve(manifests, document, &field, &address, false, &mut findings);
                }
            }
        }
    }
    findings.done()
}

/// A Service that is named is here and has the port. Who asks `from_elsewhere` is in another
/// namespace, where a name alone means another Service.
pub(crate) fn resolve(
    manifests: &Manifests,
    document: &Document,
    field: &str,
    address: &Address,
    from_elsewhere: bool,
    findings: &mut Findings,
) {
    let Some((name, namespace)) = address.service() else {
        return;
    };
    let Address { host, port } = address;
    if from_elsewhere && namespace.is_none() {
        let expected = format!(
            "{name}.{}, for who asks is in another namespace",
            document.namespace()
        );
        findings.add(&document.title, field, host, expected);
        return;
    }
    let here = document.namespace();
    if let Some(namespace) = namespace.filter(|namespace| *namespace != here) {
        // Others' Services, such as Prometheus', are not ours to know.
        if name.starts_with("celeriac") {
            let expected = format!("{name}.{here}: its namespace");
            findings.add(
                &document.title,
                field,
                format!("{name}.{namespace}"),
                expected,
            );
        }
        return;
    }
    let ports: Option<Vec<u16>> = service_ports(manifests, here, name);
    match (ports, port) {
        (None, _) => {
            let expected = "a Service that is here";
            findings.add(&document.title, field, host, expected);
        }
        (Some(ports), Some(port)) if !ports.contains(port) => findings.add(
            &document.title,
            field,
            format!("{host}:{port}"),
            format!("one of its ports {ports:?}"),
        ),
        _ => {}
    }
}

fn service_ports(manifests: &Manifests, namespace: &str, name: &str) -> Option<Vec<u16>> {
    // RabbitMQ's operator makes a Service with the name of the cluster.
    if manifests.find("RabbitmqCluster", namespace, name).is_some() {
        return Some(vec![5672, 15672, 15692]);
    }
    let spec = manifests.service(namespace, name)?.spec.as_ref()?;
    let ports = spec.ports.iter().flatten();
    Some(
        ports
            .filter_map(|port| u16::try_from(port.port).ok())
            .collect(),
    )
}

#[test]
fn an_address_names_a_service_with_or_without_its_namespace() {
    let address = Address::parse("celeriac-supervisor.celeriac.svc:9596").unwrap();
    assert_eq!(address.port, Some(9596));
    assert_eq!(
        address.service(),
        Some(("celeriac-supervisor", Some("celeriac")))
    );
    let address = Address::parse("amqp://u:p@celeriac-rabbitmq/%2f").unwrap();
    assert_eq!(address.port, Some(5672));
    assert_eq!(address.service(), Some(("celeriac-rabbitmq", None)));
    assert_eq!(
        Address::parse("https://hooks.example.com/x")
            .unwrap()
            .service(),
        None
    );
}
