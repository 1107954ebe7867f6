//! One step in the life of a task, as the API shows it.

use celeriac_protocol::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::moment;
use crate::store::Step;

/// One step in the life of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Step)]
pub(in crate::http) struct StepView {
    /// sent, received, started, retried, rejected, succeeded, failed or revoked.
    pub(in crate::http) what: &'static str,
    pub(in crate::http) at: String,
    pub(in crate::http) worker: Option<String>,
    /// Why it failed or is tried again.
    pub(in crate::http) error: Option<String>,
}

impl StepView {
    pub(in crate::http) fn of(step: Step) -> Self {
        Self {
            what: step.kind.as_str(),
            at: moment::of(Timestamp::from_micros(step.at)),
            worker: step.worker,
            error: step.error,
        }
    }
}
