//! `celeriac schedules`: when tasks run by themselves.

mod preview;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::api::{self, Api};
use crate::args::{Add, Edit, Fields, Named, Schedules, SchedulesCommand, When};
use crate::confirm::confirm;
use crate::error::Error;
use crate::output::{Output, columns, described};
use crate::settings::Settings;

/// How long one request may take.
const WITHIN: Duration = Duration::from_secs(30);

pub(crate) async fn run(settings: &Settings, args: Schedules, output: Output) -> Result<(), Error> {
    let command = match args.command {
        SchedulesCommand::Preview(args) => return preview::run(settings, &args, output),
        command => command,
    };
    let api = Api::new(&args.url, settings.text("token"))?;
    match command {
        SchedulesCommand::List => list(&api, output).await,
        SchedulesCommand::Show { name } => {
            let view = api.get(&path(&[&name]), WITHIN).await?;
            output.show(&view, || described(&view));
            Ok(())
        }
        SchedulesCommand::Add(args) => {
            let form = Value::Object(new_entry(args)?);
            tell(&api.post(&path(&[]), &form, WITHIN).await?, output);
            Ok(())
        }
        SchedulesCommand::Edit(args) => {
            let path = at_revision(&args.named);
            let changes = changes(args)?;
            patch(&api, &path, &Value::Object(changes), output).await
        }
        SchedulesCommand::Enable(named) => {
            patch(
                &api,
                &at_revision(&named),
                &json!({ "enabled": true }),
                output,
            )
            .await
        }
        SchedulesCommand::Disable(named) => {
            patch(
                &api,
                &at_revision(&named),
                &json!({ "enabled": false }),
                output,
            )
            .await
        }
        SchedulesCommand::Run { name } => {
            let run = api.post(&path(&[&name, "run"]), &json!({}), WITHIN).await?;
            output.show(&run, || text(&run, "id"));
            Ok(())
        }
        SchedulesCommand::Next { name, count } => next(&api, &name, count, output).await,
        SchedulesCommand::Remove { named, yes } => {
            if !yes {
                confirm(&format!("delete the schedule {}?", named.name), "--yes")?;
            }
            let path = at_revision(&named);
            api.change(Method::DELETE, &path, &json!({}), WITHIN)
                .await?;
            let name = &named.name;
            output.show(&json!({ "removed": name }), || format!("{name} is removed"));
            Ok(())
        }
        SchedulesCommand::Preview(_) => Ok(()),
    }
}

async fn list(api: &Api, output: Output) -> Result<(), Error> {
    let mut all = Vec::new();
    let mut query = "?limit=1000".to_owned();
    loop {
        let mut page = api.get(&(path(&[]) + &query), WITHIN).await?;
        if let Some(schedules) = page["schedules"].as_array_mut() {
            all.append(schedules);
        }
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        let cursor: String = url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
        query = format!("?limit=1000&cursor={cursor}");
    }
    let all = json!({ "schedules": all });
    output.show(&all, || {
        let heading = ["NAME", "TASK", "SCHEDULE", "NEXT", "LAST", "STATE"];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        for view in all["schedules"].as_array().into_iter().flatten() {
            let next = if view["enabled"] == json!(false) {
                "disabled".to_owned()
            } else {
                text(view, "next_run")
            };
            let state = match view["trouble"].as_str() {
                Some(trouble) => trouble.to_owned(),
                None => text(view, "last_state"),
            };
            rows.push(vec![
                text(view, "name"),
                text(view, "task"),
                text(view, "schedule"),
                next,
                text(view, "last_tick"),
                state,
            ]);
        }
        columns(&rows)
    });
    Ok(())
}

async fn next(api: &Api, name: &str, count: u16, output: Output) -> Result<(), Error> {
    let path = format!("{}?count={count}", path(&[name, "next"]));
    let runs = api.get(&path, WITHIN).await?;
    output.show(&runs, || {
        let ticks = runs["next"].as_array().into_iter().flatten();
        // Jitter sends later than the tick.
        let lines = ticks.map(|run| {
            let (tick, sent) = (text(run, "tick"), text(run, "sent"));
            if tick == sent {
                tick
            } else {
                format!("{tick}  sent {sent}")
            }
        });
        let lines: Vec<_> = lines.collect();
        if lines.is_empty() {
            return format!("{}: never again", text(&runs, "schedule"));
        }
        lines.join("\n")
    });
    Ok(())
}

async fn patch(api: &Api, path: &str, changes: &Value, output: Output) -> Result<(), Error> {
    tell(
        &api.change(Method::PATCH, path, changes, WITHIN).await?,
        output,
    );
    Ok(())
}

/// Says what became of an entry.
fn tell(view: &Value, output: Output) {
    output.show(view, || {
        let next = match (view["enabled"].as_bool(), view["next_run"].as_str()) {
            (Some(false), _) => "disabled".to_owned(),
            (_, None) => "never again".to_owned(),
            (_, Some(_)) => format!("next {}", text(view, "next_run")),
        };
        format!("{}: {}, {next}", text(view, "name"), text(view, "schedule"))
    });
}

/// Returns a field's text; whole seconds without their fraction.
fn text(view: &Value, field: &str) -> String {
    let text = view[field].as_str().unwrap_or("-");
    match text.strip_suffix(".000000Z") {
        Some(time) => format!("{time}Z"),
        None => text.to_owned(),
    }
}

fn path(rest: &[&str]) -> String {
    api::path(&[&["schedules"], rest].concat())
}

fn at_revision(named: &Named) -> String {
    let path = path(&[&named.name]);
    match named.revision {
        Some(revision) => format!("{path}?revision={revision}"),
        None => path,
    }
}

fn new_entry(args: Add) -> Result<Map<String, Value>, Error> {
    let mut form = entry_form(args.fields)?;
    form.insert("name".to_owned(), args.name.into());
    form.insert("task".to_owned(), args.task.into());
    if args.disabled {
        form.insert("enabled".to_owned(), false.into());
    }
    Ok(form)
}

fn changes(args: Edit) -> Result<Map<String, Value>, Error> {
    let mut form = entry_form(args.fields)?;
    if let Some(task) = args.task {
        form.insert("task".to_owned(), task.into());
    }
    for field in args.unset {
        if form.insert(field.clone(), Value::Null).is_some() {
            let text = format!("--unset: expected a field that is not set as well, found {field}");
            return Err(Error::Usage(text));
        }
    }
    if form.is_empty() {
        let text = "expected an option such as --every that says what to change, found none";
        return Err(Error::Usage(text.to_owned()));
    }
    Ok(form)
}

/// The flags are the fields of a settings file's table.
fn entry_form(fields: Fields) -> Result<Map<String, Value>, Error> {
    let mut form = when_form(&fields.when);
    for (name, said) in [("args", &fields.args), ("kwargs", &fields.kwargs)] {
        let Some(said) = said else { continue };
        let value = serde_json::from_str(said)
            .map_err(|error| Error::Usage(format!("--{name}: expected JSON, found {error}")))?;
        form.insert(name.to_owned(), value);
    }
    let texts = [
        ("queue", fields.queue),
        ("expires", fields.expires),
        ("jitter", fields.jitter),
        ("misfire", fields.misfire),
        ("deadline", fields.deadline),
        ("description", fields.description),
    ];
    let texts = texts.into_iter();
    form.extend(texts.filter_map(|(name, text)| Some((name.to_owned(), text?.into()))));
    for said in fields.set {
        let Some((field, value)) = said.split_once('=') else {
            let text = format!("--set: expected FIELD=VALUE, such as priority=5, found {said:?}");
            return Err(Error::Usage(text));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        if form.insert(field.to_owned(), value).is_some() {
            let text = format!("--set: expected each field once, found {field} twice");
            return Err(Error::Usage(text));
        }
    }
    Ok(form)
}

fn when_form(when: &When) -> Map<String, Value> {
    let texts = [
        ("every", &when.every),
        ("start", &when.start),
        ("crontab", &when.crontab),
        ("once", &when.once),
        ("zone", &when.zone),
    ];
    let texts = texts.into_iter();
    let texts = texts.filter_map(|(name, text)| Some((name.to_owned(), text.as_deref()?.into())));
    let mut form: Map<_, Value> = texts.collect();
    if let Some(event) = &when.solar {
        let (latitude, longitude) = (when.latitude, when.longitude);
        let sun = json!({ "event": event, "latitude": latitude, "longitude": longitude });
        form.insert("solar".to_owned(), sun);
    }
    form
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;
    use crate::args::{Cli, Command};

    fn form(line: &[&str]) -> Result<Value, Error> {
        let line = [&["celeriac", "schedules"], line].concat();
        let Command::Schedules(args) = Cli::parse_line(line).unwrap().command else {
            panic!("expected schedules");
        };
        let form = match args.command {
            SchedulesCommand::Add(args) => new_entry(args),
            SchedulesCommand::Edit(args) => changes(args),
            other => panic!("expected add or edit, found {other:?}"),
        };
        form.map(Value::Object)
    }

    #[test]
    fn flags_are_the_fields_of_an_entry() {
        let line = [
            "add",
            "night",
            "reports.run",
            "--crontab",
            "0 3 * * *",
            "--zone",
            "Europe/Berlin",
            "--args",
            "[7]",
            "--queue",
            "slow",
            "--set",
            "priority=5",
            "--set",
            "serializer=json",
            "--disabled",
        ];
        let expected = json!({
            "name": "night", "task": "reports.run", "crontab": "0 3 * * *",
            "zone": "Europe/Berlin", "args": [7], "queue": "slow", "priority": 5,
            "serializer": "json", "enabled": false,
        });
        assert_eq!(form(&line).unwrap(), expected);
        let line = [
            "edit",
            "lamps",
            "--solar",
            "sunset",
            "--latitude",
            "-33.9",
            "--longitude",
            "18.4",
            "--unset",
            "queue",
        ];
        let sun = json!({ "event": "sunset", "latitude": -33.9, "longitude": 18.4 });
        assert_eq!(form(&line).unwrap(), json!({ "solar": sun, "queue": null }));
    }

    #[test]
    fn what_is_said_wrong_names_the_flag() {
        let wrong = |line: &[&str]| form(line).unwrap_err().to_string();
        assert!(wrong(&["add", "a", "b", "--args", "7,"]).starts_with("--args: expected JSON"));
        assert!(
            wrong(&["add", "a", "b", "--set", "priority"]).starts_with("--set: expected FIELD")
        );
        let twice = ["add", "a", "b", "--every", "1s", "--set", "every=2s"];
        assert!(wrong(&twice).contains("every twice"));
        let both = ["edit", "a", "--queue", "q", "--unset", "queue"];
        assert!(wrong(&both).starts_with("--unset"));
        assert!(wrong(&["edit", "a"]).contains("what to change"));
    }
}
