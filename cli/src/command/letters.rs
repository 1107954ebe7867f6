//! `celeriac letters`: looks at dead letters, sends them again, discards them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::api::{Api, path};
use crate::args::{Discard, Letters, LettersCommand, List, Replay, Which};
use crate::confirm::confirm;
use crate::error::Error;
use crate::output::{Output, described};
use crate::progress::Progress;
use crate::settings::Settings;

/// How long one request may take.
const WITHIN: Duration = Duration::from_secs(30);

pub(crate) async fn run(settings: &Settings, args: Letters, output: Output) -> Result<(), Error> {
    let api = Api::new(&args.url, settings.text("token"))?;
    match args.command {
        LettersCommand::List(args) => list(&api, args, output).await,
        LettersCommand::Show { id } => {
            let letter = api.get(&path(&["letters", &id]), WITHIN).await?;
            output.show(&letter, || described(&letter));
            Ok(())
        }
        LettersCommand::Replay(args) => replay(&api, args, output).await,
        LettersCommand::Discard(Discard {
            id: Some(id), yes, ..
        }) => {
            agree(yes, &format!("discard the dead letter {id}?"))?;
            let letter = api.delete(&path(&["letters", &id]), WITHIN).await?;
            output.show(&letter, || format!("dead letter {id} was discarded"));
            Ok(())
        }
        LettersCommand::Discard(args) => {
            many(&api, &args.which, json!({}), args.yes, "discard", output).await
        }
    }
}

async fn list(api: &Api, args: List, output: Output) -> Result<(), Error> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in filter(&args.which) {
        query.append_pair(&name, value.as_str().unwrap_or_default());
    }
    query.append_pair("state", &args.state);
    query.append_pair("limit", &args.limit.to_string());
    let path = format!("/api/v1/letters?{}", query.finish());
    let page = api.get(&path, WITHIN).await?;
    output.show(&page, || {
        let letters = page["letters"].as_array().cloned().unwrap_or_default();
        let mut rows = vec![
            ["ID", "DIED", "REASON", "TASK", "QUEUE", "ERROR"]
                .map(str::to_owned)
                .to_vec(),
        ];
        rows.extend(letters.iter().map(|letter| {
            let text = |field: &str| letter[field].as_str().unwrap_or("-").to_owned();
            let error = text("error");
            let error = error.lines().next().unwrap_or_default();
            vec![
                text("id"),
                text("died_at"),
                text("reason"),
                text("name"),
                text("queue"),
                error.chars().take(60).collect(),
            ]
        }));
        let (shown, matching) = (letters.len(), &page["matching"]);
        format!("{}\n\n{shown} of {matching}", crate::output::columns(&rows))
    });
    Ok(())
}

async fn replay(api: &Api, args: Replay, output: Output) -> Result<(), Error> {
    let mut order = json!({ "new_id": args.new_id, "keep_times": args.keep_times });
    if let Some(queue) = &args.to {
        order["queue"] = json!(queue);
    }
    let Some(id) = &args.id else {
        return many(api, &args.which, order, args.yes, "replay", output).await;
    };
    for (flag, field, said) in [
        ("--set-args", "args", &args.set_args),
        ("--set-kwargs", "kwargs", &args.set_kwargs),
    ] {
        let Some(said) = said else { continue };
        order[field] = serde_json::from_str(said)
            .map_err(|error| Error::Usage(format!("{flag}: expected JSON, found {error}")))?;
    }
    let letter = api
        .post(&path(&["letters", id, "replay"]), &order, WITHIN)
        .await?;
    output.show(&letter, || {
        let task = letter["new_task_id"].as_str().unwrap_or("a message");
        format!("{task} was sent again")
    });
    Ok(())
}

/// Deals with all letters that match, in as many requests as it takes.
async fn many(
    api: &Api,
    which: &Which,
    mut order: Value,
    yes: bool,
    verb: &str,
    output: Output,
) -> Result<(), Error> {
    let filter = filter(which);
    if filter.is_empty() {
        let text = format!(
            "expected the id of a letter, or an option such as --name that says which; \
             --name '*' means all tasks: nothing to {verb}"
        );
        return Err(Error::Usage(text));
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in &filter {
        query.append_pair(name, value.as_str().unwrap_or_default());
    }
    let url = format!("/api/v1/letters?limit=1&{}", query.finish());
    let count = api.get(&url, WITHIN).await?["matching"].as_u64();
    let count = count.unwrap_or_default();
    if count > 0 {
        agree(yes, &format!("{verb} {}?", counted(count)))?;
    }
    order["filter"] = Value::Object(filter);
    order["confirm"] = json!(count);
    let (past, doing) = match verb {
        "replay" => ("sent again", "sending"),
        _ => ("discarded", "discarding"),
    };
    let progress = Progress::counting(output, Some(count), doing);
    let mut total = json!({ "done": 0, "failed": 0, "errors": [] });
    let add = |total: &mut Value, field: &str, answer: &Value| {
        let sum = total[field].as_u64().unwrap_or(0) + answer[field].as_u64().unwrap_or(0);
        total[field] = json!(sum);
    };
    let path = path(&["letters", verb]);
    let ended = loop {
        let answer = match api.post(&path, &order, WITHIN).await {
            Ok(answer) => answer,
            Err(error) => break Err(error),
        };
        progress.advance(answer["done"].as_u64().unwrap_or(0));
        add(&mut total, "done", &answer);
        add(&mut total, "failed", &answer);
        if total["errors"].as_array().is_some_and(Vec::is_empty) {
            total["errors"] = answer["errors"].clone();
        }
        if answer["next_cursor"].is_null() {
            break Ok(());
        }
        order["cursor"] = answer["next_cursor"].clone();
    };
    drop(progress);
    // What was done until then is worth telling.
    if ended.is_ok() || total["done"] != 0 || total["failed"] != 0 {
        report(&total, past, output)?;
    }
    ended
}

/// Says what was done; letters that could not be dealt with are a failure.
fn report(total: &Value, past: &str, output: Output) -> Result<(), Error> {
    let done = total["done"].as_u64().unwrap_or(0);
    output.show(total, || format!("{} {past}", counted(done)));
    let failed = total["failed"].as_u64().unwrap_or(0);
    if failed == 0 {
        return Ok(());
    }
    let first = total["errors"][0]["detail"].as_str().unwrap_or_default();
    Err(Error::Failed(format!(
        "{} could not be {past}, the first because: {first}",
        counted(failed)
    )))
}

fn counted(count: u64) -> String {
    match count {
        1 => "1 dead letter".to_owned(),
        count => format!("{count} dead letters"),
    }
}

fn filter(which: &Which) -> Map<String, Value> {
    let fields = [
        ("reason", &which.reason),
        ("name", &which.name),
        ("queue", &which.of_queue),
        ("node", &which.node),
        ("task", &which.task),
        ("error", &which.error),
        ("arguments", &which.arguments),
        ("since", &which.since),
        ("until", &which.until),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| {
        let value = value.as_deref()?;
        Some((name.to_owned(), Value::from(value)))
    });
    given.collect()
}

fn agree(yes: bool, question: &str) -> Result<(), Error> {
    if yes {
        Ok(())
    } else {
        confirm(question, "--yes")
    }
}
