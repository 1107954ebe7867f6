//! `celeriac schedules preview`: when a schedule would run.

use std::time::SystemTime;

use celeriac::schedule::{Entry, Once, Schedule, Zone};
use celeriac::{Value, clock};
use serde_json::json;

use crate::args::{Preview, When};
use crate::error::Error;
use crate::output::{Output, columns};
use crate::settings::Settings;

pub(super) fn run(settings: &Settings, args: &Preview, output: Output) -> Result<(), Error> {
    let schedule = match &args.name {
        Some(name) => entry(settings, name)?.schedule.clone(),
        None => Schedule::from_value(&form(&args.when)?)?,
    };
    let after = match &args.after {
        Some(text) => instant(text)?,
        None => clock::now(),
    };
    let ticks = schedule.upcoming(after, usize::from(args.count));
    let utc = Zone::utc();
    let zone = schedule.zone().filter(|zone| **zone != utc);
    let report = json!({
        "schedule": schedule,
        "ticks": ticks.iter().map(|tick| celeriac::schedule::text(*tick)).collect::<Vec<_>>(),
        "civil": ticks.iter().map(|tick| schedule.civil(*tick)).collect::<Vec<_>>(),
    });
    output.show(&report, || {
        if ticks.is_empty() {
            return format!("{schedule}: never again");
        }
        let heading = std::iter::once("UTC".to_owned()).chain(zone.map(ToString::to_string));
        let rows = ticks.iter().map(|tick| {
            let local = zone.map(|zone| zone.civil(*tick));
            std::iter::once(utc.civil(*tick).replace("+00:00", "Z")).chain(local)
        });
        let rows = rows.map(Iterator::collect);
        columns(
            &std::iter::once(heading.collect())
                .chain(rows)
                .collect::<Vec<_>>(),
        )
    });
    Ok(())
}

fn entry<'a>(settings: &'a Settings, name: &str) -> Result<&'a Entry, Error> {
    let entries = &settings.tables().schedules;
    entries.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let there = match names.as_slice() {
            [] => "none: give --every, --crontab, --solar or --once".to_owned(),
            names => names.join(", "),
        };
        Error::Usage(format!(
            "expected the name of a [[schedule]] of the settings file, found {name:?}; there is {there}"
        ))
    })
}

fn form(when: &When) -> Result<Value, Error> {
    let form = Value::from_serialize(&super::when_form(when));
    form.map_err(|error| Error::Usage(error.to_string()))
}

fn instant(text: &str) -> Result<SystemTime, Error> {
    let at = Once::parse(text).ok().and_then(|once| once.at());
    at.ok_or_else(|| {
        Error::Usage(format!(
            "--after: expected a time such as 2026-03-28T00:00:00Z, found {text:?}"
        ))
    })
}
