//! Every calling option changes the message as it does in Celery.

use celeriac::broker::ExchangeKind;
use celeriac::protocol::{Codec, Signature, Table, Timestamp, Value};
use celeriac::routing::{Route, Routing, TaskQueue};
use celeriac::task::Registry;
use celeriac::{Call, task};
use std::time::Duration;

use crate::fixtures::{captured, comparable, defaults, get, now, sent, sent_knowing, sig};

fn add() -> Call<Value> {
    sig("demo.add", [2, 3]).into()
}

fn echo() -> Call<Value> {
    Call::new("demo.echo")
}

fn mul10() -> Call<Value> {
    sig("demo.mul", [10]).into()
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn typed(kind: &str, text: &str) -> Value {
    Value::Map(map([("__type__", kind.into()), ("__value__", text.into())]))
}

fn list<const N: usize>(items: [&str; N]) -> Value {
    Value::Array(items.map(Value::from).to_vec())
}

#[test]
fn every_option_has_celerys_effect() {
    let seconds = Duration::from_secs_f64;
    let sig = |call: Call<Value>| call.signature();
    let deep: Value = map([(
        "a",
        map([("b", map([("c", map([("d", 1.into())]).into())]).into())]).into(),
    )])
    .into();
    let cases: Vec<(&str, Call<Value>)> = vec![
        (
            "argsrepr_override",
            add()
                .option("argsrepr", "<hidden>")
                .option("kwargsrepr", "{}"),
        ),
        ("compression_bzip2", add().compression("bzip2")),
        ("compression_gzip", add().compression("gzip")),
        ("compression_zlib", add().compression("zlib")),
        ("compression_zstd", add().compression("zstd")),
        ("countdown", add().countdown(seconds(10.0))),
        ("countdown_float", add().countdown(seconds(0.5))),
        ("delay", add()),
        (
            "delay_kwargs",
            Call::new("demo.add").kwarg("x", 2).kwarg("y", 3),
        ),
        ("delay_noargs", Call::new("demo.noop")),
        (
            "eta_naive",
            add().eta(Timestamp::parse("2030-01-01T12:00:00").unwrap()),
        ),
        (
            "eta_tz",
            add().option("eta", typed("datetime", "2030-01-01T12:00:00.123456+01:00")),
        ),
        (
            "eta_utc",
            add().eta(Timestamp::parse("2030-01-01T12:00:00+00:00").unwrap()),
        ),
        ("exchange_only_topic", add().exchange("mytopic", "a.b")),
        ("exchange_routing_key", add().exchange("myex", "rk.a")),
        ("expires_seconds", add().expires(seconds(60.0))),
        ("expires_float", add().expires(seconds(1.5))),
        (
            "expires_past",
            add().option("expires", "2020-01-01T00:00:00+00:00"),
        ),
        ("confirm_publish_mandatory", add().mandatory(true)),
        (
            "argsrepr_truncation",
            echo()
                .arg((0..1000).collect::<Vec<i32>>())
                .arg("x".repeat(3000))
                .kwarg("k", deep),
        ),
        (
            "stamped_visitor",
            add()
                .option("stamped_headers", list(["mtask_id"]))
                .option("mtask_id", "u-1"),
        ),
        // What the event is made of; its own message is no task.
        ("task_sent_event", add()),
        (
            "group_and_parent",
            add()
                .option("group_id", "G1")
                .option("group_index", 3)
                .option("root_id", "R1")
                .option("parent_id", "P1"),
        ),
        (
            "headers_custom",
            add().header("my-header", "v").header("num", 7).header(
                "nested",
                map([(
                    "a",
                    vec![1.into(), 2.5.into(), Value::Null, true.into()].into(),
                )]),
            ),
        ),
        ("ignore_result", add().ignore_result()),
        (
            "json_type_literal",
            echo().arg(
                typed("datetime", "2030-01-02T03:04:05")
                    .to::<Map>()
                    .unwrap(),
            ),
        ),
        ("link", add().link(mul10())),
        (
            "link_and_options",
            add().link(mul10().queue("other").option("countdown", 3).priority(4)),
        ),
        (
            "link_error",
            add().link_error(Signature::new("demo.err_new")),
        ),
        (
            "link_list",
            add()
                .link(mul10())
                .link(Call::<Value>::new("demo.add").arg(1).arg(1).immutable()),
        ),
        ("priority", add().priority(5)),
        ("priority_zero", add().priority(0)),
        ("queue", add().queue("other")),
        (
            "queue_routing_key",
            add().queue("other").option("routing_key", "rk"),
        ),
        (
            "replaced_task_nesting",
            add().option("replaced_task_nesting", 2),
        ),
        ("reply_to_override", add().option("reply_to", "my-queue")),
        ("retries", add().option("retries", 2)),
        (
            "send_task_by_name",
            // The capture shows a list; only Python tells it from a tuple.
            Call::new("other.lang.task")
                .arg(1)
                .kwarg("a", 2)
                .option("argsrepr", "[1]"),
        ),
        ("serializer_msgpack", add().serializer(Codec::Msgpack)),
        ("shadow", add().shadow("pretty.name")),
        (
            "stamped_options",
            add()
                .option("stamped_headers", list(["mon"]))
                .option("mon", "abc"),
        ),
        (
            "stamped_sig",
            add()
                .option("stamped_headers", list(["stampA"]))
                .option("stampA", "v1"),
        ),
        ("task_id", add().id("my-own-id")),
        (
            "time_limits",
            add()
                .time_limit(seconds(30.0))
                .soft_time_limit(seconds(20.0)),
        ),
        ("unicode_args", echo().arg("żółć").kwarg("k", "日本")),
    ];
    for (case, call) in cases {
        let (ours, theirs) = (sent(sig(call)), captured(&format!("tasks/{case}")));
        let (ours, theirs) = (&ours[..], &theirs[..1]);
        // The arguments of the capture are no JSON; its envelope is what is compared.
        if case == "serializer_msgpack" {
            let envelope = |messages: &[Value]| {
                ["content_type", "content_encoding"]
                    .map(|key| get(get(&messages[0], "properties"), key).clone())
            };
            assert_eq!(envelope(ours), envelope(theirs), "{case}");
            continue;
        }
        let (our_text, their_text) = (comparable(ours), comparable(theirs));
        let differ = our_text
            .lines()
            .zip(their_text.lines())
            .find(|(a, b)| a != b);
        assert!(
            our_text == their_text,
            "{case}: {differ:?}\nours:{our_text}\ntheirs:{their_text}"
        );
        let kwargsrepr =
            |messages: &[Value]| get(get(&messages[0], "headers"), "kwargsrepr").clone();
        assert_eq!(kwargsrepr(ours), kwargsrepr(theirs), "{case}");
        // Byte for byte, where nothing random is in it.
        if !get(&ours[0], "body").is_null() {
            assert_eq!(get(&ours[0], "body"), get(&theirs[0], "body"), "{case}");
        }
        if case.starts_with("eta") {
            let eta = |messages: &[Value]| get(get(&messages[0], "headers"), "eta").clone();
            assert_eq!(eta(ours), eta(theirs), "{case}");
        }
    }
}

type Map = std::collections::BTreeMap<String, String>;

/// Every captured call is compared somewhere, or cannot be made here, for a reason.
#[test]
fn no_captured_call_is_forgotten() {
    let excused = [
        // No such codec here: nothing but Celery's own extras reads them.
        "compression_brotli",
        "compression_lzma",
        // Python's set, which its client refuses; a set of Rust is a list.
        "json_set",
        // Python's objects; typed values are compared in the protocol's own golden tests.
        "json_special_types",
        // A date of YAML's own; here a date is text.
        "serializer_yaml_date",
        // Written in another style; its reading is compared in the protocol's golden tests.
        "serializer_yaml",
        // Compared where workflows are stamped.
        "stamped_visitor2_link",
    ];
    let source = include_str!("golden_calls.rs");
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/tests/golden/tasks");
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let case = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let is = |text: String| source.matches(&text).count();
        let compared = is(format!("\"{case}\",")) + is(format!("tasks/{case}\""));
        let excuse = usize::from(excused.contains(&&*case));
        assert!(
            (compared > excuse) != (excuse == 1),
            "{case} is either compared or excused, not {compared} times the one and {excuse} the \
             other"
        );
    }
}

#[test]
fn message_properties_of_the_caller_are_kept() {
    let call = add()
        .option("expiration", 5)
        .option("message_id", "mid")
        .option("app_id", "me")
        .option("type", "tt")
        .option("user_id", "guest")
        .option("timestamp", 1_234_567_890);
    let ours = sent(call.signature());
    let theirs = captured("tasks/message_props");
    for key in [
        "message_id",
        "app_id",
        "type",
        "user_id",
        "timestamp",
        "expiration",
    ] {
        let of = |messages: &[Value]| get(get(&messages[0], "properties"), key).clone();
        assert_eq!(of(&ours), of(&theirs), "{key}");
    }
}

#[test]
fn an_expiry_may_be_a_time() {
    let at = Timestamp::parse("2030-01-01T00:00:00+00:00").unwrap();
    let ours = sent(add().expires_at(at).signature());
    let theirs = captured("tasks/expires_datetime");
    let expires = |messages: &[Value]| get(get(&messages[0], "headers"), "expires").clone();
    assert_eq!(expires(&ours), expires(&theirs));
}

#[test]
fn times_count_from_the_moment_of_sending() {
    let messages = sent(
        add()
            .countdown(Duration::from_secs(10))
            .expires(Duration::from_millis(1500))
            .signature(),
    );
    let headers = get(&messages[0], "headers");
    assert_eq!(
        get(headers, "eta").as_str(),
        Some("2027-01-15T08:00:10+00:00")
    );
    assert_eq!(
        get(headers, "expires").as_str(),
        Some("2027-01-15T08:00:01.500000+00:00")
    );
    assert_eq!(
        get(get(&messages[0], "properties"), "expiration").as_str(),
        Some("1500")
    );
}

#[task(name = "demo.ignored", ignore_result)]
async fn ignored() {}

#[task(name = "demo.opts", queue = "own", priority = 3, expires = "1m")]
async fn opts() {}

#[task(name = "demo.add", time_limit = "30s", soft_time_limit = "20s")]
async fn limited(x: i64, y: i64) -> i64 {
    x + y
}

/// Brokers count in milliseconds of 32 bits and refuse what does not fit.
#[test]
fn a_far_expiry_stands_in_the_header_only() {
    let most = Duration::from_millis(u32::MAX.into());
    let far = Duration::from_secs(100 * 86_400);
    for (expires, expiration) in [(most, Value::from("4294967295")), (far, Value::Null)] {
        let message = sent(add().expires(expires).signature()).remove(0);
        assert_eq!(
            get(get(&message, "properties"), "expiration"),
            &expiration,
            "{expires:?}"
        );
        assert!(!get(get(&message, "headers"), "expires").is_null());
    }
}

#[test]
fn a_task_that_is_known_brings_its_options() {
    let mut registry = Registry::default();
    registry.add(ignored).unwrap();
    registry.add(opts).unwrap();
    let ours = sent_knowing(ignored.call().signature(), &registry);
    assert_eq!(
        comparable(&ours),
        comparable(&captured("tasks/ignore_result_task"))
    );

    let ours = sent_knowing(opts.call().signature(), &registry);
    assert_eq!(get(&ours[0], "routing_key").as_str(), Some("own"));
    let properties = get(&ours[0], "properties");
    assert_eq!(get(properties, "priority").as_i64(), Some(3));
    assert_eq!(get(properties, "expiration").as_str(), Some("60000"));

    let ours = sent_knowing(
        opts.call().queue("other").priority(9).signature(),
        &registry,
    );
    assert_eq!(get(&ours[0], "routing_key").as_str(), Some("other"));
    assert_eq!(
        get(get(&ours[0], "properties"), "priority").as_i64(),
        Some(9)
    );
}

/// Where the call names none.
#[test]
fn the_limits_of_a_task_that_is_known_go_with_its_calls() {
    let mut registry = Registry::default();
    registry.add(limited).unwrap();
    let ours = |call: Call<i64>| sent_knowing(call.signature(), &registry);
    assert_eq!(
        comparable(&ours(limited.call(2, 3))),
        comparable(&captured("tasks/time_limits"))
    );
    let shorter = ours(limited.call(2, 3).soft_time_limit(Duration::from_secs(5)));
    let limits = get(get(&shorter[0], "headers"), "timelimit");
    assert_eq!(limits, &Value::Array(vec![30.into(), 5.into()]));
}

fn published(
    call: Call<Value>,
    routing: &Routing,
) -> celeriac::Result<celeriac::broker::Publication> {
    celeriac::producer::publication(
        call.id("id").signature(),
        &celeriac::protocol::Embed::default(),
        &celeriac::producer::Lineage::default(),
        &defaults(),
        routing,
        &Registry::default(),
        now(),
    )
}

#[test]
fn routes_apply_when_the_call_names_no_target() {
    let mut routes = Routing::default();
    routes
        .routes
        .add("demo.*", Route::queue("demo").priority(2));
    routes.routes.add("other.*", Route::exchange("ex", "key"));
    let routed = published(add(), &routes).unwrap();
    assert_eq!(
        (routed.exchange.as_str(), routed.routing_key.as_str()),
        ("", "demo")
    );
    assert_eq!(routed.message.properties.priority, Some(2));
    let exchange = published(Call::new("other.x"), &routes).unwrap();
    assert_eq!(
        (exchange.exchange.as_str(), exchange.routing_key.as_str()),
        ("ex", "key")
    );
    let named = published(add().queue("mine"), &routes).unwrap();
    assert_eq!(named.routing_key, "mine");
    let unknown = published(Call::new("free"), &routes).unwrap();
    assert_eq!(unknown.routing_key, "celery");
}

#[test]
fn a_route_brings_options_and_the_call_wins() {
    let mut routing = Routing::default();
    let route = Route::exchange("ex", "key")
        .priority(2)
        .option("serializer", "msgpack")
        .option("time_limit", 9);
    routing.routes.add("demo.*", route);
    let routed = published(add(), &routing).unwrap();
    assert_eq!((&*routed.exchange, &*routed.routing_key), ("ex", "key"));
    let content = routed.message.properties.content_type.as_deref();
    assert_eq!(content, Some("application/x-msgpack"));
    // A place is taken as a whole; the rest still counts.
    let call = add().queue("mine").serializer(Codec::Json);
    let named = published(call, &routing).unwrap();
    assert_eq!((&*named.exchange, &*named.routing_key), ("", "mine"));
    assert_eq!(named.message.properties.priority, Some(2));
    let content = named.message.properties.content_type.as_deref();
    assert_eq!(content, Some("application/json"));
}

#[test]
fn a_described_queue_is_reached_through_its_exchange() {
    let mut routing = Routing::default();
    let queues = &mut routing.queues;
    let media = TaskQueue::new("media")
        .exchange("files", ExchangeKind::Topic)
        .routing_key("media.#");
    queues.add(media).unwrap();
    queues.add(TaskQueue::broadcast("reload")).unwrap();
    let direct = TaskQueue::new("direct").exchange("other", ExchangeKind::Direct);
    queues.add(direct.routing_key("k")).unwrap();
    for (call, exchange, key) in [
        (add().queue("media"), "files", "media.#"),
        (
            add().queue("media").routing_key("media.video"),
            "files",
            "media.video",
        ),
        (add().queue("reload"), "reload", "celery"),
        // As Celery: a direct queue is reached by its name.
        (add().queue("direct"), "", "direct"),
        (add().queue("unknown").routing_key("x"), "", "unknown"),
        (add().routing_key("x"), "", "celery"),
        (add().exchange("", "named"), "", "named"),
        (add().option("exchange", "alone"), "alone", "celery"),
    ] {
        let sent = published(call, &routing).unwrap();
        assert_eq!((&*sent.exchange, &*sent.routing_key), (exchange, key));
    }
    routing.queues.create_missing = false;
    let error = published(add().queue("unknown"), &routing).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("queue: expected one that is described (media, ")
    );
}

#[test]
fn how_a_message_is_published_can_be_chosen() {
    let routing = Routing::default();
    let sent = |call| published(call, &routing).unwrap();
    let plain = sent(add());
    assert!(plain.mandatory && plain.confirm);
    assert_eq!(plain.message.properties.delivery_mode, Some(2));
    assert!(!sent(add().mandatory(false)).mandatory);
    let unconfirmed = sent(add().confirm(false));
    assert!(!unconfirmed.mandatory && !unconfirmed.confirm);
    let transient = sent(add().persistent(false));
    assert_eq!(transient.message.properties.delivery_mode, Some(1));
}

/// As Celery's client refuses it, whoever of both has set the limits.
#[test]
fn a_soft_limit_above_the_hard_one_is_refused_at_the_caller() {
    let seconds = Duration::from_secs;
    let both = |soft, hard| {
        add()
            .soft_time_limit(seconds(soft))
            .time_limit(seconds(hard))
    };
    assert!(published(both(3, 3), &Routing::default()).is_ok());
    let error = published(both(4, 3), &Routing::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "time limits: expected a soft limit that is at most the hard one, found 4 s and 3 s"
    );
}

#[test]
fn an_option_that_cannot_be_used_is_refused() {
    for (call, text) in [
        (
            add().option("priority", 256),
            "priority: expected a number from 0 to 255, found 256",
        ),
        (
            add().option("countdown", "soon"),
            "countdown: expected a number of seconds, found a string",
        ),
        (
            add().option("eta", 5),
            "eta or expires: expected a time in ISO 8601, found an integer",
        ),
        (
            add().option("serializer", "pickle"),
            "serializer: expected json, msgpack or yaml, found pickle",
        ),
        (
            add().option("queue", 1),
            "option queue: expected text, found an integer",
        ),
        (
            add().option("delivery_mode", "fast"),
            "option delivery_mode: expected transient (1) or persistent (2), found fast",
        ),
        (
            add().option("expiration", -1),
            "option expiration: expected a number of seconds from 0, found -1",
        ),
        (
            add().option("retries", -1),
            "option retries: expected a number from 0, found -1",
        ),
        (
            add().option("time_limit", -1.0),
            "option time_limit: expected a number of seconds, found a float",
        ),
        (
            add().option("ignore_result", 1),
            "option ignore_result: expected true or false, found an integer",
        ),
        (
            add().option("headers", 1),
            "option headers: expected a map, found an integer",
        ),
        (
            add().option("stamped_headers", 1),
            "option stamped_headers: expected a list, found an integer",
        ),
    ] {
        let error = published(call, &Routing::default()).unwrap_err();
        assert_eq!(error.to_string(), text);
    }
}
