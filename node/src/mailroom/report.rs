//! The commands `conf` and `report`: the node's settings, under Celery's names.

use std::fmt::Write as _;
use std::sync::Arc;

use celeriac::broker;
use celeriac::protocol::naming::{self, defaults};
use celeriac::protocol::{Table, Value, control, repr};

use super::arguments::Arguments;
use super::command::Answer;
use crate::config::Prefetch;
use crate::shared::Shared;

pub(super) fn conf(shared: &Arc<Shared>, arguments: Arguments<'_>) -> Answer {
    let all = arguments.flag("with_defaults")?;
    Ok(Some(Value::Map(settings(shared, all))))
}

pub(super) fn report(shared: &Arc<Shared>, _: Arguments<'_>) -> Answer {
    let link = match &*shared.app.broker().link().borrow() {
        broker::Link::Up { server, .. } => server.clone(),
        _ => "not connected".to_owned(),
    };
    let url = |url: String| url.split("://").next().unwrap_or_default().to_owned();
    let mut text = format!(
        "\nsoftware -> celery:5.7 (as spoken by celeriac:{}) rust:{}\nplatform -> system:{} arch:{}\nbroker   -> {link}\n\
         settings -> transport:{} results:{}\n\n",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_RUST_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        url(shared.app.broker().url()),
        url(shared.app.backend().url()),
    );
    for (name, value) in settings(shared, false).iter() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name}: {}", repr::python(value));
    }
    Ok(Some(control::ok(text)))
}

/// Returns the settings that differ from what a Celery worker would do by itself, or
/// all that this node has. URLs come without their passwords.
fn settings(shared: &Shared, all: bool) -> Table {
    let (app, config) = (&shared.app, &shared.config);
    let own = app.defaults();
    let seconds =
        |limit: Option<std::time::Duration>| Value::from(limit.map(|limit| limit.as_secs_f64()));
    let multiplier = match config.prefetch {
        Prefetch::Multiplier(ahead) => i64::from(ahead),
        // Celery has no other word for a number that no concurrency multiplies.
        Prefetch::Absolute(total) => i64::from(total)
            .div_euclid(i64::try_from(shared.most_places()).unwrap_or(1).max(1))
            .max(1),
    };
    let queues = app.queues();
    let consumed: Vec<Value> = config
        .queues
        .iter()
        .map(|queue| queue.as_str().into())
        .collect();
    let text = Value::from;
    let seconds_of = |time: std::time::Duration| Value::Float(time.as_secs_f64());
    // Each with Celery's default; where that is none of a kind, or a client looks for the
    // setting in any case, there is no default, and it is always told.
    let always = || None;
    let expires = Value::Int(defaults::RESULT_EXPIRES.as_secs().cast_signed());
    let settings = [
        ("broker_url", text(app.broker().url()), always()),
        ("result_backend", text(app.backend().url()), always()),
        (
            "accept_content",
            vec!["json".into(), "msgpack".into()].into(),
            always(),
        ),
        ("deprecated_settings", Value::Null, always()),
        ("include", Vec::new().into(), always()),
        ("timezone", "UTC".into(), always()),
        ("enable_utc", true.into(), always()),
        ("broker_heartbeat", heartbeat(&app.broker().url()), always()),
        ("task_queues", consumed.into(), always()),
        (
            "task_default_queue",
            text(own.queue.clone()),
            Some("celery".into()),
        ),
        (
            "task_serializer",
            own.serializer.name().into(),
            Some("json".into()),
        ),
        ("task_acks_late", true.into(), Some(false.into())),
        ("task_reject_on_worker_lost", true.into(), always()),
        ("task_protocol", Value::Int(2), Some(Value::Int(2))),
        (
            "task_create_missing_queues",
            queues.create_missing.into(),
            Some(true.into()),
        ),
        (
            "task_create_missing_queue_type",
            queues.missing_type.as_str().into(),
            Some("classic".into()),
        ),
        (
            "task_default_exchange_type",
            queues.missing_exchange_type.as_str().into(),
            Some("direct".into()),
        ),
        (
            "task_queue_max_priority",
            queues.max_priority.map(u32::from).into(),
            Some(Value::Null),
        ),
        (
            "task_send_sent_event",
            app.sends_sent_events().into(),
            Some(false.into()),
        ),
        (
            "task_compression",
            own.compression
                .map(|compression| compression.name().to_owned())
                .into(),
            Some(Value::Null),
        ),
        (
            "result_extended",
            app.result_extended().into(),
            Some(false.into()),
        ),
        (
            "worker_direct",
            config.worker_direct.into(),
            Some(false.into()),
        ),
        (
            "task_default_delivery_mode",
            Value::Int(if own.persistent { 2 } else { 1 }),
            Some(Value::Int(2)),
        ),
        (
            "task_soft_time_limit",
            seconds(config.default_soft_time_limit),
            Some(Value::Null),
        ),
        (
            "task_time_limit",
            seconds(config.default_time_limit),
            Some(Value::Null),
        ),
        ("result_expires", expires.clone(), Some(expires)),
        (
            "worker_concurrency",
            (config.places() as u64).into(),
            always(),
        ),
        (
            "worker_prefetch_multiplier",
            multiplier.into(),
            Some(Value::Int(4)),
        ),
        (
            "worker_send_task_events",
            config.events.into(),
            Some(false.into()),
        ),
        (
            "worker_enable_remote_control",
            true.into(),
            Some(true.into()),
        ),
        (
            "worker_pool_restarts",
            config.pool_restarts.into(),
            Some(false.into()),
        ),
        (
            "worker_max_tasks_per_child",
            config.isolation.max_tasks.into(),
            Some(Value::Null),
        ),
        (
            "worker_max_memory_per_child",
            config
                .isolation
                .recycle_memory
                .map(|bytes| bytes >> 10)
                .into(),
            Some(Value::Null),
        ),
        (
            "worker_state_db",
            config
                .state_db
                .as_ref()
                .map(|path| path.to_string_lossy().into_owned())
                .into(),
            Some(Value::Null),
        ),
        (
            "worker_soft_shutdown_timeout",
            seconds_of(config.drain_deadline),
            Some(Value::Float(0.0)),
        ),
        // There is no logger of Python's here to be hijacked or coloured.
        ("worker_hijack_root_logger", false.into(), always()),
        ("worker_log_color", false.into(), always()),
        ("control_exchange", "celery".into(), Some("celery".into())),
        (
            "control_queue_expires",
            seconds_of(defaults::CONTROL_QUEUE_EXPIRES),
            Some(Value::Float(10.0)),
        ),
        (
            "control_queue_ttl",
            seconds_of(defaults::CONTROL_TTL),
            Some(Value::Float(300.0)),
        ),
        (
            "event_exchange",
            naming::EVENT_EXCHANGE.into(),
            Some(naming::EVENT_EXCHANGE.into()),
        ),
    ];
    let told = settings
        .into_iter()
        .filter(|(_, value, default)| all || default.as_ref() != Some(value));
    told.map(|(name, value, _)| (name.to_owned(), value))
        .collect()
}

/// Reads the heartbeat off a broker's URL, in seconds; null is the client's own.
fn heartbeat(url: &str) -> Value {
    let url = url::Url::parse(url).ok();
    let seconds = url.and_then(|url| {
        let mut query = url.query_pairs();
        query.find_map(|(name, value)| (name == "heartbeat").then(|| value.parse::<u16>().ok())?)
    });
    seconds.map(u32::from).into()
}
