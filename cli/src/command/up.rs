//! `celeriac up`: a whole cluster in one process.

use std::sync::Arc;

use celeriac::App;
use celeriac::backend::MemoryBackend;
use celeriac::broker::MemoryBroker;
use celeriac_node::{Config, Node, Shutdown, Stopped};
use celeriac_supervisor::Supervisor;
use futures_util::future::{join, try_join_all};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::app::Tasks;
use crate::args;
use crate::error::Error;
use crate::output::print;
use crate::settings::Settings;
use crate::signals::Signals;
use crate::traces::Export;

pub(crate) async fn run(
    settings: &Settings,
    args: &args::Up,
    tasks: Tasks<'_>,
) -> Result<(), Error> {
    let signals = Signals::listen()?;
    let export = Export::start(settings)?;
    let app = app(settings, tasks, export.as_ref())?;
    let shutdown = signals.node;

    // The supervisor stops last, so that it sees the nodes go.
    let nodes_gone = CancellationToken::new();
    let (tell, listening) = oneshot::channel();
    let supervisor = Supervisor::new(app.clone(), super::supervisor::config(settings)?)
        // Nobody listens any more when this future was dropped.
        .on_ready(move |address| {
            let _ = tell.send(address);
        })
        .hurried_by(signals.now.cancelled_owned())
        .run(nodes_gone.clone().cancelled_owned());

    let nodes = async {
        // Not listening is said by the supervisor's own error.
        let Ok(address) = listening.await else {
            return Ok(Vec::new());
        };
        print(&welcome(&app, address, args.nodes));
        let stopped = run_nodes(settings, args.nodes, &app, &shutdown).await;
        nodes_gone.cancel();
        stopped
    };
    let (nodes, supervisor) = join(nodes, supervisor).await;
    supervisor?;
    for stopped in nodes? {
        tracing::info!("{stopped}");
    }
    app.close().await;
    Export::close(export).await;
    Ok(())
}

async fn run_nodes(
    settings: &Settings,
    number: u16,
    app: &App,
    shutdown: &Shutdown,
) -> Result<Vec<Stopped>, Error> {
    let mut nodes = Vec::new();
    for number in 1..=number {
        let config = Config {
            name: format!("node{number}@{}", celeriac::host::name()),
            // The pages show tasks by their events.
            events: true,
            http: None,
            ..super::node::config(settings)?
        };
        nodes.push(Node::new(app.clone(), config)?.run(shutdown.clone()));
    }
    Ok(try_join_all(nodes).await?)
}

/// The embedded broker and backend, unless the settings name others.
fn app(settings: &Settings, tasks: Tasks<'_>, export: Option<&Export>) -> Result<App, Error> {
    let builder = super::traced(super::builder(settings)?, export);
    let builder = match settings.text("broker") {
        None => builder.broker_value(Arc::new(MemoryBroker::new())),
        Some(_) => builder,
    };
    let builder = match settings.text("result_backend") {
        None => builder.backend_value(Arc::new(MemoryBackend::default())),
        Some(_) => builder,
    };
    super::build(settings, tasks(builder))
}

fn welcome(app: &App, address: std::net::SocketAddr, nodes: u16) -> String {
    let plural = if nodes == 1 { "node" } else { "nodes" };
    format!(
        "celeriac is up: a supervisor and {nodes} {plural} on {broker}

  look at   http://{address}/
  call      celeriac call celeriac.add --args '[2, 3]' --wait --api http://{address}
  or        curl -s -H 'content-type: application/json' http://{address}/api/v1/tasks \\
              -d '{{\"name\": \"celeriac.add\", \"args\": [2, 3], \"wait_ms\": 5000}}'
  nodes     celeriac status --api http://{address}
  stop      Ctrl-C
",
        broker = match app.broker().capabilities().shared {
            true => app.broker().url(),
            false => "an embedded broker, which lives as long as this process".to_owned(),
        },
    )
}
