//! `celeriac inspect` and `celeriac control`: Celery's remote control.

mod methods;
mod words;

use celeriac::Value;
use celeriac::control::{Command, Control, Replies};
use celeriac::protocol::json;

use self::methods::{CONTROL, INSPECT, Method};
use crate::args;
use crate::error::Error;
use crate::output::{Output, print};
use crate::progress::Progress;
use crate::settings::Settings;

/// One of the two commands.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    name: &'static str,
    methods: &'static [Method],
}

/// Asks.
pub(crate) const ASK: Kind = Kind {
    name: "inspect",
    methods: INSPECT,
};
/// Changes.
pub(crate) const CHANGE: Kind = Kind {
    name: "control",
    methods: CONTROL,
};

pub(crate) async fn run(
    settings: &Settings,
    kind: Kind,
    args: args::Remote,
    output: Output,
) -> Result<(), Error> {
    if args.list {
        list(kind, output);
        return Ok(());
    }
    let name = args.method.as_deref().unwrap_or_default();
    let method = kind.methods.iter().find(|method| method.name == name);
    let command = match method {
        Some(method) => method.command(&args.arguments),
        None if args.any => methods::any(name, &args.arguments),
        None => Err(unknown(kind, name)),
    };
    let command = command.map_err(Error::Usage)?;
    let app = super::client(settings)?;
    let control = addressed(app.control(), &args.asked);
    let done = if method.is_none_or(|method| method.answers) {
        ask(&control, kind, command, output).await
    } else {
        control.cast(command).await.map_err(Error::from).map(|()| {
            let sent = serde_json::json!({ "sent": name });
            output.show(&sent, || format!("{name} was sent; nodes do not answer it"));
        })
    };
    app.close().await;
    done
}

async fn ask(control: &Control, kind: Kind, command: Command, output: Output) -> Result<(), Error> {
    let replies = collect(control, command, output).await?;
    if output.is_json() {
        print(&document(&replies)?);
        return Ok(());
    }
    for (node, reply) in &replies {
        print(&words::of(node, reply));
    }
    if kind.name == ASK.name {
        print(&format!("\n{}", count(replies.len())));
    }
    Ok(())
}

/// Asks nodes; no answer at all is a failure.
pub(super) async fn collect(
    control: &Control,
    command: Command,
    output: Output,
) -> Result<Replies, Error> {
    let waiting = Progress::waiting(output, "waiting for nodes to answer");
    let replies = control.ask(command).await?;
    drop(waiting);
    if replies.is_empty() {
        return Err(Error::Silent);
    }
    Ok(replies)
}

/// Aims remote control at whom the command line names.
pub(super) fn addressed(control: Control, asked: &args::Asked) -> Control {
    let control = control.within(asked.timeout);
    if asked.destination.is_empty() {
        control
    } else {
        control.to(&asked.destination)
    }
}

/// Replies as one JSON object by node, as `celery inspect --json` has it.
pub(super) fn document(replies: &Replies) -> Result<String, Error> {
    let mut table = celeriac::protocol::Table::new();
    for (node, reply) in replies {
        table.insert(node, reply.clone());
    }
    Ok(json::to_string(&Value::from(table)).map_err(celeriac::Error::from)?)
}

/// Says how many nodes answered.
pub(super) fn count(nodes: usize) -> String {
    format!(
        "{nodes} {} online.",
        if nodes == 1 { "node" } else { "nodes" }
    )
}

fn unknown(kind: Kind, name: &str) -> String {
    let known: Vec<_> = kind.methods.iter().map(|method| method.name).collect();
    format!(
        "expected one of {}, found {name:?}; --any sends a command of your own",
        known.join(", ")
    )
}

fn list(kind: Kind, output: Output) {
    let rows: Vec<_> = kind
        .methods
        .iter()
        .map(|method| {
            let called = [method.name, method.signature].join(" ");
            vec![called.trim_end().to_owned(), method.help.to_owned()]
        })
        .collect();
    output.table(&["COMMAND", "MEANING"], &rows);
}
