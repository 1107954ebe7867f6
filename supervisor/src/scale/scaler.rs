//! KEDA's external scaler: answers what ScaledObjects ask.

use std::sync::Arc;

use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tonic::{Code, Status};

use super::metadata::{Metric, Trigger, Wrong};
use super::reader::Told;
use super::wire::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec,
    MetricValue, ScaledObjectRef, Streamed,
};
use super::{Scale, Unsure, Watch};
use crate::board::Board;

/// KEDA's external scaler; cloning shares it.
#[derive(Clone)]
pub(super) struct Scaler {
    scale: Scale,
    board: Arc<Board>,
    streams: Arc<Semaphore>,
    /// Turns true when the server stops.
    closing: watch::Receiver<bool>,
}

/// What a stream goes on with.
struct Following {
    scaler: Scaler,
    trigger: Trigger,
    rounds: watch::Receiver<u64>,
    /// What was said last.
    said: Option<bool>,
    _watch: Watch,
    _open: Open,
}

/// Counts an open stream.
struct Open {
    board: Arc<Board>,
    _place: OwnedSemaphorePermit,
}

/// How many streams are served at once: one for each ScaledObject with a push trigger.
const STREAMS: usize = 128;

impl Scaler {
    pub(super) fn new(scale: Scale, board: Arc<Board>, closing: watch::Receiver<bool>) -> Self {
        Self {
            scale,
            board,
            streams: Arc::new(Semaphore::new(STREAMS)),
            closing,
        }
    }

    /// Says whether there is work.
    pub(super) async fn is_active(
        &self,
        asked: ScaledObjectRef,
    ) -> Result<IsActiveResponse, Status> {
        let answer = async {
            let trigger = Trigger::read(&asked.scaler_metadata)?;
            let told = self.scale.ask(&trigger.queues).await?;
            let result = told.figures.is_active(trigger.activation);
            Ok(IsActiveResponse { result })
        };
        self.count("IsActive", answer.await)
    }

    /// Says what the metric is called, and what it shall be.
    pub(super) async fn metric_spec(
        &self,
        asked: ScaledObjectRef,
    ) -> Result<GetMetricSpecResponse, Status> {
        let answer = async {
            let trigger = Trigger::read(&asked.scaler_metadata)?;
            let target = match trigger.target {
                Some(target) => target,
                None => {
                    let told = self.scale.ask(&trigger.queues).await?;
                    let slots = told.figures.slots_per_node();
                    slots.ok_or_else(Wrong::no_target)? as f64
                }
            };
            let spec = MetricSpec {
                metric_name: trigger.metric.name().to_owned(),
                target_size: trigger.metric.whole(target).max(1),
                target_size_float: target,
            };
            Ok(GetMetricSpecResponse {
                metric_specs: vec![spec],
            })
        };
        self.count("GetMetricSpec", answer.await)
    }

    /// Says what the metric is.
    pub(super) async fn metrics(
        &self,
        asked: GetMetricsRequest,
    ) -> Result<GetMetricsResponse, Status> {
        let answer = async {
            let object = asked.scaled_object_ref.unwrap_or_default();
            let trigger = Trigger::read(&object.scaler_metadata)?;
            let name = trigger.metric.name();
            // The name is from before somebody changed the metadata: it has another target.
            if !asked.metric_name.is_empty() && asked.metric_name != name {
                let found = asked.metric_name.escape_debug().to_string();
                return Err(Fault::Metadata(Wrong::new("metricName", name, found)));
            }
            let told = self.scale.ask(&trigger.queues).await?;
            let value = value(&trigger, &told)?;
            Ok(GetMetricsResponse {
                metric_values: vec![MetricValue {
                    metric_name: name.to_owned(),
                    metric_value: trigger.metric.whole(value),
                    metric_value_float: value,
                }],
            })
        };
        self.count("GetMetrics", answer.await)
    }

    /// Says now, and whenever it changes, whether there is work. While the figures are not
    /// known nothing is said, and what was said holds.
    pub(super) fn stream_is_active(&self, asked: &ScaledObjectRef) -> Result<Streamed, Status> {
        let stream = self.follow(asked).map(|following| {
            let stream = stream::unfold(following, Following::next);
            Box::pin(stream) as Streamed
        });
        self.count("StreamIsActive", stream)
    }

    fn follow(&self, asked: &ScaledObjectRef) -> Result<Following, Fault> {
        let trigger = Trigger::read(&asked.scaler_metadata)?;
        let place = Arc::clone(&self.streams).try_acquire_owned();
        let place = place.map_err(|_| Fault::Streams)?;
        let rounds = self.board.demand.rounds();
        let watch = self.scale.watch(&trigger.queues)?;
        self.board.metrics.scaler_streams.inc();
        Ok(Following {
            scaler: self.clone(),
            trigger,
            rounds,
            said: None,
            _watch: watch,
            _open: Open {
                board: Arc::clone(&self.board),
                _place: place,
            },
        })
    }

    fn count<T>(&self, method: &'static str, answer: Result<T, Fault>) -> Result<T, Status> {
        let answer = answer.map_err(Status::from);
        let code = answer
            .as_ref()
            .err()
            .map_or("OK", |status| match status.code() {
                Code::InvalidArgument => "INVALID_ARGUMENT",
                Code::FailedPrecondition => "FAILED_PRECONDITION",
                Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
                _ => "UNAVAILABLE",
            });
        self.board.metrics.scaler_call(method, code);
        answer
    }
}

/// Returns what a trigger's metric is.
fn value(trigger: &Trigger, told: &Told) -> Result<f64, Fault> {
    let figures = &told.figures;
    let tasks = figures.tasks() as f64;
    match trigger.metric {
        Metric::Tasks => Ok(tasks),
        // Without places there is no load: with work the fleet stays as it is, until its
        // first nodes are there.
        Metric::Load => {
            let most = trigger.target.unwrap_or(1.0);
            Ok(figures.load().unwrap_or_else(|| tasks.min(most)))
        }
        Metric::OldestAge => figures
            .oldest
            .map(|age| age.as_secs_f64())
            .ok_or(Fault::Age),
    }
}

impl Following {
    /// Waits for the next word of a stream; `None` when the server stops.
    async fn next(mut self) -> Option<(Result<IsActiveResponse, Status>, Self)> {
        loop {
            if *self.scaler.closing.borrow() {
                return None;
            }
            if let Ok(told) = self.scaler.scale.look(&self.trigger.queues) {
                let result = told.figures.is_active(self.trigger.activation);
                if self.said.replace(result) != Some(result) {
                    return Some((Ok(IsActiveResponse { result }), self));
                }
            }
            // Whoever stops the server may be gone.
            let stopped = self.scaler.closing.wait_for(|closing| *closing);
            tokio::select! {
                _ = stopped => return None,
                round = self.rounds.changed() => round.ok()?,
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.board.metrics.scaler_streams.dec();
    }
}

/// Why there is no answer.
enum Fault {
    Metadata(Wrong),
    Unsure(Unsure),
    Streams,
    Age,
}

impl From<Wrong> for Fault {
    fn from(wrong: Wrong) -> Self {
        Self::Metadata(wrong)
    }
}

impl From<Unsure> for Fault {
    fn from(unsure: Unsure) -> Self {
        Self::Unsure(unsure)
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Metadata(wrong) => Self::invalid_argument(wrong.to_string()),
            Fault::Unsure(unsure @ Unsure::Full) => Self::resource_exhausted(unsure.to_string()),
            Fault::Unsure(unsure) => {
                Self::unavailable(format!("the figures are not known: {unsure}"))
            }
            Fault::Streams => Self::resource_exhausted(format!(
                "expected at most {STREAMS} open streams, found one more"
            )),
            Fault::Age => Self::failed_precondition(
                "expected to know how long the oldest message waits, found nobody who tells: set \
                 management_url and let messages have timestamps, or let clients send task-sent \
                 events",
            ),
        }
    }
}

impl std::fmt::Debug for Scaler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scaler").finish_non_exhaustive()
    }
}
