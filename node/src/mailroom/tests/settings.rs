//! What a node says of itself.

use super::*;

#[tokio::test]
async fn stats_has_the_keys_of_celery() {
    let (shared, _commands) = office();
    let keys = |value: &Value| -> BTreeSet<String> {
        value
            .as_map()
            .unwrap()
            .iter()
            .map(|(key, _)| key.to_owned())
            .collect()
    };
    let (request, expected) = captured("control2/stats_busy");
    let (stats, expected) = (run(&shared, &request).unwrap(), expected.unwrap());
    assert_eq!(keys(&stats), keys(&expected));
    for part in ["pool", "broker", "rusage"] {
        let part = |value: &Value| keys(value.as_map().unwrap().get(part).unwrap());
        assert_eq!(part(&stats), part(&expected));
    }
    let writes = |value: &Value| {
        let pool = value
            .as_map()
            .unwrap()
            .get("pool")
            .unwrap()
            .as_map()
            .unwrap();
        keys(pool.get("writes").unwrap())
    };
    assert_eq!(writes(&stats), writes(&expected));
}

#[tokio::test]
async fn settings_have_celerys_names_and_no_passwords() {
    let (shared, _commands) = office();
    let (request, known) = captured("control/conf_with_defaults");
    let known = known.unwrap();
    let all = run(&shared, &request).unwrap();
    for (name, _) in all.as_map().unwrap().iter() {
        assert!(
            known.as_map().unwrap().get(name).is_some(),
            "Celery has no setting {name}"
        );
    }
    let changed = ask(&shared, "conf", "{}").unwrap();
    for name in [
        "worker_hijack_root_logger",
        "worker_log_color",
        "accept_content",
        "enable_utc",
        "timezone",
        "broker_url",
        "result_backend",
        "broker_heartbeat",
        "deprecated_settings",
        "include",
    ] {
        assert!(changed.as_map().unwrap().get(name).is_some(), "{name}");
    }
    assert!(changed.as_map().unwrap().len() < all.as_map().unwrap().len());
    assert!(text(ask(&shared, "report", "{}")).contains("task_acks_late: True"));
    assert!(text(ask(&shared, "report", "{}")).contains("software -> celery:"));
}

#[tokio::test]
async fn settings_that_differ_are_told() {
    let app = App::builder("test")
        .broker("memory://")
        .backend("memory://")
        .queue(TaskQueue::new("celery"))
        .create_missing_queues(false)
        .queue_type(QueueType::Quorum)
        .queue_max_priority(5)
        .sent_events(true)
        .result_extended(true)
        .compression(Compression::Zstd);
    let config = Config {
        name: "w1@vm".to_owned(),
        worker_direct: true,
        ..Config::default()
    };
    let (sender, _commands) = mpsc::channel(8);
    let handle = tokio::runtime::Handle::current();
    let other = Shared::new(app.build().unwrap(), config, handle, sender);
    let told = ask(&other, "conf", "{}").unwrap();
    let (plain, _commands) = office();
    let untold = ask(&plain, "conf", "{}").unwrap();
    for (name, value) in [
        ("task_create_missing_queues", "False"),
        ("task_create_missing_queue_type", "'quorum'"),
        ("task_queue_max_priority", "5"),
        ("task_send_sent_event", "True"),
        ("result_extended", "True"),
        ("task_compression", "'zstd'"),
        ("worker_direct", "True"),
    ] {
        let value_of = |conf: &Value| conf.as_map().unwrap().get(name).map(repr::python);
        assert_eq!(value_of(&told).as_deref(), Some(value), "{name}");
        assert_eq!(value_of(&untold), None, "{name}");
    }
}

#[tokio::test]
async fn queues_are_described_as_celery_declares_them() {
    let (shared, _commands) = office();
    shared.queues.insert("celery".to_owned(), Arc::default());
    let (request, expected) = captured("control/active_queues");
    assert_eq!(run(&shared, &request), expected);
}

#[tokio::test]
async fn memory_is_sampled_and_dumped() {
    let (shared, _commands) = office();
    let sample = text(ask(&shared, "memsample", "{}"));
    assert!(sample.ends_with("B'"), "{sample}");
    let dump = ask(&shared, "memdump", r#"{"samples": 10}"#).unwrap();
    let lines: Vec<_> = dump.as_str().unwrap().lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "- rss (sample):"));
    assert!(text(ask(&shared, "objgraph", "{}")).contains("NotImplementedError"));
}
