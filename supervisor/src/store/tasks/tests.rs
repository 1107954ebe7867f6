#![allow(clippy::unwrap_used)]

mod filters;
mod index;
mod memory;
mod record;
mod servers;

use std::sync::Arc;

pub(in crate::store) use self::servers::{conformance, race};
use super::*;
use crate::cluster::{Call, Fact, Route, Said, Task};
use crate::store::{Place, StoreError};

fn said(at: u64) -> Said {
    Said {
        at: at as f64,
        clock: at,
    }
}

fn call(name: &str, args: &str) -> Call {
    Call {
        name: Some(name.into()),
        args: Some(args.into()),
        kwargs: Some("{}".into()),
        root: Some("root".into()),
        ..Call::default()
    }
}

fn life(id: &str) -> Vec<(Said, &'static str, Fact)> {
    let exception = Some("ValueError('no')".to_owned());
    let route = Route {
        queue: Some("mail".into()),
        client: "gen1@c".into(),
    };
    let mut sent = call("send", "(1,)");
    sent.parent = Some(id.to_owned());
    vec![
        (said(1), "gen1@c", Fact::Sent(sent, route)),
        (said(2), "w1", Fact::Received(call("send", "(1, 2)"))),
        (said(3), "w1", Fact::Started),
        (
            said(4),
            "w1",
            Fact::Retried {
                exception,
                traceback: Some("Traceback".into()),
            },
        ),
        (
            said(5),
            "w2",
            Fact::Received(Call {
                retries: 1,
                ..call("send", "(1, 2)")
            }),
        ),
        (said(6), "w2", Fact::Started),
        (
            said(7),
            "w2",
            Fact::Succeeded {
                result: Some("3".into()),
                runtime: Some(0.5),
            },
        ),
    ]
}

fn task(id: &str, facts: impl IntoIterator<Item = (Said, &'static str, Fact)>) -> Task {
    let mut task = Task::new(id.into(), 1);
    for (said, sender, fact) in facts {
        task.merge(said, &Arc::from(sender), fact);
    }
    task
}

async fn memory() -> Store {
    Store::open(&Place::Memory).await.unwrap()
}

/// Without what says when each part was heard: a row read back does not have it.
async fn stored(store: &Store, id: &str) -> TaskRecord {
    store.tasks().get(id).await.unwrap().unwrap()
}
