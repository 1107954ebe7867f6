//! `celeriac status`: lists the nodes that answer.

use std::time::Duration;

use celeriac::Value;
use celeriac::control::Command;

use crate::api::Api;
use crate::args;
use crate::error::Error;
use crate::output::{columns, print};
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings, args: args::Status) -> Result<(), Error> {
    let rows = match &args.api.url {
        Some(url) => through_api(settings, url).await?,
        None => through_broker(settings, args.timeout).await?,
    };
    if rows.is_empty() {
        return Err(Error::Failed("no node answered".to_owned()));
    }
    let heading = vec!["NODE".to_owned(), "STATE".to_owned()];
    let count = rows.len();
    print(&columns(&[vec![heading], rows].concat()));
    print(&format!(
        "\n{count} {}",
        if count == 1 { "node" } else { "nodes" }
    ));
    Ok(())
}

async fn through_broker(settings: &Settings, within: Duration) -> Result<Vec<Vec<String>>, Error> {
    let app = super::client(settings)?;
    let replies = app.control().within(within).ask(Command::ping()).await?;
    let row = |(node, reply): (String, Value)| {
        let state = reply
            .as_map()
            .and_then(|map| map.get("ok")?.as_str())
            .unwrap_or("error");
        vec![
            node,
            if state == "pong" {
                "online".to_owned()
            } else {
                state.to_owned()
            },
        ]
    };
    let rows = replies.into_iter().map(row).collect();
    app.close().await;
    Ok(rows)
}

async fn through_api(settings: &Settings, url: &str) -> Result<Vec<Vec<String>>, Error> {
    let api = Api::new(url, settings.text("token"))?;
    let answer = api.get("/api/v1/nodes", Duration::from_secs(10)).await?;
    let nodes = answer["nodes"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(nodes
        .iter()
        .map(|node| vec![text(&node["name"]), text(&node["state"])])
        .collect())
}
