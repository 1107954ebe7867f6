//! What a task's end means: a pure function.

use std::time::{Duration, SystemTime};

use celeriac::protocol::{Exception, Table, TaskHeaders};
use celeriac::task::{Retry, TaskError, TaskOptions, TaskResult};

use super::outcome::{Again, Outcome};

/// Decides what the end of a task's code means. `random` in 0..1 picks the point in
/// the jitter of a backoff.
pub(crate) fn decide(
    end: TaskResult,
    headers: &TaskHeaders,
    options: &TaskOptions,
    now: SystemTime,
    random: f64,
) -> Outcome {
    let allowed = |max: Option<u32>| max.is_none_or(|max| headers.retries < max);
    match end {
        Ok(value) => Outcome::Success(value),
        Err(TaskError::Failure {
            exception,
            causes,
            retryable,
        }) if retryable && options.retries(&exception) && allowed(options.max_retries) => {
            Outcome::Retry(Again {
                at: later(now, delay(headers, options, random)),
                exception: Some(exception),
                causes,
                args: None,
                kwargs: None,
                options: Table::new(),
            })
        }
        Err(TaskError::Failure {
            exception, causes, ..
        }) => Outcome::Failure { exception, causes },
        Err(TaskError::Retry(retry)) => {
            if allowed(retry.max_retries.or(options.max_retries)) {
                Outcome::Retry(again(*retry, headers, options, now, random))
            } else {
                let exception = retry.exception.unwrap_or_else(|| exhausted(headers));
                Outcome::Failure {
                    exception,
                    causes: Vec::new(),
                }
            }
        }
        Err(TaskError::Replace(with)) => Outcome::Replace(with),
        Err(TaskError::Reject { reason, requeue }) => Outcome::Reject { reason, requeue },
        Err(TaskError::Ignore) => Outcome::Ignore,
        // The enum may grow; what this node does not know is told as what it says.
        Err(other) => Outcome::Failure {
            exception: Exception::python("RuntimeError", other.to_string()),
            causes: Vec::new(),
        },
    }
}

fn again(
    retry: Retry,
    headers: &TaskHeaders,
    options: &TaskOptions,
    now: SystemTime,
    random: f64,
) -> Again {
    let delay = || delay(headers, options, random);
    let at = retry
        .eta
        .unwrap_or_else(|| later(now, retry.countdown.unwrap_or_else(delay)));
    Again {
        at,
        exception: retry.exception,
        causes: Vec::new(),
        args: retry.args,
        kwargs: retry.kwargs,
        options: retry.options,
    }
}

fn delay(headers: &TaskHeaders, options: &TaskOptions, random: f64) -> Duration {
    match options.backoff {
        Some(backoff) => backoff.delay(headers.retries, random),
        None => options.retry_delay,
    }
}

/// A delay beyond what the clock can say is as good as none.
fn later(now: SystemTime, delay: Duration) -> SystemTime {
    now.checked_add(delay).unwrap_or(now)
}

fn exhausted(headers: &TaskHeaders) -> Exception {
    let args = headers.argsrepr.as_deref().unwrap_or("()");
    let kwargs = headers.kwargsrepr.as_deref().unwrap_or("{}");
    Exception::max_retries_exceeded(&headers.task, &headers.id, args, kwargs)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use celeriac::protocol::Value;
    use celeriac::retry::Backoff;

    use super::*;

    const NOW: SystemTime = UNIX_EPOCH;

    fn after(seconds: u64) -> SystemTime {
        NOW + Duration::from_secs(seconds)
    }

    fn tried(retries: u32) -> TaskHeaders {
        TaskHeaders {
            task: "t".into(),
            id: "i".into(),
            retries,
            ..TaskHeaders::default()
        }
    }

    fn options(change: impl FnOnce(&mut TaskOptions)) -> TaskOptions {
        let mut options = TaskOptions::default();
        change(&mut options);
        options
    }

    fn run(end: TaskResult, retries: u32, options: &TaskOptions) -> Outcome {
        decide(end, &tried(retries), options, NOW, 0.5)
    }

    fn at(outcome: Outcome) -> Option<SystemTime> {
        match outcome {
            Outcome::Retry(again) => Some(again.at),
            _ => None,
        }
    }

    #[test]
    fn values_and_refusals_are_what_they_are() {
        let plain = TaskOptions::default();
        assert_eq!(
            run(Ok(Value::Int(5)), 0, &plain),
            Outcome::Success(Value::Int(5))
        );
        assert_eq!(run(Err(TaskError::Ignore), 0, &plain), Outcome::Ignore);
        let reject = Outcome::Reject {
            reason: "no".into(),
            requeue: true,
        };
        assert_eq!(run(Err(TaskError::requeue("no")), 0, &plain), reject);
    }

    #[test]
    fn a_failure_is_retried_only_when_the_task_wants_it() {
        let error = || Err(TaskError::python("OSError", "gone"));
        let backoff = options(|options| {
            options.backoff = Some(Backoff::new(Duration::from_secs(2)).exact());
        });
        assert_eq!(at(run(error(), 0, &TaskOptions::default())), None);
        assert_eq!(at(run(error(), 0, &backoff)), Some(after(2)));
        assert_eq!(at(run(error(), 2, &backoff)), Some(after(8)));
        let Outcome::Failure { exception, .. } = run(error(), 3, &backoff) else {
            panic!()
        };
        assert_eq!(exception.exc_type, "OSError");
        let named = options(|options| options.retry_for = vec!["OSError".to_owned()]);
        assert_eq!(at(run(error(), 0, &named)), Some(after(180)));
        let other = Err(TaskError::python("ValueError", "no"));
        assert_eq!(at(run(other, 0, &named)), None);
        let permanent = Err(TaskError::python("OSError", "gone").permanent());
        assert_eq!(at(run(permanent, 0, &backoff)), None);
    }

    #[test]
    fn a_wish_to_run_again_picks_its_time() {
        let plain = TaskOptions::default();
        let ask = |retry: Retry| Err(TaskError::from(retry));
        let seconds = Duration::from_secs;
        for (retry, time) in [
            (Retry::default(), after(180)),
            (Retry::default().after(seconds(5)), after(5)),
            (Retry::default().after(seconds(5)).at(after(9)), after(9)),
        ] {
            assert_eq!(at(run(ask(retry), 0, &plain)), Some(time));
        }
        let backoff = options(|options| options.backoff = Some(Backoff::new(seconds(8))));
        assert_eq!(at(run(ask(Retry::default()), 0, &backoff)), Some(after(4)));
    }

    #[test]
    fn no_try_left_raises_what_went_wrong() {
        let plain = TaskOptions::default();
        let because = Retry::default().because(TaskError::python("OSError", "gone"));
        let failure = |outcome| match outcome {
            Outcome::Failure { exception, .. } => exception.repr(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            failure(run(Err(because.into()), 3, &plain)),
            "OSError('gone')"
        );
        let without = failure(run(Err(TaskError::retry()), 3, &plain));
        assert!(
            without.starts_with("MaxRetriesExceededError(\"Can't retry t[i]"),
            "{without}"
        );
        assert!(at(run(Err(Retry::default().up_to(4).into()), 3, &plain)).is_some());
        let for_ever = options(|options| options.max_retries = None);
        assert!(at(run(Err(TaskError::retry()), 1_000_000, &for_ever)).is_some());
    }
}
