#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use celeriac::broker::{Receipt, Settlement};
use celeriac::protocol::compression::Compression;
use celeriac::protocol::control::Signal;
use celeriac::protocol::{Codec, Exception, Message, Properties, TaskHeaders, Value, json, repr};
use celeriac::routing::{QueueType, TaskQueue};
use celeriac::task::{Context, DeliveryInfo, RateLimit, Request as TaskRequest};
use celeriac::{App, control, task};
use tokio::sync::mpsc;

use super::*;
use crate::config::{Autoscale, Config};
use crate::job::{Claim, Job, Stage, Stop};
use crate::shared::Command;
use crate::shutdown::Wish;

#[task(name = "demo.add")]
async fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task(name = "demo.limited", rate_limit = "10/m")]
async fn limited() {}

fn office() -> (Arc<Shared>, mpsc::Receiver<Command>) {
    office_of(Config {
        concurrency: 2,
        ..Config::default()
    })
}

fn office_of(config: Config) -> (Arc<Shared>, mpsc::Receiver<Command>) {
    let app = App::builder("test")
        .broker("memory://")
        .backend("memory://")
        .task(add)
        .task(limited);
    let config = Config {
        name: "w1@vm".to_owned(),
        ..config
    };
    let (sender, receiver) = mpsc::channel(8);
    let handle = tokio::runtime::Handle::current();
    (
        Shared::new(app.build().unwrap(), config, handle, sender),
        receiver,
    )
}

/// A request that real Celery sent, and the payload that a real worker answered.
fn captured(name: &str) -> (Request, Option<Value>) {
    let path = format!(
        "{}/../protocol/tests/golden/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let case: Value = json::from_slice(&std::fs::read(path).unwrap(), "case").unwrap();
    let messages = case
        .as_map()
        .unwrap()
        .get("messages")
        .unwrap()
        .as_array()
        .unwrap();
    let bodies = messages.iter().map(|message| {
        let message = message.as_map().unwrap();
        let exchange = message.get("exchange").unwrap().as_str().unwrap();
        (
            exchange,
            message
                .get("body_utf8")
                .unwrap()
                .as_str()
                .unwrap_or_default(),
        )
    });
    let (mut request, mut reply) = (None, None);
    for (exchange, body) in bodies {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let message = Message {
            body,
            ..Message::default()
        };
        match exchange {
            naming::CONTROL_EXCHANGE => request = Some(Request::from_message(&message).unwrap()),
            naming::REPLY_EXCHANGE => reply = Some(Reply::from_message(&message).unwrap().payload),
            _ => {}
        }
    }
    (request.unwrap(), reply)
}

fn ask(shared: &Arc<Shared>, method: &str, arguments: &str) -> Option<Value> {
    run(shared, &request(method, arguments))
}

fn request(method: &str, arguments: &str) -> Request {
    Request {
        method: method.to_owned(),
        arguments: json::from_slice(arguments.as_bytes(), "arguments").unwrap(),
        ..Request::default()
    }
}

/// What is answered at once.
fn run(shared: &Arc<Shared>, request: &Request) -> Option<Value> {
    match command::run(shared, request, &Arc::new(Semaphore::new(1))) {
        command::Reply::Now(payload) => payload,
        command::Reply::Later(..) => panic!("{} answers later", request.method),
    }
}

/// What is answered, at once or later.
async fn answered(shared: &Arc<Shared>, request: &Request) -> Option<Value> {
    match command::run(shared, request, &Arc::new(Semaphore::new(1))) {
        command::Reply::Now(payload) => payload,
        command::Reply::Later(payload, _) => payload.await,
    }
}

async fn asked(shared: &Arc<Shared>, method: &str, arguments: &str) -> Option<Value> {
    answered(shared, &request(method, arguments)).await
}

fn text(value: Option<Value>) -> String {
    repr::python(&value.unwrap())
}

/// Puts a job there that a client sent as `demo.add(args)`.
fn job(shared: &Arc<Shared>, id: &str, body: &'static str, started: bool) -> Claim {
    let claim = job_with(shared, id, body, |_| {});
    if started {
        claim.start();
    }
    claim
}

fn job_with(
    shared: &Arc<Shared>,
    id: &str,
    body: &'static str,
    change: impl FnOnce(&mut TaskHeaders),
) -> Claim {
    let mut headers = TaskHeaders {
        id: id.to_owned(),
        task: "demo.add".to_owned(),
        argsrepr: Some("(1,)".to_owned()),
        kwargsrepr: Some("{'y': 2}".to_owned()),
        ..TaskHeaders::default()
    };
    change(&mut headers);
    let request = TaskRequest {
        headers,
        properties: Properties {
            content_type: Some(Codec::Json.content_type().to_owned()),
            content_encoding: Some("utf-8".to_owned()),
            ..Properties::default()
        },
        delivery: DeliveryInfo {
            routing_key: "celery".to_owned(),
            priority: Some(0),
            ..DeliveryInfo::default()
        },
        hostname: shared.name().to_owned(),
    };
    let context = Context::new(shared.app.clone(), request);
    let serial = shared.jobs.next_serial();
    let mut job = Job::new(serial, context, "celery".into(), None, Receipt::settled());
    job.body = Bytes::from_static(body.as_bytes());
    let job = Arc::new(job);
    shared.jobs.insert(Arc::clone(&job));
    Claim::new(job, Arc::clone(&shared.jobs))
}

#[tokio::test]
async fn answers_are_those_of_a_celery_worker() {
    let (shared, mut commands) = office();
    // In an order in which a worker in the same state gave them.
    for name in [
        "control/ping",
        "control/unknown_command",
        "control/bad_arguments",
        "control/rate_limit",
        "control/rate_limit_disable",
        "control/rate_limit_invalid",
        "control/rate_limit_unknown_task",
        "control/time_limit",
        "control/time_limit_unknown",
        "control/add_consumer",
        "control/add_consumer_full",
        "control/cancel_consumer",
        "control/pool_grow",
        "control/pool_shrink",
        "control/pool_restart_not_enabled",
        "control/autoscale_not_enabled",
        "control/disable_events",
        "control2/enable_events",
        "control/enable_events_again",
        "control/revoke_noreply",
        "control/revoke_terminate_unknown",
        "control/terminate_cmd",
        "control2/revoke_active_no_terminate",
        "control/revoke_by_stamped_headers",
        "control2/revoke_by_stamped_headers_list_form",
    ] {
        let (request, expected) = captured(name);
        let answer = answered(&shared, &request).await;
        if expected.is_some() {
            assert_eq!(answer, expected, "{name}");
        }
    }
    assert_eq!(shared.slots.capacity(), 2);
    assert!(shared.events.enabled());
    let mut received = Vec::new();
    for _ in 0..3 {
        received.push(commands.recv().await.unwrap());
    }
    let added = TaskQueue::new("extra_q2")
        .exchange("ex2", ExchangeKind::Topic)
        .routing_key("a.#");
    assert!(
        received.contains(&Command::AddConsumer(added)),
        "{received:?}"
    );
    assert!(
        received.contains(&Command::CancelConsumer("extra_q".to_owned())),
        "{received:?}"
    );
}

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
async fn some_requests_get_no_reply() {
    let (shared, _commands) = office();
    for name in [
        "control/heartbeat",
        "control2/shutdown_one",
        "control/election",
    ] {
        let (request, expected) = captured(name);
        assert_eq!((run(&shared, &request), expected), (None, None), "{name}");
    }
    assert_eq!(shared.shutdown.wish(), Wish::Drain);
    // A second request to stop does not make the first one impatient.
    ask(&shared, "shutdown", "{}");
    assert_eq!(shared.shutdown.wish(), Wish::Drain);
}

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
async fn terminate_stops_what_runs_here() {
    let (shared, _commands) = office();
    let running = job(&shared, "one", "[[], {}, {}]", true);
    let waiting = job(&shared, "two", "[[], {}, {}]", false);
    let arguments = r#"{"task_id": ["one", "two", "three"], "terminate": 1, "signal": "KILL"}"#;
    let answer = asked(&shared, "revoke", arguments).await;
    assert_eq!(text(answer), "{'ok': 'terminate: one, two'}");
    assert_eq!(running.stopping(), Some(Stop::Terminated(Signal::KILL)));
    assert!(running.context.is_cancelled() && !waiting.context.is_cancelled());
    assert_eq!(
        text(ask(&shared, "revoked", "{}")),
        "['one', 'two', 'three']"
    );
    drop((running, waiting));
}

#[tokio::test]
async fn revoked_is_stored_for_what_does_not_run_here() {
    let (shared, _commands) = office();
    let running = job(&shared, "one", "[[], {}, {}]", true);
    let arguments = r#"{"task_id": ["one", "two", "two"]}"#;
    let answer = asked(&shared, "revoke", arguments).await;
    assert_eq!(
        text(answer),
        r#"{'ok': "tasks {'one', 'two'} flagged as revoked"}"#
    );
    let ids = ["one".to_owned(), "two".to_owned()];
    let backend = shared.app.backend();
    let found = backend.fetch(&ids).await.unwrap();
    assert_eq!(found[0], None);
    let document = found[1].as_ref().unwrap();
    assert_eq!(document.status.as_str(), "REVOKED");
    assert_eq!(
        document.exception().unwrap().repr(),
        "TaskRevokedError('revoked')"
    );
    drop(running);
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
async fn hello_trades_what_is_revoked() {
    let (shared, _commands) = office();
    shared
        .revoked
        .add(["mine".to_owned()], std::time::Instant::now());
    let stamps = r#"{"headers": {"customer": [7, "x"]}}"#;
    asked(&shared, "revoke_by_stamped_headers", stamps).await;
    assert_eq!(
        ask(
            &shared,
            "hello",
            r#"{"from_node": "w1@vm", "revoked": ["x"]}"#
        ),
        None
    );
    let answer = ask(
        &shared,
        "hello",
        r#"{"from_node": "w2@vm", "revoked": ["yours"], "revoked_stamps": {"order": ["9"]}}"#,
    )
    .unwrap();
    let answer = answer.as_map().unwrap();
    assert_eq!(
        repr::python(answer.get("revoked").unwrap()),
        "['mine', 'yours']"
    );
    assert_eq!(
        repr::python(answer.get("revoked_stamps").unwrap()),
        "{'customer': ['7', 'x'], 'order': ['9']}"
    );
    assert_eq!(answer.get("clock").unwrap().as_i64(), Some(1));
}

#[tokio::test]
async fn queues_are_described_as_celery_declares_them() {
    let (shared, _commands) = office();
    shared.queues.insert("celery".to_owned(), Arc::default());
    let (request, expected) = captured("control/active_queues");
    assert_eq!(run(&shared, &request), expected);
}

#[tokio::test]
async fn a_request_for_others_or_too_late_is_dropped() {
    let (shared, _commands) = office();
    let reply_to = celeriac::protocol::control::ReplyTo {
        exchange: naming::REPLY_EXCHANGE.to_owned(),
        routing_key: "me".to_owned(),
    };
    let ping = Request {
        method: "ping".to_owned(),
        ticket: Some("t".to_owned()),
        reply_to: Some(reply_to),
        clock: 41,
        ..Request::default()
    };
    let deliver = |request: &Request| {
        let delivery = Delivery {
            message: Arc::new(request.to_message()),
            exchange: naming::CONTROL_EXCHANGE.to_owned(),
            routing_key: String::new(),
            queue: "w1@vm.celery.pidbox".into(),
            redelivered: false,
            receipt: Receipt::settled(),
        };
        answer(&shared, &Arc::new(Semaphore::new(1)), delivery).and_then(|(request, payload)| {
            match payload {
                command::Reply::Now(payload) => reply(&shared, request, payload),
                command::Reply::Later(..) => None,
            }
        })
    };
    let reply = deliver(&ping).unwrap();
    assert_eq!(
        (reply.exchange.as_str(), reply.routing_key.as_str()),
        ("reply.celery.pidbox", "me")
    );
    let reply = Reply::from_message(&reply.message).unwrap();
    assert_eq!(
        (reply.node.as_str(), reply.ticket.as_deref()),
        ("w1@vm", Some("t"))
    );
    assert_eq!(reply.clock, 43);

    assert_eq!(
        deliver(&Request {
            expires: Some(1.0),
            ..ping.clone()
        }),
        None
    );
    assert_eq!(
        deliver(&Request {
            destination: Some(vec!["w2@vm".into()]),
            ..ping.clone()
        }),
        None
    );
    assert_eq!(
        deliver(&Request {
            reply_to: None,
            ..ping
        }),
        None
    );
}

#[tokio::test]
async fn it_answers_over_a_broker_until_it_is_stopped() {
    let (shared, _commands) = office();
    let stop = CancellationToken::new();
    let listening = tokio::spawn(listen(Arc::clone(&shared), stop.clone(), Arc::default()));
    let queue = naming::control_queue(shared.name());
    let consumers = || async {
        let status = shared.app.broker().queue(&queue).await.unwrap();
        status.map_or(0, |status| status.consumers)
    };
    while consumers().await == 0 {
        tokio::task::yield_now().await;
    }
    let control = shared.app.control().to([shared.name()]);
    let control = control.within(Duration::from_secs(10));
    let replies = control.ask(control::Command::ping()).await.unwrap();
    assert_eq!(repr::python(&replies["w1@vm"]), "{'ok': 'pong'}");
    stop.cancel();
    listening.await.unwrap();
    assert_eq!(consumers().await, 0);
}

#[tokio::test]
async fn a_signal_that_is_none_changes_nothing() {
    let (shared, _commands) = office();
    for method in ["revoke", "terminate"] {
        let arguments = r#"{"task_id": "one", "terminate": true, "signal": "SIGNOPE"}"#;
        assert_eq!(
            text(asked(&shared, method, arguments).await),
            r#"{'error': 'AttributeError("module \'signal\' has no attribute \'SIGNOPE\'")'}"#
        );
    }
    assert!(known(&shared).is_empty());
}

fn known(shared: &Shared) -> Vec<String> {
    shared.revoked.ids(std::time::Instant::now())
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

/// S33.
#[tokio::test]
async fn what_is_too_long_to_be_remembered_is_refused() {
    let (shared, _commands) = office();
    let long = "x".repeat(256);
    for (method, arguments) in [
        ("revoke", format!(r#"{{"task_id": ["good", "{long}"]}}"#)),
        (
            "revoke_by_stamped_headers",
            format!(r#"{{"headers": {{"good": "1", "{long}": "2"}}}}"#),
        ),
        (
            "revoke_by_stamped_headers",
            format!(r#"{{"headers": {{"good": ["1", "{long}"]}}}}"#),
        ),
    ] {
        let answer = text(asked(&shared, method, &arguments).await);
        assert!(answer.contains("255 bytes at most"), "{answer}");
    }
    assert!(known(&shared).is_empty());
    assert!(shared.revoked.stamps(std::time::Instant::now()).is_empty());
}

#[tokio::test]
async fn what_waits_for_a_server_does_not_silence_the_rest() {
    let (shared, _commands) = office();
    let none = Arc::new(Semaphore::new(0));
    let now = |method: &str, arguments: &str| match command::run(
        &shared,
        &request(method, arguments),
        &none,
    ) {
        command::Reply::Now(payload) => text(payload),
        command::Reply::Later(..) => panic!("{method} has no place to wait"),
    };
    assert_eq!(now("ping", "{}"), "{'ok': 'pong'}");
    let answer = now("revoke", r#"{"task_id": "one"}"#);
    assert!(answer.contains("done in this node"), "{answer}");
    assert_eq!(known(&shared), ["one"]);
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
async fn a_program_adds_commands_of_its_own() {
    let app = App::builder("test")
        .control_command("double", async |asked: control::Invocation| {
            let number = asked.arguments().get("n").and_then(Value::as_i64);
            let number = number.ok_or_else(|| Exception::python("TypeError", "no number"))?;
            Ok((number * 2).into())
        })
        .control_command("ping", async |asked: control::Invocation| {
            Ok(asked.node().into())
        })
        .control_command("bug", async |_| panic!("as bugs do"))
        .build();
    let config = Config {
        name: "w1@vm".to_owned(),
        ..Config::default()
    };
    let (sender, _commands) = mpsc::channel(8);
    let handle = tokio::runtime::Handle::current();
    let shared = Shared::new(app.unwrap(), config, handle, sender);
    assert_eq!(text(asked(&shared, "double", r#"{"n": 4}"#).await), "8");
    assert_eq!(
        text(asked(&shared, "double", "{}").await),
        r#"{'error': "TypeError('no number')"}"#
    );
    assert_eq!(text(asked(&shared, "ping", "{}").await), "'w1@vm'");
    assert!(text(asked(&shared, "bug", "{}").await).contains("RuntimeError"));
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
