//! When each alert fires, and what does not make it fire.

use serde_json::{Value, json};

/// One alert: series as promtool writes them, a minute apart.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) alert: &'static str,
    /// What makes it fire at the minute `at`, with these labels.
    firing: &'static [(&'static str, &'static str)],
    at: u32,
    labels: &'static [(&'static str, &'static str)],
    /// What never makes it fire.
    quiet: &'static [(&'static str, &'static str)],
}

impl Case {
    /// Returns the tests of promtool: it fires then, not a minute before its time, and not at all.
    pub(super) fn tests(&self, severity: &str) -> Value {
        let mut labels = json!({ "severity": severity });
        for (name, value) in self.labels {
            labels[*name] = json!(value);
        }
        let series = |all: &[(&str, &str)]| -> Value {
            let all = all.iter();
            all.map(|(series, values)| json!({ "series": series, "values": values }))
                .collect()
        };
        let expect = |at: u32, alerts: Value| json!({ "eval_time": format!("{at}m"), "alertname": self.alert, "exp_alerts": alerts });
        let firing = json!([{ "exp_labels": labels }]);
        json!([
            {
                "interval": "1m",
                "input_series": series(self.firing),
                "alert_rule_test": [expect(self.at, firing), expect(0, json!([]))],
            },
            {
                "interval": "1m",
                "input_series": series(self.quiet),
                "alert_rule_test": [expect(self.at, json!([]))],
            },
        ])
    }
}

const FAILED: &str = r#"celeriac_node_tasks_total{name="pay",outcome="failed"}"#;
const DONE: &str = r#"celeriac_node_tasks_total{name="pay",outcome="succeeded"}"#;

pub(super) const CASES: &[Case] = &[
    Case {
        alert: "CeleriacSupervisorDown",
        firing: &[("something_else", "1x30")],
        at: 6,
        labels: &[],
        quiet: &[("celeriac_broker_up", "0x30")],
    },
    Case {
        alert: "CeleriacBrokerDown",
        firing: &[("celeriac_broker_up", "0x30")],
        at: 3,
        labels: &[],
        // One supervisor that reaches it is enough.
        quiet: &[
            (r#"celeriac_broker_up{instance="a"}"#, "0x30"),
            (r#"celeriac_broker_up{instance="b"}"#, "1x30"),
        ],
    },
    Case {
        alert: "CeleriacNodeLost",
        firing: &[(r#"celeriac_nodes{state="lost"}"#, "2x30")],
        at: 6,
        labels: &[],
        quiet: &[(r#"celeriac_nodes{state="suspect"}"#, "2x30")],
    },
    Case {
        alert: "CeleriacNoNodes",
        firing: &[
            (r#"celeriac_nodes{state="online"}"#, "0x30"),
            (r#"celeriac_queue_ready{queue="celery"}"#, "3x30"),
        ],
        at: 3,
        labels: &[],
        // Scaled to zero while there is nothing to do.
        quiet: &[
            (r#"celeriac_nodes{state="online"}"#, "0x30"),
            (r#"celeriac_queue_ready{queue="celery"}"#, "0x30"),
        ],
    },
    Case {
        alert: "CeleriacQueueWithoutConsumer",
        firing: &[
            (r#"celeriac_queue_ready{queue="mail"}"#, "1x30"),
            (r#"celeriac_queue_consumers{queue="mail"}"#, "0x30"),
        ],
        at: 6,
        labels: &[("queue", "mail")],
        quiet: &[
            (r#"celeriac_queue_ready{queue="mail"}"#, "1x30"),
            (r#"celeriac_queue_consumers{queue="mail"}"#, "1x30"),
            (r#"celeriac_queue_consumers{queue="other"}"#, "0x30"),
        ],
    },
    Case {
        alert: "CeleriacTasksLate",
        firing: &[(r#"celeriac_queue_oldest_seconds{queue="mail"}"#, "901x30")],
        at: 6,
        labels: &[("queue", "mail")],
        quiet: &[(r#"celeriac_queue_oldest_seconds{queue="mail"}"#, "900x30")],
    },
    Case {
        alert: "CeleriacOverloaded",
        firing: &[(r#"celeriac_queue_load_ratio{queue="mail"}"#, "11x30")],
        at: 16,
        labels: &[("queue", "mail")],
        quiet: &[(r#"celeriac_queue_load_ratio{queue="mail"}"#, "10x30")],
    },
    Case {
        alert: "CeleriacTasksFail",
        firing: &[(FAILED, "0+2x60"), (DONE, "0+8x60")],
        at: 25,
        labels: &[("name", "pay")],
        // One in twenty.
        quiet: &[(FAILED, "0+1x60"), (DONE, "0+19x60")],
    },
    Case {
        alert: "CeleriacDeadLetters",
        firing: &[(r#"celeriac_letters_total{outcome="kept"}"#, "0 1 1x60")],
        at: 5,
        labels: &[("outcome", "kept")],
        quiet: &[(r#"celeriac_letters_total{outcome="kept"}"#, "7x60")],
    },
    Case {
        alert: "CeleriacLettersLost",
        firing: &[(r#"celeriac_letters_total{outcome="dropped"}"#, "0 1 1x60")],
        at: 5,
        labels: &[("outcome", "dropped")],
        quiet: &[(r#"celeriac_letters_total{outcome="kept"}"#, "0 1 1x60")],
    },
    Case {
        alert: "CeleriacNoLeader",
        firing: &[("celeriac_beat_leader", "0x30")],
        at: 2,
        labels: &[],
        quiet: &[
            (r#"celeriac_beat_leader{instance="a"}"#, "0x30"),
            (r#"celeriac_beat_leader{instance="b"}"#, "1x30"),
        ],
    },
    Case {
        alert: "CeleriacTwoLeaders",
        firing: &[
            (r#"celeriac_beat_leader{instance="a"}"#, "1x30"),
            (r#"celeriac_beat_leader{instance="b"}"#, "1x30"),
        ],
        at: 2,
        labels: &[],
        quiet: &[(r#"celeriac_beat_leader{instance="a"}"#, "1x30")],
    },
    Case {
        alert: "CeleriacScheduleLate",
        firing: &[("celeriac_beat_lag_seconds", "31x30")],
        at: 3,
        labels: &[],
        quiet: &[("celeriac_beat_lag_seconds", "30x30")],
    },
    Case {
        alert: "CeleriacStoreDown",
        firing: &[
            (r#"celeriac_store_up{instance="a"}"#, "0x30"),
            (r#"celeriac_store_up{instance="b"}"#, "1x30"),
        ],
        at: 3,
        labels: &[],
        quiet: &[(r#"celeriac_store_up{instance="a"}"#, "1x30")],
    },
    Case {
        alert: "CeleriacHistoryDropped",
        firing: &[(r#"celeriac_history_dropped_total{kind="final"}"#, "0+1x60")],
        at: 13,
        labels: &[("kind", "final")],
        quiet: &[(r#"celeriac_history_dropped_total{kind="final"}"#, "9x60")],
    },
    Case {
        alert: "CeleriacNodeNotReady",
        firing: &[(r#"celeriac_node_ready{instance="a"}"#, "0x30")],
        at: 11,
        labels: &[("instance", "a")],
        // It drained and came back.
        quiet: &[(r#"celeriac_node_ready{instance="a"}"#, "0x5 1x30")],
    },
    Case {
        alert: "CeleriacOutcomesStuck",
        firing: &[
            (r#"celeriac_node_delivering{instance="a"}"#, "4x60"),
            (
                r#"celeriac_node_delivery_retries_total{instance="a"}"#,
                "0+3x60",
            ),
        ],
        at: 25,
        labels: &[("instance", "a")],
        quiet: &[
            (r#"celeriac_node_delivering{instance="a"}"#, "4x60"),
            (
                r#"celeriac_node_delivery_retries_total{instance="a"}"#,
                "5x60",
            ),
        ],
    },
    Case {
        alert: "CeleriacEventsLost",
        firing: &[
            ("celeriac_events_missed_total", "0+120x60"),
            ("celeriac_events_dropped_total", "0x60"),
        ],
        at: 25,
        labels: &[],
        quiet: &[
            ("celeriac_events_missed_total", "0+6x60"),
            ("celeriac_events_dropped_total", "0x60"),
        ],
    },
];
