//! Faults of what scales, and of what the binary is told.

use serde_json::json;

use super::Fault;
use super::edit::{push, set, variable};

const NODE: &str = "Deployment celeriac-node";
const SUPERVISOR: &str = "Deployment celeriac-supervisor";
const HORIZONTAL: &str = "HorizontalPodAutoscaler celeriac-node-heavy";
const SCALED: &str = "ScaledObject celeriac-node-asleep";

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "HPA with min above max",
        by: "autoscaling",
        put: |all| set(all, HORIZONTAL, "/spec/minReplicas", json!(9)),
    },
    Fault {
        name: "HPA and ScaledObject of one target",
        by: "autoscaling",
        put: |all| {
            set(
                all,
                SCALED,
                "/spec/scaleTargetRef/name",
                json!("celeriac-node-heavy"),
            )
        },
    },
    Fault {
        name: "target that nobody makes",
        by: "autoscaling",
        put: |all| {
            set(
                all,
                HORIZONTAL,
                "/spec/scaleTargetRef/name",
                json!("celeriac-nodes"),
            )
        },
    },
    Fault {
        name: "replicas of what is scaled",
        by: "autoscaling",
        put: |all| {
            set(
                all,
                "Deployment celeriac-node-heavy",
                "/spec/replicas",
                json!(3),
            )
        },
    },
    Fault {
        name: "trigger of a type that is none",
        by: "keda",
        put: |all| set(all, SCALED, "/spec/triggers/0/type", json!("rabbit")),
    },
    Fault {
        name: "trigger without what it needs",
        by: "keda",
        put: |all| {
            set(
                all,
                SCALED,
                "/spec/triggers/1/metadata/valueLocation",
                json!(""),
            )
        },
    },
    Fault {
        name: "ScaledObject with min above max",
        by: "keda",
        put: |all| set(all, SCALED, "/spec/minReplicaCount", json!(9)),
    },
    Fault {
        name: "fallback above max",
        by: "keda",
        put: |all| set(all, SCALED, "/spec/fallback/replicas", json!(80)),
    },
    Fault {
        name: "scaler without its namespace",
        by: "keda",
        put: |all| {
            let field = "/spec/triggers/0/metadata/scalerAddress";
            set(all, SCALED, field, json!("celeriac-supervisor:9596"));
        },
    },
    Fault {
        name: "scaler in another namespace",
        by: "keda",
        put: |all| {
            let field = "/spec/triggers/0/metadata/scalerAddress";
            set(
                all,
                SCALED,
                field,
                json!("celeriac-supervisor.default.svc:9596"),
            );
        },
    },
    Fault {
        name: "scaler at a port that is not there",
        by: "keda",
        put: |all| {
            let field = "/spec/triggers/0/metadata/scalerAddress";
            set(
                all,
                SCALED,
                field,
                json!("celeriac-supervisor.celeriac.svc:9600"),
            );
        },
    },
    Fault {
        name: "path of the API that is not served",
        by: "drift",
        put: |all| {
            let url = "http://celeriac-supervisor.celeriac.svc:9595/api/v1/load";
            set(all, SCALED, "/spec/triggers/1/metadata/url", json!(url));
        },
    },
    Fault {
        name: "variable that the binary does not know",
        by: "drift",
        put: |all| variable(all, NODE, "CELERIAC_CONCURENCY", "8"),
    },
    Fault {
        name: "variable of another command",
        by: "drift",
        put: |all| variable(all, NODE, "CELERIAC_LISTEN", "0.0.0.0:9595"),
    },
    Fault {
        name: "flag that the binary does not know",
        by: "drift",
        put: |all| {
            let args = json!(["node", "--pool", "prefork"]);
            set(all, NODE, "/spec/template/spec/containers/0/args", args);
        },
    },
    Fault {
        name: "command that the binary does not have",
        by: "drift",
        put: |all| {
            let args = json!(["nodes"]);
            set(all, NODE, "/spec/template/spec/containers/0/args", args);
        },
    },
    Fault {
        name: "path of a probe that is not served",
        by: "drift",
        put: |all| {
            let field = "/spec/template/spec/containers/0/livenessProbe/httpGet/path";
            set(all, NODE, field, json!("/healthz"));
        },
    },
    Fault {
        name: "path of metrics that is not served",
        by: "drift",
        put: |all| {
            let field = "/spec/podMetricsEndpoints/0/path";
            set(all, "PodMonitor celeriac-node", field, json!("/stats"));
        },
    },
    Fault {
        name: "port at which nothing listens",
        by: "drift",
        put: |all| {
            let port = json!({ "name": "debug", "containerPort": 9999 });
            push(
                all,
                SUPERVISOR,
                "/spec/template/spec/containers/0/ports",
                port,
            );
        },
    },
    Fault {
        name: "address that is not the port's",
        by: "drift",
        put: |all| variable(all, NODE, "CELERIAC_HTTP", "0.0.0.0:8080"),
    },
    Fault {
        name: "probe by a shell that the image does not have",
        by: "drift",
        put: |all| {
            let probe = json!({ "exec": { "command": ["sh", "-c", "true"] } });
            set(
                all,
                NODE,
                "/spec/template/spec/containers/0/livenessProbe",
                probe,
            );
        },
    },
    Fault {
        name: "value that the binary refuses",
        by: "settings",
        put: |all| variable(all, NODE, "CELERIAC_CONCURRENCY", "many"),
    },
];
