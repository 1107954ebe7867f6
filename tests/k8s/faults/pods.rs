//! Faults of pods: containers, probes, volumes, resources, security and life cycle.

use serde_json::json;

use super::Fault;
use super::edit::{copy, object, push, remove, set, variable};

const NODE: &str = "Deployment celeriac-node";
const CONTAINER: &str = "/spec/template/spec/containers/0";

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "selector that is not the labels'",
        by: "selectors",
        put: |all| {
            let label = "/spec/selector/matchLabels/app.kubernetes.io~1component";
            set(all, NODE, label, json!("nodes"));
        },
    },
    Fault {
        name: "StatefulSet without a selector",
        by: "selectors",
        put: |all| remove(all, "StatefulSet sample-store", "/spec/selector"),
    },
    Fault {
        name: "selector that has another pool's pods too",
        by: "selectors",
        put: |all| {
            remove(all, NODE, "/spec/selector/matchLabels/celeriac.dev~1pool");
        },
    },
    Fault {
        name: "spread among pods of others",
        by: "selectors",
        put: |all| {
            let selector = "/spec/template/spec/topologySpreadConstraints/0/labelSelector";
            set(
                all,
                NODE,
                selector,
                json!({ "matchLabels": { "app": "node" } }),
            );
        },
    },
    Fault {
        name: "mount without a volume",
        by: "volumes",
        put: |all| {
            let mount = json!({ "name": "cache", "mountPath": "/cache" });
            push(
                all,
                NODE,
                "/spec/template/spec/containers/0/volumeMounts",
                mount,
            );
        },
    },
    Fault {
        name: "volume that nobody mounts",
        by: "volumes",
        put: |all| {
            let volume = json!({ "name": "cache", "emptyDir": { "sizeLimit": "1Mi" } });
            push(all, NODE, "/spec/template/spec/volumes", volume);
        },
    },
    Fault {
        name: "mode in decimal that was meant in octal",
        by: "volumes",
        put: |all| {
            let volumes = object(all, NODE)
                .pointer_mut("/spec/template/spec/volumes")
                .unwrap();
            let volumes = volumes.as_array_mut().unwrap().iter_mut();
            for volume in volumes.filter(|volume| volume["projected"].is_object()) {
                volume["projected"]["defaultMode"] = json!(440);
            }
        },
    },
    Fault {
        name: "secret as a file that is in no volume",
        by: "volumes",
        put: |all| {
            variable(
                all,
                NODE,
                "CELERIAC_BROKER_FILE",
                "/run/secrets/celeriac/amqp",
            )
        },
    },
    Fault {
        name: "request above the limit",
        by: "resources",
        put: |all| {
            let field = "/spec/template/spec/containers/0/resources/requests/memory";
            set(all, NODE, field, json!("64Gi"));
        },
    },
    Fault {
        name: "amount 128MB",
        by: "resources",
        put: |all| {
            let field = "/spec/template/spec/containers/0/resources/limits/memory";
            set(all, NODE, field, json!("512MB"));
        },
    },
    Fault {
        name: "memory in thousandths of bytes",
        by: "resources",
        put: |all| {
            let field = "/spec/template/spec/containers/0/resources/requests/memory";
            set(all, NODE, field, json!("256m"));
        },
    },
    Fault {
        name: "no resources",
        by: "resources",
        put: |all| remove(all, NODE, "/spec/template/spec/containers/0/resources"),
    },
    Fault {
        name: "emptyDir without a limit",
        by: "resources",
        put: |all| {
            let volume = json!({ "name": "tmp", "emptyDir": {} });
            set(all, NODE, "/spec/template/spec/volumes/0", volume);
        },
    },
    Fault {
        name: "probe with two handlers",
        by: "probes",
        put: |all| {
            let field = format!("{CONTAINER}/livenessProbe/tcpSocket");
            set(all, NODE, &field, json!({ "port": "http" }));
        },
    },
    Fault {
        name: "probe at a port that is not there",
        by: "probes",
        put: |all| {
            let field = format!("{CONTAINER}/readinessProbe/httpGet/port");
            set(all, NODE, &field, json!("health"));
        },
    },
    Fault {
        name: "variable with value and source",
        by: "containers",
        put: |all| {
            let from = json!({ "fieldRef": { "fieldPath": "metadata.name" } });
            let both = json!({ "name": "POD", "value": "x", "valueFrom": from });
            push(all, NODE, "/spec/template/spec/containers/0/env", both);
        },
    },
    Fault {
        name: "variable twice",
        by: "containers",
        put: |all| {
            let again = json!({ "name": "CELERIAC_HTTP", "value": "0.0.0.0:1" });
            push(all, NODE, "/spec/template/spec/containers/0/env", again);
        },
    },
    Fault {
        name: "links of Services",
        by: "containers",
        put: |all| remove(all, NODE, "/spec/template/spec/enableServiceLinks"),
    },
    Fault {
        name: "password in a variable",
        by: "environment",
        put: |all| {
            variable(
                all,
                NODE,
                "CELERIAC_BROKER",
                "amqp://a:b@celeriac-rabbitmq:5672/",
            )
        },
    },
    Fault {
        name: "pause before the end longer than the end",
        by: "life cycle",
        put: |all| {
            let hook = json!({ "preStop": { "sleep": { "seconds": 600 } } });
            set(
                all,
                NODE,
                "/spec/template/spec/containers/0/lifecycle",
                hook,
            );
        },
    },
    Fault {
        name: "grace period that the process is not told",
        by: "life cycle",
        put: |all| {
            let field = "/spec/template/spec/terminationGracePeriodSeconds";
            set(all, NODE, field, json!(45));
        },
    },
    Fault {
        name: "drain deadline longer than the grace period",
        by: "life cycle",
        put: |all| variable(all, NODE, "CELERIAC_DRAIN_DEADLINE", "60s"),
    },
    Fault {
        name: "privileged, with the machine's network and files",
        by: "security",
        put: |all| {
            set(all, NODE, "/spec/template/spec/hostNetwork", json!(true));
            let field = "/spec/template/spec/containers/0/securityContext/privileged";
            set(all, NODE, field, json!(true));
            let volume = json!({ "name": "tmp", "hostPath": { "path": "/" } });
            set(all, NODE, "/spec/template/spec/volumes/0", volume);
        },
    },
    Fault {
        name: "root file system that may be written",
        by: "security",
        put: |all| {
            let field = "/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem";
            remove(all, NODE, field);
        },
    },
    Fault {
        name: "root",
        by: "security",
        put: |all| {
            let field = "/spec/template/spec/securityContext/runAsUser";
            set(all, NODE, field, json!(0));
        },
    },
    Fault {
        name: "capabilities that are kept",
        by: "security",
        put: |all| {
            let field = "/spec/template/spec/containers/0/securityContext/capabilities";
            remove(all, NODE, field);
        },
    },
    Fault {
        name: "namespace that enforces nothing",
        by: "security",
        put: |all| {
            let label = "/metadata/labels/pod-security.kubernetes.io~1enforce";
            set(all, "Namespace celeriac", label, json!("baseline"));
        },
    },
    Fault {
        name: "rollout with surge 0 and unavailable 0",
        by: "rollout",
        put: |all| {
            let rolling = json!({ "maxSurge": 0, "maxUnavailable": 0 });
            set(all, NODE, "/spec/strategy/rollingUpdate", rolling);
        },
    },
    Fault {
        name: "rollout that gives up before the start may end",
        by: "rollout",
        put: |all| set(all, NODE, "/spec/progressDeadlineSeconds", json!(60)),
    },
    Fault {
        name: "StatefulSet without its Service",
        by: "rollout",
        put: |all| {
            set(
                all,
                "Service sample-store",
                "/spec/clusterIP",
                json!("10.96.1.1"),
            );
        },
    },
    Fault {
        name: "budget with both figures",
        by: "disruption",
        put: |all| {
            let field = "/spec/minAvailable";
            set(all, "PodDisruptionBudget celeriac-node", field, json!(1));
        },
    },
    Fault {
        name: "budget that lets nothing go",
        by: "disruption",
        put: |all| {
            let field = "/spec/maxUnavailable";
            set(all, "PodDisruptionBudget celeriac-node", field, json!(0));
        },
    },
    Fault {
        name: "budget that wants all replicas",
        by: "disruption",
        put: |all| {
            let budget = "PodDisruptionBudget celeriac-node";
            remove(all, budget, "/spec/maxUnavailable");
            set(all, budget, "/spec/minAvailable", json!("100%"));
        },
    },
    Fault {
        name: "two budgets of the same pods",
        by: "disruption",
        put: |all| {
            copy(
                all,
                "PodDisruptionBudget celeriac-node",
                "celeriac-node-again",
            )
        },
    },
    Fault {
        name: "budget of no pods",
        by: "selectors",
        put: |all| {
            let field = "/spec/selector/matchLabels/celeriac.dev~1pool";
            set(
                all,
                "PodDisruptionBudget celeriac-node",
                field,
                json!("other"),
            );
        },
    },
];
