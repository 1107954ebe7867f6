#![allow(clippy::unwrap_used)]

use std::time::{Duration, UNIX_EPOCH};

use celeriac_protocol::{Signature, Value};

use super::*;
use crate::schedule::{tick_id, tick_name};

fn full() -> Entry {
    let mut headers = Table::new();
    headers.insert("tenant", 7);
    let options = Options {
        queue: Some("slow".to_owned()),
        routing_key: Some("slow.reports".to_owned()),
        priority: Some(3),
        expires: Some(Duration::from_millis(90_500)),
        time_limit: Some(Duration::from_secs(60)),
        soft_time_limit: Some(Duration::from_secs(50)),
        ignore_result: Some(true),
        serializer: Some(celeriac_protocol::Codec::Msgpack),
        headers,
        exchange: None,
    };
    Entry::crontab("*/10 30 3 * * mon-fri", "reports.nightly")
        .unwrap()
        .named("reports")
        .zone("Europe/Berlin")
        .unwrap()
        .args([1, 2])
        .kwarg("deep", true)
        .options(options)
        .jitter(Duration::from_secs(30))
        .misfire(Misfire::All { most: 5 })
        .deadline(Duration::from_secs(3600))
        .description("for the morning")
        .disabled()
}

#[test]
fn a_form_reads_back_as_the_entry_it_was_written_from() {
    for entry in [
        full(),
        Entry::every(Duration::from_micros(1_500), "a").unwrap(),
        Entry::once("2026-12-24T18:00:00.25", "b").unwrap(),
        Entry::once("2026-12-24T18:00:00+01:00", "c").unwrap(),
        Entry::solar(SunEvent::DuskCivil, -33.87, 151.21, "d").unwrap(),
        Entry::new(
            Schedule::Interval(
                crate::schedule::Interval::new(Duration::from_secs(7))
                    .unwrap()
                    .starting(UNIX_EPOCH + Duration::from_micros(5)),
            ),
            "e",
        ),
    ] {
        let form = Value::from_serialize(&entry).unwrap();
        assert_eq!(Entry::from_value(&form).unwrap(), entry, "{form:?}");
        let read: Entry = form.to().unwrap();
        assert_eq!(read, entry);
        let schedule = Value::from_serialize(&entry.schedule).unwrap();
        assert_eq!(Schedule::from_value(&schedule).unwrap(), entry.schedule);
    }
}

#[test]
fn a_wrong_field_is_named_with_what_was_expected() {
    let wrong = |fields: &[(&str, Value)]| {
        let mut form = Table::new();
        form.insert("task", "t");
        form.insert("every", "30s");
        for (name, value) in fields {
            form.insert(*name, value.clone());
        }
        Entry::from_value(&Value::Map(form))
            .unwrap_err()
            .to_string()
    };
    let cases: [(&[(&str, Value)], &str); 13] = [
        (&[("task", "".into())], "task: expected the name of a task"),
        (&[("name", " n".into())], "name: expected 1 to 200 bytes"),
        (&[("priority", 256.into())], "priority: expected u8"),
        (&[("args", "x".into())], "args: expected a sequence"),
        (&[("every", "0s".into())], "every: expected 1ms to 36500d"),
        (
            &[("every", true.into())],
            "every: expected a duration such as",
        ),
        (&[("jitter", "31s".into())], "jitter: expected 30s at most"),
        (
            &[("misfire", "all(0)".into())],
            "misfire: expected skip, once or all(N)",
        ),
        (
            &[("deadline", "0s".into())],
            "deadline: expected more than 0s",
        ),
        (
            &[("zone", "Europe/Berlin".into())],
            "zone: expected none, or a crontab",
        ),
        (
            &[("once", "2026-01-01T00:00:00Z".into())],
            "found every and once",
        ),
        (
            &[("queue", "q".into()), ("exchange", "e".into())],
            "exchange: expected a queue or an exchange, found both",
        ),
        (&[("tsak", 1.into())], "found tsak"),
    ];
    for (fields, error) in cases {
        let found = wrong(fields);
        assert!(found.contains(error), "{found} lacks {error}");
    }
    let empty = Entry::from_value(&Value::Map(Table::new())).unwrap_err();
    assert!(empty.to_string().contains("a field task"), "{empty}");
}

// S40: whoever sends a tick sends the same task at the same time.
#[test]
fn a_tick_has_one_name_one_id_and_one_delay() {
    let tick = UNIX_EPOCH + Duration::from_micros(1_774_746_000_250_000);
    assert_eq!(tick_name("a@b", tick), "a@b@2026-03-29T01:00:00.250000Z");
    // Fixed for ever: a supervisor of another version knows what this one sent.
    assert_eq!(
        tick_id("nightly", tick).to_string(),
        "04323da0-dfab-393d-8a2d-d286dd6fc388"
    );
    assert_ne!(tick_id("nightly", tick), tick_id("nightl", tick));

    let entry = full();
    let delays: Vec<_> = (0..1000)
        .map(|n| {
            let tick = tick + Duration::from_secs(n);
            assert_eq!(entry.jittered(tick), entry.jittered(tick));
            entry.jittered(tick).duration_since(tick).unwrap()
        })
        .collect();
    assert!(delays.iter().all(|delay| *delay < Duration::from_secs(30)));
    let late = delays.iter().filter(|delay| delay.as_secs() >= 15).count();
    assert!((400..600).contains(&late), "{late} in the later half");
    let still = Entry::every(Duration::from_secs(1), "a").unwrap();
    assert_eq!(still.jittered(tick), tick);
}

#[test]
fn a_tick_is_a_call_with_its_id_its_name_and_all_options() {
    let entry = full();
    let call: Signature = entry.call_at(UNIX_EPOCH).into();
    assert_eq!(call.task, "reports.nightly");
    assert_eq!(call.args, [Value::from(1), Value::from(2)]);
    assert_eq!(call.kwargs.get("deep"), Some(&Value::from(true)));
    let option = |name: &str| call.options.get(name).cloned().unwrap();
    assert_eq!(
        option("task_id"),
        Value::from(tick_id("reports", UNIX_EPOCH).to_string())
    );
    let mut headers = Table::new();
    headers.insert("tenant", 7);
    headers.insert("celeriac-tick", "reports@1970-01-01T00:00:00.000000Z");
    assert_eq!(option("headers"), Value::Map(headers));
    for (name, value) in [
        ("queue", Value::from("slow")),
        ("routing_key", "slow.reports".into()),
        ("priority", 3.into()),
        ("expires", 90.5.into()),
        ("ignore_result", true.into()),
        ("serializer", "msgpack".into()),
    ] {
        assert_eq!(option(name), value, "{name}");
    }
}
