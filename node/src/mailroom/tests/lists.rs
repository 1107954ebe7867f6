//! Tasks that are shown.

use super::*;

#[tokio::test]
async fn tasks_are_listed_with_the_fields_of_celery() {
    let (shared, _commands) = office();
    let body =
        r#"[[1], {"y": 2}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]"#;
    let running = job(&shared, "one", body, true);
    let waiting = job(&shared, "two", body, false);
    let keys = |value: &Value| -> Vec<String> {
        let task = value.as_array().unwrap()[0].as_map().unwrap();
        task.iter().map(|(key, _)| key.to_owned()).collect()
    };

    let active = ask(&shared, "active", "{}").unwrap();
    let (_, captured) = captured("control/active");
    assert_eq!(keys(&active), keys(&captured.unwrap()));
    let task = active.as_array().unwrap()[0].as_map().unwrap();
    assert_eq!(repr::python(task.get("args").unwrap()), "[1]");
    assert_eq!(repr::python(task.get("kwargs").unwrap()), "{'y': 2}");
    assert!(task.get("time_start").unwrap().as_f64().unwrap() > 1e9);

    let safe = ask(&shared, "active", r#"{"safe": true}"#).unwrap();
    let task = safe.as_array().unwrap()[0].as_map().unwrap();
    assert_eq!(task.get("args").unwrap().as_str(), Some("(1,)"));

    let reserved = ask(&shared, "reserved", "{}").unwrap();
    let task = reserved.as_array().unwrap()[0].as_map().unwrap();
    assert_eq!(task.get("id").unwrap().as_str(), Some("two"));
    assert_eq!(task.get("worker_pid"), Some(&Value::Null));

    let known = ask(&shared, "query_task", r#"{"ids": ["one", "two", "nope"]}"#).unwrap();
    let known = known.as_map().unwrap();
    let place = |id: &str| known.get(id).unwrap().as_array().unwrap()[0].as_str();
    assert_eq!(
        (place("one"), place("two"), known.len()),
        (Some("active"), Some("reserved"), 2)
    );
    for claim in [running, waiting] {
        claim.settle(Settlement::Acknowledge);
    }
    assert_eq!(text(ask(&shared, "active", "{}")), "[]");
}

#[tokio::test]
async fn registered_tasks_show_what_is_asked() {
    let (shared, _commands) = office();
    ask(
        &shared,
        "time_limit",
        r#"{"task_name": "demo.add", "hard": 9}"#,
    );
    assert_eq!(
        text(ask(
            &shared,
            "registered",
            r#"{"taskinfoitems": ["soft_time_limit", "time_limit"]}"#
        )),
        "['demo.add [time_limit=9]', 'demo.limited']"
    );
    assert_eq!(
        text(ask(&shared, "registered", r#"{"taskinfoitems": []}"#)),
        "['demo.add', 'demo.limited [rate_limit=10/m]']"
    );
    shared.rates.set(
        "demo.add",
        Some(RateLimit {
            count: 0.5,
            period: Duration::from_secs(60),
        }),
    );
    let asked = r#"{"taskinfoitems": ["rate_limit", "max_retries", "serializer", "nonsense"]}"#;
    assert_eq!(
        text(ask(&shared, "registered", asked)),
        "['demo.add [rate_limit=0.5/m max_retries=3 serializer=json]', \
         'demo.limited [rate_limit=10/m max_retries=3 serializer=json]']"
    );
}

#[tokio::test]
async fn what_is_parked_in_the_broker_is_scheduled_until_its_time() {
    let (shared, _commands) = office();
    let (now, second) = (celeriac::clock::now(), Duration::from_secs(1));
    let large: &'static str = Box::leak(format!("[[{}1], {{}}, {{}}]", "0,".repeat(600)).into());
    for (id, body, until) in [
        ("due", "[[1], {}, {}]", now - second),
        ("later", r#"[[1], {"y": 2}, {}]"#, now + 60 * second),
        ("large", large, now + 61 * second),
    ] {
        let claim = job(&shared, id, body, false);
        shared.parked.add(until, &claim, &DeliveryInfo::default());
        claim.settle(Settlement::Acknowledge);
    }
    let scheduled = ask(&shared, "scheduled", "{}").unwrap();
    let shown: Vec<String> = scheduled
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let request = item
                .as_map()
                .unwrap()
                .get("request")
                .unwrap()
                .as_map()
                .unwrap();
            ["id", "args", "kwargs", "time_start"]
                .map(|key| repr::python(request.get(key).unwrap()))
                .join(" ")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "'later' [1] {'y': 2} None",
            r#"'large' '(1,)' "{'y': 2}" None"#
        ]
    );
    // It is known, though nothing of it runs here.
    let arguments = r#"{"task_id": ["due", "later"], "signal": "TERM"}"#;
    assert_eq!(
        text(asked(&shared, "terminate", arguments).await),
        "{'ok': 'terminate: later'}"
    );
}

#[tokio::test]
async fn what_is_on_its_way_back_to_the_broker_is_scheduled() {
    let (shared, _commands) = office();
    let eta = celeriac::clock::now() + Duration::from_secs(60);
    let claim = job_with(&shared, "later", "[[1], {}, {}]", |headers| {
        headers.eta = Some(eta.into());
    });
    claim.advance(Stage::Delivering);
    shared.parked.add(eta, &claim, &DeliveryInfo::default());
    let scheduled = ask(&shared, "scheduled", "{}").unwrap();
    assert_eq!(scheduled.as_array().unwrap().len(), 1);
    assert_eq!(text(ask(&shared, "reserved", "{}")), "[]");
    let found = ask(&shared, "query_task", r#"{"ids": ["later"]}"#).unwrap();
    let found = found.as_map().unwrap().get("later").unwrap();
    assert_eq!(found.as_array().unwrap()[0].as_str(), Some("scheduled"));
    claim.settle(Settlement::Acknowledge);
}
