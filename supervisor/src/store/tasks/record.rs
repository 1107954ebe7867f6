//! A task as a row.

use celeriac_protocol::State;

use crate::cluster::{Said, StepKind, Task};
use crate::store::error::StoreError;
use crate::store::row::Row;

/// A task as the store keeps it. Times are microseconds since the epoch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TaskRecord {
    pub(crate) id: String,
    /// When the task became known here: the order of lists.
    pub(crate) known: i64,
    pub(crate) name: Option<String>,
    pub(crate) state: State,
    /// When the event happened that decided the state.
    pub(crate) changed: i64,
    pub(crate) root: Option<String>,
    pub(crate) parent: Option<String>,
    pub(crate) retries: u64,
    pub(crate) eta: Option<String>,
    pub(crate) expires: Option<String>,
    pub(crate) queue: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) worker: Option<String>,
    pub(crate) sent: Option<i64>,
    pub(crate) received: Option<i64>,
    pub(crate) started: Option<i64>,
    /// Seconds.
    pub(crate) runtime: Option<f64>,
    pub(crate) exception: Option<String>,
    pub(crate) args: Option<String>,
    pub(crate) kwargs: Option<String>,
    pub(crate) result: Option<String>,
    /// Only of a single task: lists leave it out.
    pub(crate) traceback: Option<String>,
    /// Only of a single task, and only when it ran more than once.
    pub(crate) steps: Vec<Step>,
    /// What decides between this and what the store knows.
    pub(super) words: Words,
}

/// When each part was said, in bytes that compare as the words do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Words {
    pub(super) weight: Vec<u8>,
    pub(super) call: Option<Vec<u8>>,
    pub(super) route: Option<Vec<u8>>,
    pub(super) worker: Option<Vec<u8>>,
}

/// One step in the life of a task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) at: i64,
    pub(crate) kind: StepKind,
    pub(crate) worker: Option<String>,
    /// Why it failed or is tried again.
    pub(crate) error: Option<String>,
}

/// The columns of a record, without its traceback.
pub(super) const COLUMNS: &str = "id, known, name, state, changed, root, parent, retries, eta, \
     expires, queue, client, worker, sent, received, started, runtime, exception, args, kwargs, \
     result";
/// The place of the traceback behind them.
pub(super) const TRACEBACK: usize = 21;

impl TaskRecord {
    /// Makes the record of a task that became known at `known`.
    pub(crate) fn of_task(task: &Task, known: i64) -> Self {
        let text = |text: &std::sync::Arc<str>| text.to_string();
        let call = task.call().cloned().unwrap_or_default();
        let route = task.route();
        let standing = task.standing();
        let (weight, changed) = task.weight().map_or((Vec::new(), 0.0), |weight| {
            (weight.key().to_vec(), weight.at())
        });
        let key = |said: Said| said.key().to_vec();
        let call_key = task.call_said().map(|(heard, said)| {
            // What a worker got counts more than what a client sent.
            let mut word = vec![u8::from(heard)];
            word.extend(said.key());
            word
        });
        Self {
            id: task.id.to_string(),
            known,
            name: call.name.as_ref().map(text),
            state: task.state().clone(),
            changed: micros(changed),
            root: call.root,
            parent: call.parent,
            retries: call.retries,
            eta: call.eta,
            expires: call.expires,
            queue: route.and_then(|route| route.queue.as_ref().map(text)),
            client: route.map(|route| text(&route.client)),
            worker: task.worker().map(text),
            sent: task.sent_at().map(micros),
            received: task.received_at().map(micros),
            started: task.started_at().map(micros),
            runtime: standing.and_then(|standing| standing.runtime),
            exception: standing.and_then(|standing| standing.exception.clone()),
            args: call.args,
            kwargs: call.kwargs,
            result: standing.and_then(|standing| standing.result.clone()),
            traceback: standing.and_then(|standing| standing.traceback.clone()),
            steps: task.steps().iter().map(Step::of).collect(),
            words: Words {
                weight,
                call: call_key,
                route: task.route_said().map(key),
                worker: task.worker_said().map(key),
            },
        }
    }

    pub(super) fn of_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text(0)?,
            known: row.integer(1)?,
            name: Some(row.text(2)?).filter(|name| !name.is_empty()),
            state: State::from(row.text(3)?.as_str()),
            changed: row.integer(4)?,
            root: row.maybe_text(5)?,
            parent: row.maybe_text(6)?,
            retries: u64::try_from(row.integer(7)?).unwrap_or_default(),
            eta: row.maybe_text(8)?,
            expires: row.maybe_text(9)?,
            queue: row.maybe_text(10)?,
            client: row.maybe_text(11)?,
            worker: row.maybe_text(12)?,
            sent: row.maybe_integer(13)?,
            received: row.maybe_integer(14)?,
            started: row.maybe_integer(15)?,
            runtime: row.maybe_real(16)?,
            exception: row.maybe_text(17)?,
            args: row.maybe_text(18)?,
            kwargs: row.maybe_text(19)?,
            result: row.maybe_text(20)?,
            traceback: None,
            steps: Vec::new(),
            words: Words::default(),
        })
    }

    /// Returns when the task became ready.
    pub(crate) fn finished(&self) -> Option<i64> {
        self.state.is_ready().then_some(self.changed)
    }

    /// Whether the steps say more than the times of the task itself.
    pub(super) fn ran_again(&self) -> bool {
        let repeated = |kind| self.steps.iter().filter(|step| step.kind == kind).count() > 1;
        // Its first run may be older than this process.
        self.retries > 0
            || self.steps.iter().any(|step| step.kind == StepKind::Retried)
            || repeated(StepKind::Received)
            || repeated(StepKind::Started)
    }

    /// Returns what happened, oldest first: the stored steps, or for a task that ran once
    /// what its times tell.
    pub(crate) fn timeline(&self) -> Vec<Step> {
        let step = |kind, at: Option<i64>| {
            at.map(|at| Step {
                at,
                kind,
                worker: self.worker.clone().filter(|_| kind != StepKind::Sent),
                error: None,
            })
        };
        let sent = step(StepKind::Sent, self.sent);
        let mut steps: Vec<Step> = if self.steps.is_empty() {
            let mut end = step(StepKind::of_state(&self.state), Some(self.changed));
            if let Some(end) = &mut end {
                end.error.clone_from(&self.exception);
            }
            let end = end.filter(|end| end.kind.ends());
            [
                step(StepKind::Received, self.received),
                step(StepKind::Started, self.started),
                end,
            ]
            .into_iter()
            .flatten()
            .collect()
        } else {
            self.steps.clone()
        };
        steps.extend(sent);
        steps.sort_by_key(|step| (step.at, step.kind));
        steps
    }
}

impl Step {
    fn of(step: &crate::cluster::Step) -> Self {
        Self {
            at: micros(step.at),
            kind: step.kind,
            worker: Some(step.worker.to_string()).filter(|worker| !worker.is_empty()),
            error: step.error.as_deref().map(str::to_owned),
        }
    }

    pub(super) fn of_row(row: &Row) -> Result<Self, StoreError> {
        let kind = row.text(1)?;
        Ok(Self {
            at: row.integer(0)?,
            kind: StepKind::named(&kind)
                .ok_or_else(|| StoreError::Refused(format!("no step is called '{kind}'")))?,
            worker: row.maybe_text(2)?,
            error: row.maybe_text(3)?,
        })
    }
}

/// Microseconds since the epoch, which is as exact as events are.
pub(crate) fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}
