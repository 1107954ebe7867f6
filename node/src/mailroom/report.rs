//! The commands `conf` and `report`: the node's settings, under Celery's names.

use std::fmt::Write as _;
use std::sync::Arc;

use celeriac::broker;
use celeriac::protocol::naming::defaults;
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
        "\nsoftware -> celeriac:{} rust:{}\nplatform -> system:{} arch:{}\nbroker   -> {link}\n\
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
            .div_euclid(i64::try_from(config.concurrency).unwrap_or(1).max(1))
            .max(1),
    };
    let queues: Vec<Value> = config
        .queues
        .iter()
        .map(|queue| queue.as_str().into())
        .collect();
    let text = Value::from;
    // Each with Celery's default.
    let settings = [
        ("broker_url", text(app.broker().url()), Value::Null),
        ("result_backend", text(app.backend().url()), Value::Null),
        (
            "accept_content",
            vec!["json".into(), "msgpack".into()].into(),
            vec!["json".into()].into(),
        ),
        ("task_queues", queues.into(), Value::Null),
        (
            "task_default_queue",
            text(own.queue.clone()),
            "celery".into(),
        ),
        (
            "task_serializer",
            own.serializer.name().into(),
            "json".into(),
        ),
        ("task_acks_late", true.into(), false.into()),
        ("task_reject_on_worker_lost", true.into(), Value::Null),
        ("task_protocol", Value::Int(2), Value::Int(2)),
        (
            "task_default_delivery_mode",
            Value::Int(if own.persistent { 2 } else { 1 }),
            Value::Int(2),
        ),
        (
            "task_soft_time_limit",
            seconds(config.default_soft_time_limit),
            Value::Null,
        ),
        (
            "task_time_limit",
            seconds(config.default_time_limit),
            Value::Null,
        ),
        (
            "result_expires",
            Value::Int(defaults::RESULT_EXPIRES.as_secs().cast_signed()),
            Value::Int(defaults::RESULT_EXPIRES.as_secs().cast_signed()),
        ),
        ("timezone", "UTC".into(), Value::Null),
        ("enable_utc", true.into(), true.into()),
        (
            "worker_concurrency",
            (config.concurrency as u64).into(),
            Value::Null,
        ),
        (
            "worker_prefetch_multiplier",
            multiplier.into(),
            Value::Int(4),
        ),
        (
            "worker_send_task_events",
            config.events.into(),
            false.into(),
        ),
        ("worker_enable_remote_control", true.into(), true.into()),
        (
            "worker_soft_shutdown_timeout",
            config.drain_deadline.as_secs_f64().into(),
            Value::Float(0.0),
        ),
    ];
    let told = settings
        .into_iter()
        .filter(|(_, value, default)| all || value != default);
    told.map(|(name, value, _)| (name.to_owned(), value))
        .collect()
}
