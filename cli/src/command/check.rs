//! `celeriac check`: prints the effective settings and checks them.

use std::path::Path;

use celeriac::{Entry, clock};
use serde_json::{Map, json};

use crate::error::Error;
use crate::output::{Output, columns, print};
use crate::schema::Schema;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, file: Option<&Path>, output: Output) -> Result<(), Error> {
    let table = settings.table();
    let now = clock::now();
    let next = |entry: &Entry| {
        let tick = entry.schedule.next_after(now).filter(|_| entry.enabled)?;
        Some(entry.schedule.civil(tick))
    };
    let entries = &settings.tables().schedules;
    let checked = checked(settings);
    if output.is_json() {
        let setting = |(name, value, source): &(String, Option<String>, _)| {
            let source = format!("{source}");
            (name.clone(), json!({ "value": value, "from": source }))
        };
        let settings = table.iter().map(setting).collect::<Map<_, _>>();
        let schedules = entries
            .iter()
            .map(|entry| json!({ "entry": entry, "next": next(entry) }));
        let report = json!({
            "settings": settings, "file": file, "sound": checked.is_ok(),
            "schedules": schedules.collect::<Vec<_>>(),
        });
        print(&report.to_string());
        return checked;
    }
    let heading = ["SETTING", "VALUE", "FROM"].map(str::to_owned).to_vec();
    let rows = table.into_iter().map(|(name, value, source)| {
        vec![
            name,
            value.unwrap_or_else(|| "-".to_owned()),
            source.to_string(),
        ]
    });
    print(&columns(
        &std::iter::once(heading).chain(rows).collect::<Vec<_>>(),
    ));
    if !entries.is_empty() {
        let rows = entries.iter().map(|entry| {
            let next = next(entry).unwrap_or_else(|| "-".to_owned());
            vec![
                entry.name.clone(),
                entry.schedule.to_string(),
                entry.task.clone(),
                next,
            ]
        });
        let heading = ["SCHEDULE", "WHEN", "TASK", "NEXT"]
            .map(str::to_owned)
            .to_vec();
        let rows = std::iter::once(heading).chain(rows).collect::<Vec<_>>();
        print(&format!("\n{}", columns(&rows)));
    }
    print(&match file {
        Some(path) => format!("\nsettings file: {}", path.display()),
        None => "\nno settings file".to_owned(),
    });
    checked?;
    print("settings are sound");
    Ok(())
}

/// Prints what can be set, as JSON.
pub(crate) fn print_schema() -> Result<(), Error> {
    let schema = serde_json::to_string_pretty(&Schema::new());
    print(&schema.map_err(|error| Error::Failed(format!("cannot write the schema: {error}")))?);
    Ok(())
}

/// Checks what every component makes of the settings.
pub(crate) fn checked(settings: &Settings) -> Result<(), Error> {
    super::node::config(settings)?;
    super::supervisor::config(settings)?;
    crate::tasks::check(settings)?;
    crate::traces::check(settings)?;
    super::check_urls(settings)
}
