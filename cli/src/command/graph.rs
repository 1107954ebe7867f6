//! `celeriac graph`: draws the cluster, or the parts of a process, for Graphviz.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use celeriac::Value;
use celeriac::control::{Command, Replies};
use serde_json::json;

use super::remote;
use crate::args::{self, Drawing};
use crate::error::Error;
use crate::output::Output;
use crate::settings::Settings;

pub(crate) async fn run(
    settings: &Settings,
    args: args::Graph,
    output: Output,
) -> Result<(), Error> {
    let graph = match args.what {
        Drawing::Parts => parts(),
        Drawing::Nodes => {
            let app = super::client(settings)?;
            let control = remote::addressed(app.control(), &args.asked);
            let queues = remote::collect(&control, Command::active_queues(), output).await?;
            let stats = control.ask(Command::stats()).await?;
            let broker = app.broker().url();
            app.close().await;
            cluster(&broker, &queues, &stats)
        }
    };
    output.show(&graph.json(), || graph.dot());
    Ok(())
}

/// What is drawn: things in shapes, and arrows between them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Graph {
    things: BTreeSet<(String, &'static str, String)>,
    arrows: BTreeSet<(String, String)>,
}

impl Graph {
    fn thing(&mut self, id: &str, shape: &'static str, label: &str) {
        self.things.insert((id.to_owned(), shape, label.to_owned()));
    }

    fn arrow(&mut self, from: &str, to: &str) {
        self.arrows.insert((from.to_owned(), to.to_owned()));
    }

    fn dot(&self) -> String {
        let mut dot =
            "digraph celeriac {\n    rankdir=LR\n    node [fontname=\"sans-serif\"]\n".to_owned();
        for (id, shape, label) in &self.things {
            // Writing to a string cannot fail.
            let _ = writeln!(
                dot,
                "    {} [shape={shape}, label={}]",
                quoted(id),
                quoted(label)
            );
        }
        for (from, to) in &self.arrows {
            let _ = writeln!(dot, "    {} -> {}", quoted(from), quoted(to));
        }
        dot.push('}');
        dot
    }

    fn json(&self) -> serde_json::Value {
        let thing = |(id, shape, label): &(String, &str, String)| json!({ "id": id, "shape": shape, "label": label });
        let arrow = |(from, to): &(String, String)| json!({ "from": from, "to": to });
        json!({
            "things": self.things.iter().map(thing).collect::<Vec<_>>(),
            "arrows": self.arrows.iter().map(arrow).collect::<Vec<_>>(),
        })
    }
}

fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\n', "\\n"))
}

/// Draws who consumes what.
fn cluster(broker: &str, queues: &Replies, stats: &Replies) -> Graph {
    let mut graph = Graph::default();
    graph.thing("broker", "cylinder", broker);
    for (node, consumed) in queues {
        let places = stats.get(node).and_then(|stats| {
            let pool = stats.as_map()?.get("pool")?.as_map()?;
            pool.get("max-concurrency")?.as_i64()
        });
        let label = match places {
            Some(places) => format!("{node}\n{places} at once"),
            None => node.clone(),
        };
        graph.thing(&format!("node {node}"), "box", &label);
        for queue in consumed.as_array().unwrap_or_default() {
            let name = queue.as_map().and_then(|queue| queue.get("name"));
            if let Some(name) = name.and_then(Value::as_str) {
                let id = format!("queue {name}");
                graph.thing(&id, "cds", name);
                graph.arrow("broker", &id);
                graph.arrow(&id, &format!("node {node}"));
            }
        }
    }
    graph
}

/// What starts what, in a node and in a supervisor.
const PARTS: [(&str, &[&str]); 4] = [
    (
        "Node",
        &[
            "Backend",
            "Slots",
            "Timetable",
            "Heart",
            "Mailroom",
            "Consumer",
        ],
    ),
    ("Consumer", &["TaskRun"]),
    (
        "Supervisor",
        &[
            "Store",
            "NodeProxy",
            "History",
            "Survey",
            "Intake",
            "Beat",
            "Letters",
            "Http",
        ],
    ),
    ("celeriac up", &["Node", "Supervisor"]),
];

fn parts() -> Graph {
    let mut graph = Graph::default();
    for (parent, children) in PARTS {
        graph.thing(parent, "box", parent);
        for child in children {
            graph.thing(child, "box", child);
            graph.arrow(parent, child);
        }
    }
    graph
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_cannot_break_out_of_the_drawing() {
        let queues: Replies = [(
            "w\"1@vm".to_owned(),
            serde_json::from_str(r#"[{"name":"a\"] x\\"},{"name":"b"},{},7]"#).unwrap(),
        )]
        .into();
        let stats: Replies = [(
            "w\"1@vm".to_owned(),
            serde_json::from_str(r#"{"pool":{"max-concurrency":4}}"#).unwrap(),
        )]
        .into();
        let graph = cluster("memory://", &queues, &stats);
        let dot = graph.dot();
        assert!(
            dot.contains(r#""queue a\"] x\\" -> "node w\"1@vm""#),
            "{dot}"
        );
        assert!(dot.contains(r#"label="w\"1@vm\n4 at once""#), "{dot}");
        assert_eq!(graph.things.len(), 4);
        assert_eq!(graph.json()["arrows"].as_array().unwrap().len(), 4);
    }
}
