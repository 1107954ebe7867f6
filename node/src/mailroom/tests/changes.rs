//! What is changed while a node runs.

use super::*;

/// S21.
#[tokio::test]
async fn a_drain_is_answered_and_gives_what_runs_its_time() {
    let (shared, _commands) = office();
    let _running = job(&shared, "one", "[[], {}, {}]", true);
    let reply = ask(&shared, "drain", "{}").unwrap();
    let text = serde_json::to_string(&reply).unwrap();
    assert_eq!(text, r#"{"ok":"drains; 1 tasks run"}"#);
    assert_eq!(shared.shutdown.wish(), Wish::Finish);
}

#[tokio::test]
async fn rates_are_set_in_celerys_words() {
    let (shared, _commands) = office();
    for (rate, answer, shown) in [
        (
            r#""0.5/m""#,
            "{'ok': 'new rate limit set successfully'}",
            Some("0.5/m"),
        ),
        (
            r#""0/s""#,
            "{'ok': 'new rate limit set successfully'}",
            None,
        ),
        (
            "7",
            "{'ok': 'new rate limit set successfully'}",
            Some("7/s"),
        ),
        ("0", "{'ok': 'rate limit disabled successfully'}", None),
        (r#""1/d""#, r#"{'error': "KeyError('d')"}"#, None),
        (
            r#""x""#,
            r#"{'error': 'Invalid rate limit string: ValueError("could not convert string to float: \'x\'")'}"#,
            None,
        ),
    ] {
        let arguments = format!(r#"{{"task_name": "demo.add", "rate_limit": {rate}}}"#);
        assert_eq!(
            text(ask(&shared, "rate_limit", &arguments)),
            answer,
            "{rate}"
        );
        let limit = shared.rates.get("demo.add").map(|limit| limit.to_string());
        assert_eq!(limit.as_deref(), shown, "{rate}");
    }
}

#[tokio::test]
async fn queues_are_added_while_there_is_room_and_time() {
    let (shared, mut commands) = office();
    for number in 0..1_000 {
        shared.queues.insert(number.to_string(), Arc::default());
    }
    let take = |name: &str| {
        text(ask(
            &shared,
            "add_consumer",
            &format!(r#"{{"queue": "{name}"}}"#),
        ))
    };
    assert!(take("one more").contains("1000 queues at most"));
    assert_eq!(take("7"), "{'ok': 'add consumer 7'}");
    assert!(commands.recv().await.is_some());
    shared.enter(crate::shared::Phase::Draining);
    assert!(take("7").contains("the node ends"));
}

#[tokio::test]
async fn a_described_queue_is_added_as_it_is_described() {
    let app = App::builder("test")
        .broker("memory://")
        .backend("memory://")
        .queue(TaskQueue::new("known").exchange("own", ExchangeKind::Topic));
    let (sender, mut commands) = mpsc::channel(8);
    let handle = tokio::runtime::Handle::current();
    let shared = Shared::new(app.build().unwrap(), Config::default(), handle, sender);
    for (arguments, exchange, kind) in [
        (
            r#"{"queue": "known", "exchange": "other"}"#,
            "own",
            ExchangeKind::Topic,
        ),
        (
            r#"{"queue": "new", "exchange_type": "fanout"}"#,
            "new",
            ExchangeKind::Fanout,
        ),
    ] {
        ask(&shared, "add_consumer", arguments);
        let Some(Command::AddConsumer(queue)) = commands.recv().await else {
            panic!("no queue is added");
        };
        assert_eq!((&*queue.exchange, queue.exchange_type), (exchange, kind));
    }
}

#[tokio::test]
async fn the_bounds_of_a_node_that_scales_are_changed() {
    let (shared, _commands) = office_of(Config {
        autoscale: Some(Autoscale { max: 4, min: 1 }),
        pool_restarts: true,
        ..Config::default()
    });
    for name in ["control2/autoscale", "control2/pool_grow_autoscale"] {
        let (request, expected) = captured(name);
        assert_eq!(run(&shared, &request), expected, "{name}");
    }
    assert_eq!(
        text(ask(&shared, "autoscale", r#"{"max": 3, "min": 5}"#)),
        "{'error': \"ValueError('expected a max of at least 1 and a min not above it, found 3 and \
         5')\"}"
    );
    let stats = ask(&shared, "stats", "{}").unwrap();
    assert_eq!(
        repr::python(stats.as_map().unwrap().get("autoscaler").unwrap()),
        "{'max': 6, 'min': 2, 'current': 1, 'qty': 0}"
    );
    assert_eq!(
        text(ask(&shared, "pool_restart", r#"{"reload": false}"#)),
        "{'ok': 'reload started'}"
    );
    assert!(text(ask(&shared, "pool_restart", r#"{"modules": ["m"]}"#)).contains("compiled"));
}

// S37.
#[tokio::test]
async fn heartbeats_are_slowed_down_within_bounds() {
    let (shared, _commands) = office();
    let own = shared.tempo.interval(tokio::time::Instant::now());
    for wrong in [
        "{}",
        r#"{"seconds": 0.5}"#,
        r#"{"seconds": 61}"#,
        r#"{"seconds": "5"}"#,
    ] {
        let error = text(asked(&shared, "heartbeat_interval", wrong).await);
        assert!(error.contains("seconds"), "{error}");
        assert_eq!(shared.tempo.interval(tokio::time::Instant::now()), own);
    }
    let answer = text(asked(&shared, "heartbeat_interval", r#"{"seconds": 30}"#).await);
    assert!(answer.contains("heartbeat interval is 30 s"), "{answer}");
    let now = tokio::time::Instant::now();
    assert_eq!(shared.tempo.interval(now), Duration::from_secs(30));
}
