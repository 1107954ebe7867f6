//! Time limits of a call.

use celeriac_protocol::headers::TimeLimits;

use super::options::Options;
use crate::error::{Error, Result};
use crate::task::TaskOptions;

/// Takes the call's limits out of its options; where it names none, those of its task go with
/// it, as from Celery: a worker that keeps limits of its own for the task has to obey these.
///
/// # Errors
///
/// [`Error::Invalid`] when the task would be stopped before it is asked to stop.
pub(super) fn of(options: &mut Options, task: Option<&TaskOptions>) -> Result<TimeLimits> {
    let of_task = |limit: fn(&TaskOptions) -> Option<std::time::Duration>| {
        task.and_then(limit).map(|limit| limit.as_secs_f64())
    };
    let hard = options.seconds("time_limit")?;
    let soft = options.seconds("soft_time_limit")?;
    let hard = hard.or_else(|| of_task(|task| task.time_limit));
    let soft = soft.or_else(|| of_task(|task| task.soft_time_limit));
    match (soft, hard) {
        (Some(soft), Some(hard)) if soft > hard => Err(Error::invalid(
            "time limits",
            "a soft limit that is at most the hard one",
            format!("{soft} s and {hard} s"),
        )),
        _ => Ok(TimeLimits { hard, soft }),
    }
}
