//! The Backend actor: writes the task history, waits for results.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix::prelude::*;
use celeriac::health::Pulse;
use celeriac::{App, AsyncResult};
use celeriac_protocol::{Exception, ResultDocument, State, Value};

use super::node_proxy::Audited;
use crate::access::Redaction;
use crate::board::Board;
use crate::cluster::{Call, Fact, Moved, Reading, Route, Said, cut};
use crate::feed::Change;
use crate::guardian::Ward;

/// Aggregates what is known of tasks: from events, and from the results of tasks that
/// were sent from here.
///
/// The one writer of the history. Readers look into it without asking.
pub(crate) struct Backend {
    app: App,
    board: Arc<Board>,
    redaction: Redaction,
    pulse: Pulse,
    /// How many results are being waited for.
    awaited: usize,
    _ward: Ward,
}

/// Task events, in the order of their intake.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct TaskEvents(pub(crate) Vec<Reading>);

/// A task was sent from here.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Launched {
    pub(crate) id: String,
    pub(crate) at: SystemTime,
    pub(crate) call: Call,
    pub(crate) queue: Option<Arc<str>>,
}

/// Nobody waits for the result of a task that was sent from here: the Backend is to,
/// for a while.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Awaited(pub(crate) AsyncResult<Value>);

/// The result of a task came in.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Finished(pub(crate) ResultDocument);

/// How many results are waited for at once; tasks beyond are known by events alone.
const AWAITED: usize = 10_000;
/// For how long a result is waited for.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// Results are shown as texts, cut to this many bytes.
const TEXT: usize = 4 * 1024;

impl Backend {
    pub(crate) fn new(app: App, board: Arc<Board>, redaction: Redaction, ward: Ward) -> Self {
        let pulse = board.progress.keep("backend");
        Self {
            app,
            board,
            redaction,
            pulse,
            awaited: 0,
            _ward: ward,
        }
    }

    /// Hides what nobody is to see, before it is kept anywhere.
    fn hide(&self, id: &str, mut fact: Fact) -> Fact {
        // A look-up for each event is not for nothing.
        let known = if self.redaction.names_results() {
            self.board.history.get(id)
        } else {
            None
        };
        let name = known
            .as_ref()
            .and_then(|task| task.name())
            .map(|name| &**name);
        self.redaction.fact(name, &mut fact);
        fact
    }

    fn merge(&self, id: &Arc<str>, said: Said, sender: &Arc<str>, fact: Fact) {
        let fact = self.hide(id, fact);
        let mut evicted = None;
        let moved = self
            .board
            .history
            .merge(id, said, sender, fact, &mut evicted);
        let now = celeriac::clock::now();
        self.board.recorder.note(id, moved.as_ref(), evicted, now);
        let Some(moved) = moved else {
            return;
        };
        self.board.metrics.moved(&moved);
        let Moved {
            name,
            state,
            figures,
        } = moved;
        self.board.rates.note(state.as_ref(), figures, now);
        // What listeners show is the state.
        let Some(state) = state else {
            return;
        };
        self.board.feed.publish(Change::Task {
            id: Arc::clone(id),
            name,
            state: state.to_string(),
        });
    }

    fn finished(&self, document: &ResultDocument) {
        let Some(fact) = outcome(document) else {
            return;
        };
        let at = document
            .date_done
            .map_or_else(celeriac::clock::now, SystemTime::from);
        let said = Said {
            at: seconds(at),
            clock: 0,
        };
        // Without a sender: the events say more, whichever comes first.
        self.merge(&document.task_id.as_str().into(), said, &"".into(), fact);
    }
}

impl Actor for Backend {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(super::MAILBOX);
        ctx.run_interval(Duration::from_secs(1), |backend, _| backend.pulse.beat());
    }
}

impl Handler<TaskEvents> for Backend {
    type Result = ();

    fn handle(&mut self, TaskEvents(readings): TaskEvents, _: &mut Context<Self>) {
        for reading in readings {
            if let Reading::Task {
                id,
                said,
                sender,
                fact,
                ..
            } = reading
            {
                self.merge(&id, said, &sender, fact);
            }
        }
        self.pulse.beat();
    }
}

impl Handler<Launched> for Backend {
    type Result = ();

    fn handle(&mut self, launched: Launched, _: &mut Context<Self>) {
        let client: Arc<str> = self.app.name().into();
        let route = Route {
            queue: launched.queue,
            client: Arc::clone(&client),
        };
        let said = Said {
            at: seconds(launched.at),
            clock: self.app.clock().value(),
        };
        let fact = Fact::Sent(launched.call, route);
        self.merge(&launched.id.into(), said, &client, fact);
    }
}

impl Handler<Awaited> for Backend {
    type Result = ();

    fn handle(&mut self, Awaited(result): Awaited, ctx: &mut Context<Self>) {
        if self.awaited >= AWAITED || !self.app.backend().capabilities().stores {
            return;
        }
        self.awaited += 1;
        let wait = async move { result.ready(PATIENCE).await };
        ctx.spawn(wait.into_actor(self).map(|outcome, backend, _| {
            backend.awaited -= 1;
            match outcome {
                Ok(document) => backend.finished(&document),
                Err(error) => tracing::debug!(%error, "gave up waiting for a result"),
            }
        }));
    }
}

impl Handler<Audited> for Backend {
    type Result = ();

    fn handle(&mut self, audited: Audited, ctx: &mut Context<Self>) {
        let history = &self.board.history;
        audited.present.iter().for_each(|id| history.find(id));
        for document in &audited.outcomes {
            self.board.metrics.tasks_corrected.inc();
            self.finished(document);
        }
        audited.lost.iter().for_each(|open| history.lose(open));
        self.handle(TaskEvents(audited.running), ctx);
    }
}

impl Handler<Finished> for Backend {
    type Result = ();

    fn handle(&mut self, Finished(document): Finished, _: &mut Context<Self>) {
        self.finished(&document);
    }
}

/// Returns what a result says of its task; `None` when it is no outcome.
fn outcome(document: &ResultDocument) -> Option<Fact> {
    match document.status {
        State::Success => {
            let result = serde_json::to_string(&document.result).ok();
            Some(Fact::Succeeded {
                result: result.map(|text| cut(&text, TEXT)),
                runtime: None,
            })
        }
        State::Failure => {
            let exception = Exception::from_value(&document.result).unwrap_or_default();
            Some(Fact::Failed {
                exception: Some(cut(&exception.to_string(), TEXT)),
                traceback: document
                    .traceback
                    .as_deref()
                    .map(|text| cut(text, 4 * TEXT)),
            })
        }
        State::Revoked => {
            let exception = Exception::from_value(&document.result).unwrap_or_default();
            let reason = exception.exc_message.first().and_then(Value::as_str);
            let known = ["expired", "terminated"].into_iter();
            let reason = known.into_iter().find(|known| reason == Some(known));
            Some(Fact::Revoked {
                reason: reason.unwrap_or("revoked"),
            })
        }
        _ => None,
    }
}

/// Seconds since the epoch.
pub(super) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
