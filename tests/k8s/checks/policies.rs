//! NetworkPolicies as a model: who may reach whom.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::manifests::Manifests;
use crate::pod::{Labels, Pod, selects};

/// One end of a connection.
#[derive(Debug, Clone)]
pub(crate) enum Party {
    Pod(Pod),
    /// Outside of the cluster, or the API server.
    Address(Ipv4Addr),
}

impl Party {
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Pod(pod) => pod.title.clone(),
            Self::Address(address) => address.to_string(),
        }
    }
}

/// The policies of one rendering.
#[derive(Debug)]
pub(crate) struct Policies<'a> {
    all: Vec<(&'a str, &'a NetworkPolicySpec)>,
    namespaces: Vec<(&'a str, Labels)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Ingress,
    Egress,
}

impl<'a> Policies<'a> {
    pub(crate) fn of(manifests: &'a Manifests) -> Self {
        let all = manifests.all::<NetworkPolicy>();
        let all = all
            .filter_map(|(document, policy)| Some((document.namespace(), policy.spec.as_ref()?)));
        let namespaces = manifests.all::<Namespace>().map(|(document, namespace)| {
            let labels = namespace.metadata.labels.clone().unwrap_or_default();
            (document.name(), labels)
        });
        Self {
            all: all.collect(),
            namespaces: namespaces.collect(),
        }
    }

    /// Returns what refuses a connection: nothing, or one of its directions.
    pub(crate) fn refuses(
        &self,
        from: &Party,
        to: &Party,
        port: i32,
        protocol: &str,
    ) -> Option<Direction> {
        if !self.lets(Direction::Egress, from, to, to, port, protocol) {
            return Some(Direction::Egress);
        }
        if !self.lets(Direction::Ingress, to, from, to, port, protocol) {
            return Some(Direction::Ingress);
        }
        None
    }

    /// Returns whether a pod may talk to anybody that no policy names.
    pub(crate) fn governs(&self, direction: Direction, pod: &Pod) -> bool {
        self.about(direction, pod).next().is_some()
    }

    fn about(
        &self,
        direction: Direction,
        pod: &Pod,
    ) -> impl Iterator<Item = (&'a str, &'a NetworkPolicySpec)> {
        self.all.iter().copied().filter(move |(namespace, spec)| {
            let selector = spec.pod_selector.clone().unwrap_or_default();
            *namespace == pod.namespace
                && selects(&selector, &pod.labels)
                && has_direction(spec, direction)
        })
    }

    fn lets(
        &self,
        direction: Direction,
        about: &Party,
        peer: &Party,
        target: &Party,
        port: i32,
        protocol: &str,
    ) -> bool {
        let Party::Pod(pod) = about else { return true };
        let mut policies = self.about(direction, pod).peekable();
        if policies.peek().is_none() {
            return true;
        }
        policies.any(|(namespace, spec)| {
            rules(spec, direction).into_iter().any(|(peers, ports)| {
                let to_peer =
                    peers.is_empty() || peers.iter().any(|one| self.is_peer(one, namespace, peer));
                let at_port = ports.is_empty()
                    || ports.iter().any(|one| is_port(one, target, port, protocol));
                to_peer && at_port
            })
        })
    }

    fn is_peer(&self, peer: &NetworkPolicyPeer, namespace: &str, party: &Party) -> bool {
        match (party, &peer.ip_block) {
            (Party::Address(address), Some(block)) => {
                let except = block.except.iter().flatten();
                within(*address, &block.cidr)
                    && !except.into_iter().any(|cidr| within(*address, cidr))
            }
            // Whether a block reaches pods differs between networks: nothing here counts on it.
            (Party::Address(_), None) | (Party::Pod(_), Some(_)) => false,
            (Party::Pod(pod), None) => {
                let here = match &peer.namespace_selector {
                    None => pod.namespace == namespace,
                    Some(selector) => selects(selector, &self.labels_of(&pod.namespace)),
                };
                let selector = peer.pod_selector.as_ref();
                here && selector.is_none_or(|selector| selects(selector, &pod.labels))
            }
        }
    }

    fn labels_of(&self, namespace: &str) -> Labels {
        let known = self.namespaces.iter().find(|(name, _)| *name == namespace);
        let mut labels = known.map(|(_, labels)| labels.clone()).unwrap_or_default();
        labels.insert(
            "kubernetes.io/metadata.name".to_owned(),
            namespace.to_owned(),
        );
        labels
    }
}

fn has_direction(spec: &NetworkPolicySpec, direction: Direction) -> bool {
    let types = spec.policy_types.as_deref().unwrap_or_default();
    if types.is_empty() {
        return direction == Direction::Ingress || spec.egress.is_some();
    }
    types.iter().any(|one| *one == format!("{direction:?}"))
}

type Rule<'a> = (&'a [NetworkPolicyPeer], &'a [NetworkPolicyPort]);

fn rules(spec: &NetworkPolicySpec, direction: Direction) -> Vec<Rule<'_>> {
    match direction {
        Direction::Ingress => {
            let rules = spec.ingress.iter().flatten();
            rules
                .map(|rule| {
                    let peers = rule.from.as_deref().unwrap_or_default();
                    (peers, rule.ports.as_deref().unwrap_or_default())
                })
                .collect()
        }
        Direction::Egress => {
            let rules = spec.egress.iter().flatten();
            rules
                .map(|rule| {
                    let peers = rule.to.as_deref().unwrap_or_default();
                    (peers, rule.ports.as_deref().unwrap_or_default())
                })
                .collect()
        }
    }
}

fn is_port(rule: &NetworkPolicyPort, target: &Party, port: i32, protocol: &str) -> bool {
    if rule.protocol.as_deref().unwrap_or("TCP") != protocol {
        return false;
    }
    match (&rule.port, target) {
        (None, _) => true,
        (Some(IntOrString::Int(first)), _) => {
            (*first..=rule.end_port.unwrap_or(*first)).contains(&port)
        }
        (Some(name), Party::Pod(pod)) => {
            let mut named = pod.ports.iter().filter(|one| one.is(name));
            named.any(|one| one.number == port)
        }
        (Some(_), Party::Address(_)) => false,
    }
}

fn within(address: Ipv4Addr, cidr: &str) -> bool {
    let Some((network, bits)) = cidr.split_once('/') else {
        return false;
    };
    let (Ok(network), Ok(bits)) = (network.parse::<Ipv4Addr>(), bits.parse::<u32>()) else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or_default();
    address.to_bits() & mask == network.to_bits() & mask
}

#[test]
fn an_address_is_within_its_block() {
    let address = Ipv4Addr::new(10, 96, 0, 1);
    assert!(within(address, "0.0.0.0/0") && within(address, "10.0.0.0/8"));
    assert!(within(address, "10.96.0.1/32") && !within(address, "10.97.0.0/16"));
}
