//! Faults of Services, monitors and policies.

use serde_json::json;

use super::Fault;
use super::edit::{push, remove, set, take};

const NODE: &str = "Deployment celeriac-node";
const SERVICE: &str = "Service celeriac-supervisor";

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "name of a port twice",
        by: "ports",
        put: |all| {
            let port = json!({ "name": "http", "containerPort": 9999 });
            push(all, NODE, "/spec/template/spec/containers/0/ports", port);
        },
    },
    Fault {
        name: "port 80000",
        by: "ports",
        put: |all| set(all, SERVICE, "/spec/ports/0/port", json!(80000)),
    },
    Fault {
        name: "protocol HTTP",
        by: "ports",
        put: |all| set(all, SERVICE, "/spec/ports/0/protocol", json!("HTTP")),
    },
    Fault {
        name: "Service to a port that pods do not have",
        by: "ports",
        put: |all| set(all, SERVICE, "/spec/ports/0/targetPort", json!("web")),
    },
    Fault {
        name: "ServiceMonitor of a port that is not there",
        by: "ports",
        put: |all| {
            let field = "/spec/endpoints/0/port";
            set(
                all,
                "ServiceMonitor celeriac-supervisor",
                field,
                json!("metrics"),
            );
        },
    },
    Fault {
        name: "PodMonitor of a port that is not there",
        by: "ports",
        put: |all| {
            let field = "/spec/podMetricsEndpoints/0/port";
            set(all, "PodMonitor celeriac-node", field, json!("metrics"));
        },
    },
    Fault {
        name: "Service of no pods",
        by: "selectors",
        put: |all| {
            let label = "/spec/selector/app.kubernetes.io~1component";
            set(all, SERVICE, label, json!("supervisors"));
        },
    },
    Fault {
        name: "ServiceMonitor of no Service",
        by: "selectors",
        put: |all| {
            let label = "/spec/selector/matchLabels/app.kubernetes.io~1component";
            set(all, "ServiceMonitor celeriac-supervisor", label, json!("x"));
        },
    },
    Fault {
        name: "PodMonitor of no pods",
        by: "selectors",
        put: |all| {
            let label = "/spec/selector/matchLabels/app.kubernetes.io~1component";
            set(all, "PodMonitor celeriac-node", label, json!("x"));
        },
    },
    Fault {
        name: "policy of no pods",
        by: "selectors",
        put: |all| {
            let label = "/spec/podSelector/matchLabels/app.kubernetes.io~1component";
            set(all, "NetworkPolicy celeriac-node", label, json!("nodes"));
        },
    },
    Fault {
        name: "nodes cut off from the broker",
        by: "network",
        put: |all| take(all, "NetworkPolicy celeriac-node"),
    },
    Fault {
        name: "broker that lets nobody in",
        by: "network",
        put: |all| {
            set(
                all,
                "NetworkPolicy celeriac-rabbitmq",
                "/spec/ingress",
                json!([]),
            )
        },
    },
    Fault {
        name: "supervisor cut off from broker and API server",
        by: "network",
        put: |all| take(all, "NetworkPolicy celeriac-supervisor"),
    },
    Fault {
        name: "members of the broker cut off from each other",
        by: "network",
        put: |all| remove(all, "NetworkPolicy sample-rabbitmq", "/spec/egress"),
    },
    Fault {
        name: "Prometheus cut off",
        by: "network",
        put: |all| take(all, "NetworkPolicy sample-prometheus"),
    },
    Fault {
        name: "Prometheus let in at another port",
        by: "network",
        put: |all| {
            let field = "/spec/ingress/0/ports/0/port";
            set(all, "NetworkPolicy sample-prometheus", field, json!(9090));
        },
    },
    Fault {
        name: "KEDA cut off from the scaler",
        by: "network",
        put: |all| remove(all, "NetworkPolicy sample-keda", "/spec/ingress/0/ports/1"),
    },
    Fault {
        name: "gateway cut off",
        by: "network",
        put: |all| take(all, "NetworkPolicy sample-gateway"),
    },
    Fault {
        name: "names that nobody resolves",
        by: "network",
        put: |all| take(all, "NetworkPolicy celeriac-dns"),
    },
    Fault {
        name: "nothing denied",
        by: "network",
        put: |all| take(all, "NetworkPolicy celeriac-default-deny"),
    },
    Fault {
        name: "broker open to every namespace",
        by: "network",
        put: |all| {
            let rule = json!({ "ports": [{ "protocol": "TCP", "port": 5672 }] });
            push(
                all,
                "NetworkPolicy celeriac-rabbitmq",
                "/spec/ingress",
                rule,
            );
        },
    },
    Fault {
        name: "nodes let through to the API server",
        by: "network",
        put: |all| {
            let rule = json!({ "to": [{ "ipBlock": { "cidr": "10.0.0.0/8" } }] });
            push(all, "NetworkPolicy celeriac-node", "/spec/egress", rule);
        },
    },
];
