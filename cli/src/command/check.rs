//! `celeriac check`: prints the effective settings and checks them.

use std::path::Path;

use celeriac::{Entry, clock};
use serde_json::{Map, json};

use crate::args::SchemaFormat;
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

/// Prints what can be set.
pub(crate) fn print_schema(format: SchemaFormat) -> Result<(), Error> {
    let schema = Schema::new();
    if format == SchemaFormat::Markdown {
        print(schema.markdown().trim_end());
        return Ok(());
    }
    let schema = serde_json::to_string_pretty(&schema);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    // S52: what the schema says of kinds is what the components take.
    #[test]
    fn every_kind_is_what_is_read() {
        let schema = serde_json::to_value(Schema::new()).unwrap();
        let settings = schema["commands"]["check"]["settings"].as_array().unwrap();
        // These two are read where logging starts.
        let logs = ["log_format", "loglevel"];
        let set = |variable: &str, value: &str| {
            let pair = (variable.to_owned(), value.to_owned());
            checked(&Settings::from_environment([pair]))
        };
        let mut tried = 0;
        for setting in settings {
            let name = setting["name"].as_str().unwrap();
            let bad = match setting["type"].as_str().unwrap() {
                "bool" => "maybe",
                "integer" => "many",
                "duration" => "soon",
                "address" => "nowhere",
                "enum" => "nonsense",
                _ => continue,
            };
            let Some(variable) = setting["environment"].as_str() else {
                continue;
            };
            if logs.contains(&name) {
                continue;
            }
            let error = set(variable, bad).unwrap_err();
            assert!(matches!(error, Error::Config(_)), "{name}: {error}");
            assert!(error.to_string().contains(variable), "{name}: {error}");
            tried += 1;
            for value in setting["values"].as_array().into_iter().flatten() {
                let value = value.as_str().unwrap();
                if let Err(error) = set(variable, value) {
                    // It needs another setting, and is none of those that are not known.
                    let error = error.to_string();
                    assert!(error.ends_with("found none"), "{name} {value}: {error}");
                }
            }
        }
        assert!(tried > 30, "{tried}");
    }
}
