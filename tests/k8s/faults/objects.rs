//! Faults of objects that their kind alone can tell, and of names and references.

use serde_json::json;

use super::Fault;
use super::edit::{copy, object, push, remove, set, take};

const NODE: &str = "Deployment celeriac-node";
const SUPERVISOR: &str = "Deployment celeriac-supervisor";

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "field with a typo",
        by: "decode",
        put: |all| {
            set(
                all,
                NODE,
                "/spec/template/spec/containers/0/imagePullPolcy",
                json!("Always"),
            )
        },
    },
    Fault {
        name: "replicas as a word",
        by: "decode",
        put: |all| set(all, NODE, "/spec/replicas", json!("two")),
    },
    Fault {
        name: "HPA of autoscaling/v2beta2",
        by: "decode",
        put: |all| {
            let scaler = "HorizontalPodAutoscaler celeriac-node-heavy";
            set(all, scaler, "/apiVersion", json!("autoscaling/v2beta2"));
        },
    },
    Fault {
        name: "port of a policy as a bool",
        by: "decode",
        put: |all| {
            let port = "/spec/ingress/0/ports/0/port";
            set(all, "NetworkPolicy sample-prometheus", port, json!(true));
        },
    },
    Fault {
        name: "Secret that is not base64",
        by: "decode",
        put: |all| {
            set(
                all,
                "Secret celeriac-secrets",
                "/data/token",
                json!("not base64!"),
            )
        },
    },
    Fault {
        name: "ScaledObject without a target",
        by: "decode",
        put: |all| {
            remove(
                all,
                "ScaledObject celeriac-node-asleep",
                "/spec/scaleTargetRef",
            )
        },
    },
    Fault {
        name: "ScaledObject with an unknown field",
        by: "decode",
        put: |all| {
            let field = "/spec/minReplicas";
            set(all, "ScaledObject celeriac-node-asleep", field, json!(1));
        },
    },
    Fault {
        name: "value of a trigger as a number",
        by: "decode",
        put: |all| {
            let field = "/spec/triggers/1/metadata/targetValue";
            set(all, "ScaledObject celeriac-node-asleep", field, json!(8));
        },
    },
    Fault {
        name: "interval of a ServiceMonitor with a space",
        by: "decode",
        put: |all| {
            let field = "/spec/endpoints/0/interval";
            set(
                all,
                "ServiceMonitor celeriac-supervisor",
                field,
                json!("30 seconds"),
            );
        },
    },
    Fault {
        name: "RabbitmqCluster with replicas -1",
        by: "decode",
        put: |all| {
            set(
                all,
                "RabbitmqCluster sample-rabbitmq",
                "/spec/replicas",
                json!(-1),
            )
        },
    },
    Fault {
        name: "RabbitmqCluster with an unknown field",
        by: "decode",
        put: |all| {
            set(
                all,
                "RabbitmqCluster sample-rabbitmq",
                "/spec/storage",
                json!("1Gi"),
            )
        },
    },
    Fault {
        name: "HTTPRoute with an unknown field",
        by: "decode",
        put: |all| set(all, "HTTPRoute celeriac", "/spec/backend", json!("x")),
    },
    Fault {
        name: "kind that nobody knows",
        by: "decode",
        put: |all| set(all, "HTTPRoute celeriac", "/kind", json!("HttpRoute")),
    },
    Fault {
        name: "rule that is no PromQL",
        by: "promtool",
        put: |all| {
            let field = "/spec/groups/0/rules/0/expr";
            set(
                all,
                "PrometheusRule celeriac",
                field,
                json!("max(celeriac_broker_up == 0"),
            );
        },
    },
    Fault {
        name: "name in upper case",
        by: "names",
        put: |all| {
            set(
                all,
                "Service celeriac-supervisor",
                "/metadata/name",
                json!("Supervisor"),
            )
        },
    },
    Fault {
        name: "label with a space",
        by: "names",
        put: |all| set(all, NODE, "/metadata/labels/x", json!("two words")),
    },
    Fault {
        name: "object twice",
        by: "names",
        put: |all| copy(all, "ServiceAccount celeriac-node", "celeriac-node"),
    },
    Fault {
        name: "object in another namespace",
        by: "references",
        put: |all| {
            set(
                all,
                "ServiceAccount celeriac-node",
                "/metadata/namespace",
                json!("default"),
            )
        },
    },
    Fault {
        name: "ConfigMap that nobody makes",
        by: "references",
        put: |all| take(all, "ConfigMap celeriac-settings"),
    },
    Fault {
        name: "ConfigMap that nobody uses",
        by: "references",
        put: |all| copy(all, "ConfigMap celeriac-settings", "left-over"),
    },
    Fault {
        name: "ServiceAccount that nobody makes",
        by: "references",
        put: |all| take(all, "ServiceAccount celeriac-node"),
    },
    Fault {
        name: "Secret without the key that is mounted",
        by: "references",
        put: |all| {
            let secret = "Secret celeriac-rabbitmq-default-user";
            remove(all, secret, "/data/connection_string");
        },
    },
    Fault {
        name: "claim that nobody makes",
        by: "references",
        put: |all| {
            let volume = json!({ "name": "tmp", "persistentVolumeClaim": { "claimName": "x" } });
            set(all, NODE, "/spec/template/spec/volumes/0", volume);
        },
    },
    Fault {
        name: "RoleBinding to a kind that is none",
        by: "references",
        put: |all| {
            let binding = "RoleBinding celeriac-supervisor";
            set(all, binding, "/roleRef/kind", json!("ServiceRole"));
        },
    },
    Fault {
        name: "RoleBinding to a Role that nobody makes",
        by: "references",
        put: |all| take(all, "Role celeriac-supervisor"),
    },
    Fault {
        name: "RoleBinding for an account elsewhere",
        by: "references",
        put: |all| {
            let binding = "RoleBinding celeriac-supervisor";
            set(all, binding, "/subjects/0/namespace", json!("default"));
        },
    },
    Fault {
        name: "TriggerAuthentication that nobody makes",
        by: "references",
        put: |all| take(all, "TriggerAuthentication celeriac-token"),
    },
    Fault {
        name: "TriggerAuthentication with a key that is not there",
        by: "references",
        put: |all| {
            let key = "/spec/secretTargetRef/0/key";
            set(
                all,
                "TriggerAuthentication celeriac-token",
                key,
                json!("password"),
            );
        },
    },
    Fault {
        name: "HTTPRoute to a port that is not there",
        by: "references",
        put: |all| {
            let port = "/spec/rules/0/backendRefs/0/port";
            set(all, "HTTPRoute celeriac", port, json!(80));
        },
    },
    Fault {
        name: "URL of a Secret with a Service that is not there",
        by: "addresses",
        put: |all| {
            // redis://store:6379/0
            let url = json!("cmVkaXM6Ly9zdG9yZTo2Mzc5LzA=");
            set(all, "Secret celeriac-secrets", "/data/result_backend", url);
        },
    },
    Fault {
        name: "right to read Secrets",
        by: "rights",
        put: |all| {
            let rule = json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] });
            push(all, "Role celeriac-supervisor", "/rules", rule);
        },
    },
    Fault {
        name: "every verb",
        by: "rights",
        put: |all| {
            set(
                all,
                "Role celeriac-supervisor",
                "/rules/0/verbs",
                json!(["*"]),
            )
        },
    },
    Fault {
        name: "Lease of another name than the right is for",
        by: "rights",
        put: |all| {
            let args = json!(["supervisor", "--lease", "celeriac-other"]);
            set(
                all,
                SUPERVISOR,
                "/spec/template/spec/containers/0/args",
                args,
            );
        },
    },
    Fault {
        name: "right to create a Lease by name",
        by: "rights",
        put: |all| {
            let rules = object(all, "Role celeriac-supervisor")["rules"]
                .as_array_mut()
                .unwrap();
            let creates = rules
                .iter_mut()
                .find(|rule| rule["verbs"] == json!(["create"]));
            creates.unwrap()["resourceNames"] = json!(["celeriac-leader"]);
        },
    },
    Fault {
        name: "token without rights",
        by: "rights",
        put: |all| {
            let field = "/spec/template/spec/automountServiceAccountToken";
            set(all, NODE, field, json!(true));
        },
    },
    Fault {
        name: "image latest",
        by: "images",
        put: |all| {
            let field = "/spec/template/spec/containers/0/image";
            set(
                all,
                "Deployment celeriac-redis",
                field,
                json!("redis:latest"),
            );
        },
    },
    Fault {
        name: "two images of celeriac",
        by: "images",
        put: |all| {
            let field = "/spec/template/spec/containers/0/image";
            set(all, NODE, field, json!("celeriac:other"));
        },
    },
];
