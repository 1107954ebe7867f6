//! `celeriac status`: lists the nodes that answer.

use std::time::Duration;

use celeriac::control::Command;

use super::remote;
use crate::api::Api;
use crate::args;
use crate::error::Error;
use crate::output::{Output, print};
use crate::settings::Settings;

pub(crate) async fn run(
    settings: &Settings,
    args: args::Status,
    output: Output,
) -> Result<(), Error> {
    let nodes = match &args.api.url {
        Some(url) => through_api(settings, url).await?,
        None => through_broker(settings, &args.asked, output).await?,
    };
    if nodes.is_empty() {
        return Err(Error::Silent);
    }
    let rows: Vec<_> = nodes
        .into_iter()
        .map(|(name, state)| vec![name, state])
        .collect();
    output.table(&["NODE", "STATE"], &rows);
    if !output.is_json() {
        let online = rows.iter().filter(|row| row[1] == "online").count();
        print(&format!("\n{}", remote::count(online)));
    }
    Ok(())
}

async fn through_broker(
    settings: &Settings,
    asked: &args::Asked,
    output: Output,
) -> Result<Vec<(String, String)>, Error> {
    let app = super::client(settings)?;
    let control = remote::addressed(app.control(), asked);
    let replies = remote::collect(&control, Command::ping(), output).await;
    app.close().await;
    let state = |reply: celeriac::Value| {
        let pong = reply.as_map().and_then(|map| map.get("ok")?.as_str());
        match pong {
            Some("pong") => "online".to_owned(),
            other => other.unwrap_or("error").to_owned(),
        }
    };
    Ok(replies?
        .into_iter()
        .map(|(node, reply)| (node, state(reply)))
        .collect())
}

async fn through_api(settings: &Settings, url: &str) -> Result<Vec<(String, String)>, Error> {
    let api = Api::new(url, settings.text("token"))?;
    let answer = api.get("/api/v1/nodes", Duration::from_secs(10)).await?;
    let nodes = answer["nodes"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(nodes
        .iter()
        .map(|node| (text(&node["name"]), text(&node["state"])))
        .collect())
}
