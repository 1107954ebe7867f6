//! `celeriac queues` and `celeriac purge`.

use std::time::Duration;

use crate::api::Api;
use crate::args;
use crate::confirm::confirm;
use crate::error::Error;
use crate::output::Output;
use crate::settings::Settings;

pub(crate) async fn run(
    settings: &Settings,
    args: args::Queues,
    output: Output,
) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut missing = Vec::new();
    if let Some(url) = &args.api.url {
        let api = Api::new(url, settings.text("token"))?;
        let answer = api.get("/api/v1/queues", Duration::from_secs(10)).await?;
        for queue in answer["queues"].as_array().into_iter().flatten() {
            let name = queue["name"].as_str().unwrap_or_default().to_owned();
            if args.names.is_empty() || args.names.contains(&name) {
                rows.push(vec![
                    name,
                    queue["ready"].to_string(),
                    queue["consumers"].to_string(),
                ]);
            }
        }
    } else {
        let app = super::client(settings)?;
        for name in names(settings, args.names) {
            match app.broker().queue(&name).await? {
                Some(queue) => {
                    rows.push(vec![
                        name,
                        queue.ready.to_string(),
                        queue.consumers.to_string(),
                    ]);
                }
                None => missing.push(name),
            }
        }
        app.close().await;
    }
    output.table(&["QUEUE", "READY", "CONSUMERS"], &rows);
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "no such queue: {}",
        missing.join(", ")
    )))
}

pub(crate) async fn purge(
    settings: &Settings,
    args: args::Purge,
    output: Output,
) -> Result<(), Error> {
    let mut names = names(settings, args.names);
    names.retain(|name| !args.exclude_queues.contains(name));
    if names.is_empty() {
        return Err(Error::Usage(
            "expected a queue to purge, found none".to_owned(),
        ));
    }
    if !args.force {
        let question = format!("drop every waiting message of {}?", names.join(", "));
        confirm(&question, "--force")?;
    }
    let app = super::client(settings)?;
    let mut dropped = serde_json::Map::new();
    for name in &names {
        dropped.insert(name.clone(), app.broker().purge(name).await?.into());
    }
    app.close().await;
    output.show(&dropped.clone().into(), || {
        let line = |(name, dropped): (&String, _)| format!("{name}: {dropped} messages dropped");
        dropped.iter().map(line).collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

fn names(settings: &Settings, given: Vec<String>) -> Vec<String> {
    if given.is_empty() {
        super::queues(settings)
    } else {
        given
    }
}
