//! Corrects what is thought of a node's tasks.

use std::sync::Arc;

use actix::prelude::*;
use celeriac_protocol::ResultDocument;

use crate::actor::asker::Asker;
use crate::board::Board;
use crate::cluster::{Fact, Findings, Held, Open, Reading};

/// What an audit found out, for the one who writes the history.
#[derive(Debug, Default, Message)]
#[rtype(result = "()")]
pub(crate) struct Audited {
    /// What runs, as events would have told it.
    pub(crate) running: Vec<Reading>,
    /// Tasks that the node has.
    pub(crate) present: Vec<Arc<str>>,
    /// Results of tasks that the node does not have.
    pub(crate) outcomes: Vec<ResultDocument>,
    /// Tasks that the node does not have and that have no result.
    pub(crate) lost: Vec<Open>,
}

/// How many tasks of one node are looked after in one audit; the rest at the next.
const MOST: usize = 10_000;
/// How many results are fetched at once.
const ROUND: usize = 200;

/// Compares what the history thinks a node has with what the node says, and looks up the
/// results of what it does not have: an event that got lost leaves no task STARTED for
/// ever. A node that is gone has nothing.
///
/// Ends early when the node or the result backend does not answer; the next gap, change
/// or refresh starts another one.
pub(super) async fn run(asker: Asker, board: Arc<Board>, node: String, tell: Recipient<Audited>) {
    let Some(_one) = asker.audit().await else {
        return;
    };
    // Before the node is asked: what is taken in later is newer than its answer.
    let open = board.history.open_on(&node, MOST);
    let gone = |node: &String| {
        let known = board.nodes.get(node);
        known.is_none_or(|node| node.state.is_gone())
    };
    let held = if gone(&node) {
        Held::default()
    } else {
        match asker.holdings(&node).await {
            Some(held) => held,
            None => return,
        }
    };
    let Findings {
        absent,
        present,
        running,
    } = held.compare(open);
    tracing::debug!(
        node,
        present = present.len(),
        absent = absent.len(),
        "a node's tasks were audited"
    );
    let running = running.into_iter().filter(|reading| news(&board, reading));
    let first = Audited {
        running: running.collect(),
        present,
        ..Audited::default()
    };
    if tell.send(first).await.is_err() {
        return;
    }
    for round in absent.chunks(ROUND) {
        let ids: Vec<_> = round.iter().map(|open| open.id.to_string()).collect();
        let Some(documents) = asker.results(&ids).await else {
            return;
        };
        let mut audited = Audited::default();
        for (open, document) in round.iter().zip(documents) {
            match document.filter(|document| document.status.is_ready()) {
                Some(document) => audited.outcomes.push(document),
                None => audited.lost.push(open.clone()),
            }
        }
        if tell.send(audited).await.is_err() {
            return;
        }
    }
}

/// Tells whether the history gains by a reading: its own events say more of a call than
/// the node's list.
fn news(board: &Board, reading: &Reading) -> bool {
    match reading {
        Reading::Task {
            id,
            fact: Fact::Received(_),
            ..
        } => board
            .history
            .get(id)
            .is_none_or(|task| task.received_at().is_none()),
        _ => true,
    }
}
