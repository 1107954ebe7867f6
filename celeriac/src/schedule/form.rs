//! Schedules and entries as tables of TOML and JSON.

use std::time::Duration;

use celeriac_protocol::{Codec, DecodeError, Table, Value};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Crontab, Entry, Interval, Misfire, Once, Options, Schedule, Solar, Zone, span, time};
use crate::error::{Error, Result};

/// The fields of a schedule; one of `every`, `crontab`, `solar`, `once` is there.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ScheduleForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crontab: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    solar: Option<SolarForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    once: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SolarForm {
    event: String,
    latitude: f64,
    longitude: f64,
}

/// The fields of an entry. Those of its schedule are repeated here, because serde cannot both
/// flatten and refuse unknown fields.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryForm {
    #[serde(default)]
    name: String,
    task: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crontab: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    solar: Option<SolarForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    once: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    #[serde(default)]
    args: Vec<Value>,
    #[serde(default)]
    kwargs: Table,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exchange: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    routing_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_limit: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    soft_time_limit: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ignore_result: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    serializer: Option<String>,
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    headers: Table,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jitter: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    misfire: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline: Option<Span>,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
}

const fn yes() -> bool {
    true
}

/// A duration as text with a unit, or as a number of seconds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a duration such as \"30s\", or a number of seconds"
)]
enum Span {
    Text(String),
    Whole(u64),
    Seconds(f64),
}

impl Span {
    fn of(span: Duration) -> Self {
        Self::Text(span::text(span))
    }

    fn read(&self, what: &str) -> Result<Duration> {
        match self {
            Self::Text(text) => span::parse(what, text),
            Self::Whole(seconds) => Ok(Duration::from_secs(*seconds)),
            // A number has no better precision than its text.
            Self::Seconds(seconds) => span::parse(what, &seconds.to_string()),
        }
    }
}

impl TryFrom<ScheduleForm> for Schedule {
    type Error = Error;

    fn try_from(form: ScheduleForm) -> Result<Self> {
        let given = [
            ("every", form.every.is_some()),
            ("crontab", form.crontab.is_some()),
            ("solar", form.solar.is_some()),
            ("once", form.once.is_some()),
        ];
        let given: Vec<_> = given
            .iter()
            .filter_map(|(name, is)| is.then_some(*name))
            .collect();
        let schedule = match (form.every, form.crontab, form.solar, form.once) {
            (Some(every), None, None, None) => {
                let mut interval = Interval::new(every.read("every")?)?;
                if let Some(start) = &form.start {
                    interval = interval.starting(instant("start", start)?);
                }
                Self::Interval(interval)
            }
            (None, Some(line), None, None) => Self::Crontab(Crontab::parse(&line)?),
            (None, None, Some(sun), None) => {
                let event = sun.event.parse()?;
                Self::Solar(Solar::new(event, sun.latitude, sun.longitude)?)
            }
            (None, None, None, Some(at)) => Self::Once(Once::parse(&at)?),
            _ => {
                let found = match given.as_slice() {
                    [] => "none".to_owned(),
                    given => given.join(" and "),
                };
                let expected = "one of every, crontab, solar, once";
                return Err(Error::invalid("schedule", expected, found));
            }
        };
        if form.start.is_some() && !matches!(schedule, Self::Interval(_)) {
            let found = format!("it beside {}", given.concat());
            return Err(Error::invalid("start", "it beside every", found));
        }
        match form.zone {
            Some(zone) => schedule.in_zone(&zone.parse::<Zone>()?),
            None => Ok(schedule),
        }
    }
}

impl From<&Schedule> for ScheduleForm {
    fn from(schedule: &Schedule) -> Self {
        let mut form = Self {
            zone: schedule.zone().map(Zone::to_string),
            ..Self::default()
        };
        match schedule {
            Schedule::Interval(interval) => {
                form.every = Some(Span::of(interval.every()));
                form.start = interval.start().map(time::text);
            }
            Schedule::Crontab(crontab) => form.crontab = Some(crontab.line().to_owned()),
            Schedule::Solar(sun) => {
                form.solar = Some(SolarForm {
                    event: sun.event().name().to_owned(),
                    latitude: sun.latitude(),
                    longitude: sun.longitude(),
                });
            }
            Schedule::Once(once) => form.once = Some(once.text()),
        }
        form
    }
}

/// A form is an argument of the caller's, no message from outside.
fn in_form(error: DecodeError) -> Error {
    let field = error
        .place
        .trim_start_matches("value")
        .trim_start_matches('.');
    let field = if field.is_empty() { "entry" } else { field };
    Error::invalid(field, error.expected, error.found)
}

fn instant(what: &str, text: &str) -> Result<std::time::SystemTime> {
    let parsed = text.trim().parse::<jiff::Timestamp>().ok();
    parsed
        .and_then(|at| time::instant(at.as_microsecond()))
        .ok_or_else(|| {
            let expected = "a time with an offset such as 2026-12-24T18:00:00Z";
            Error::invalid(what, expected, format!("{text:?}"))
        })
}

impl TryFrom<EntryForm> for Entry {
    type Error = Error;

    fn try_from(form: EntryForm) -> Result<Self> {
        let span =
            |what: &str, span: &Option<Span>| span.as_ref().map(|span| span.read(what)).transpose();
        let serializer = form.serializer.map(|name| {
            Codec::from_name(&name).ok_or_else(|| {
                let expected = "json, msgpack or yaml";
                Error::invalid("serializer", expected, format!("{name:?}"))
            })
        });
        let options = Options {
            queue: form.queue,
            exchange: form.exchange,
            routing_key: form.routing_key,
            priority: form.priority,
            expires: span("expires", &form.expires)?,
            time_limit: span("time_limit", &form.time_limit)?,
            soft_time_limit: span("soft_time_limit", &form.soft_time_limit)?,
            ignore_result: form.ignore_result,
            serializer: serializer.transpose()?,
            headers: form.headers,
        };
        let schedule = Schedule::try_from(ScheduleForm {
            every: form.every,
            start: form.start,
            crontab: form.crontab,
            solar: form.solar,
            once: form.once,
            zone: form.zone,
        })?;
        let misfire = form.misfire.map(|text| text.parse::<Misfire>());
        let name = if form.name.is_empty() {
            form.task.clone()
        } else {
            form.name
        };
        let entry = Self {
            name,
            schedule,
            task: form.task,
            args: form.args,
            kwargs: form.kwargs,
            options,
            jitter: span("jitter", &form.jitter)?.unwrap_or_default(),
            misfire: misfire.transpose()?.unwrap_or_default(),
            deadline: span("deadline", &form.deadline)?,
            enabled: form.enabled,
            description: form.description,
        };
        entry.check()?;
        Ok(entry)
    }
}

impl From<&Entry> for EntryForm {
    fn from(entry: &Entry) -> Self {
        let schedule = ScheduleForm::from(&entry.schedule);
        let options = entry.options.clone();
        let jitter = Some(entry.jitter).filter(|jitter| !jitter.is_zero());
        Self {
            name: entry.name.clone(),
            task: entry.task.clone(),
            every: schedule.every,
            start: schedule.start,
            crontab: schedule.crontab,
            solar: schedule.solar,
            once: schedule.once,
            zone: schedule.zone,
            args: entry.args.clone(),
            kwargs: entry.kwargs.clone(),
            queue: options.queue,
            exchange: options.exchange,
            routing_key: options.routing_key,
            priority: options.priority,
            expires: options.expires.map(Span::of),
            time_limit: options.time_limit.map(Span::of),
            soft_time_limit: options.soft_time_limit.map(Span::of),
            ignore_result: options.ignore_result,
            serializer: options.serializer.map(|codec| codec.name().to_owned()),
            headers: options.headers,
            jitter: jitter.map(Span::of),
            misfire: Some(entry.misfire.to_string()),
            deadline: entry.deadline.map(Span::of),
            enabled: entry.enabled,
            description: entry.description.clone(),
        }
    }
}

impl Entry {
    /// Reads an entry from its table of TOML or JSON.
    ///
    /// # Errors
    ///
    /// Names the field, what was expected and what was found.
    pub fn from_value(value: &Value) -> Result<Self> {
        value.to::<EntryForm>().map_err(in_form)?.try_into()
    }
}

impl Schedule {
    /// Reads a schedule from its table of TOML or JSON.
    ///
    /// # Errors
    ///
    /// Names the field, what was expected and what was found.
    pub fn from_value(value: &Value) -> Result<Self> {
        value.to::<ScheduleForm>().map_err(in_form)?.try_into()
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ScheduleForm::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = ScheduleForm::deserialize(deserializer)?;
        form.try_into().map_err(D::Error::custom)
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        EntryForm::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = EntryForm::deserialize(deserializer)?;
        form.try_into().map_err(D::Error::custom)
    }
}
