//! What a task does when nobody says otherwise.

use std::time::Duration;

use celeriac_protocol::Exception;

use super::TaskHooks;
use crate::error::Error;
use crate::retry::Backoff;

/// What a task does when the call does not say otherwise.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TaskOptions {
    /// The queue to send it to; `None` asks the routes, then the default queue.
    pub queue: Option<String>,
    /// 0 to 255; on RabbitMQ the higher goes first. `None` sends none.
    pub priority: Option<u8>,
    /// How often it is tried again; `None` is for ever. Default 3, as in Celery.
    pub max_retries: Option<u32>,
    /// The delay before a retry that names none. Default 180 s, as in Celery.
    pub retry_delay: Duration,
    /// The delays of retries that name none, in place of `retry_delay`; without
    /// `retry_for` every error of the task is retried by itself. Default off.
    pub backoff: Option<Backoff>,
    /// The errors that are retried by themselves: by the name of their class, with or
    /// without its module, such as `ConnectionError` or `requests.exceptions.Timeout`;
    /// `Exception` names all. Default none.
    pub retry_for: Vec<String>,
    /// The errors that are not retried by themselves, whatever `backoff` and `retry_for`
    /// say. Default none.
    pub dont_retry_for: Vec<String>,
    /// Whether it is an errback that takes a [`Failure`](super::Failure): called by the
    /// node on which a task fails, without a message. Default false.
    pub errback: bool,
    /// What is called beside its code. Default nothing.
    pub hooks: Option<TaskHooks>,
    /// The task is asked to stop after this. Default none.
    pub soft_time_limit: Option<Duration>,
    /// The task is stopped after this. Default none.
    pub time_limit: Option<Duration>,
    /// Whether the message is acknowledged after the run instead of before.
    /// Default true: a node that dies loses nothing.
    pub acks_late: bool,
    /// Whether a failed run is acknowledged (true, default) or rejected to the
    /// dead-letter exchange.
    pub acks_on_failure: bool,
    /// Whether the message of a run that failed for good is kept as a dead letter, where
    /// nodes keep such messages. Default true. What cannot be run at all is kept all the
    /// same.
    pub dead_letter: bool,
    /// Whether a run whose process died (see `isolated`) is given back to the broker,
    /// once; a message that was delivered before fails. Only with `acks_late`. Default
    /// false: such a run has failed.
    pub reject_on_worker_lost: bool,
    /// Whether it runs in a process of its own, which a time limit or a terminating
    /// revoke really ends, and whose end, whatever its cause, is that of one run.
    /// Default false.
    pub isolated: bool,
    /// At most so many runs per time on one node. Default none.
    pub rate_limit: Option<RateLimit>,
    /// Whether results are unwanted. Default false.
    pub ignore_result: bool,
    /// Whether failures are stored although results are ignored. Default false.
    pub store_errors_even_if_ignored: bool,
    /// Calls expire after this. Default never.
    pub expires: Option<Duration>,
    /// Whether the state STARTED is stored. Default false.
    pub track_started: bool,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self {
            queue: None,
            priority: None,
            max_retries: Some(3),
            retry_delay: Duration::from_secs(180),
            backoff: None,
            retry_for: Vec::new(),
            dont_retry_for: Vec::new(),
            errback: false,
            hooks: None,
            soft_time_limit: None,
            time_limit: None,
            acks_late: true,
            acks_on_failure: true,
            dead_letter: true,
            reject_on_worker_lost: false,
            isolated: false,
            rate_limit: None,
            ignore_result: false,
            store_errors_even_if_ignored: false,
            expires: None,
            track_started: false,
        }
    }
}

impl TaskOptions {
    /// Tells whether the task is retried by itself after this error, while tries are left.
    pub fn retries(&self, exception: &Exception) -> bool {
        let named = |names: &[String]| names.iter().any(|name| is_named(exception, name));
        let wanted = match self.retry_for.is_empty() {
            true => self.backoff.is_some(),
            false => named(&self.retry_for),
        };
        wanted && !named(&self.dont_retry_for)
    }
}

fn is_named(exception: &Exception, name: &str) -> bool {
    let (module, class) = match name.rsplit_once('.') {
        Some((module, class)) => (Some(module), class),
        None => (None, name),
    };
    match module {
        None => class == "Exception" || class == exception.exc_type,
        Some(_) => class == exception.exc_type && module == exception.exc_module.as_deref(),
    }
}

/// At most `count` runs per `period`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// How many; half a run per minute is one in two.
    pub count: f64,
    /// In what time.
    pub period: Duration,
}

/// From one in some twelve days to more than any node starts.
const RATES: std::ops::RangeInclusive<f64> = 1e-6..=4e9;

impl RateLimit {
    /// Returns the time from one run to the next.
    pub fn step(&self) -> Duration {
        let seconds = self.period.as_secs_f64() / self.count;
        // No run at all is one after the longest time there is.
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// Reads Celery's form: `10` or `10/s`, `100/m`, `1000/h`, `0.5/m`.
impl std::str::FromStr for RateLimit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
        let period = match unit.trim() {
            "" | "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3600),
            _ => None,
        };
        match (count.trim().parse(), period) {
            (Ok(count), Some(seconds)) if RATES.contains(&count) => Ok(Self {
                count,
                period: Duration::from_secs(seconds),
            }),
            _ => Err(Error::invalid(
                "rate limit",
                "a number with /s, /m or /h, such as 100/m",
                text,
            )),
        }
    }
}

/// Writes the form that [`std::str::FromStr`] reads.
impl std::fmt::Display for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { count, period } = self;
        match (period.as_secs(), period.subsec_nanos()) {
            (1, 0) => write!(f, "{count}/s"),
            (60, 0) => write!(f, "{count}/m"),
            (3600, 0) => write!(f, "{count}/h"),
            _ => write!(f, "{}/h", count * 3600.0 / period.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_retried_by_name() {
        let error = Exception::new("app.net", "Timeout", []);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for (wanted, unwanted, retried) in [
            (&["Timeout"][..], &[][..], true),
            (&["app.net.Timeout"], &[], true),
            (&["other.Timeout"], &[], false),
            (&["OSError", "Exception"], &[], true),
            (&["Exception"], &["Timeout"], false),
            (&["OSError"], &[], false),
            (&[], &[], false),
        ] {
            let options = TaskOptions {
                retry_for: names(wanted),
                dont_retry_for: names(unwanted),
                ..TaskOptions::default()
            };
            assert_eq!(options.retries(&error), retried, "{wanted:?} {unwanted:?}");
        }
    }

    #[test]
    fn rate_limits_read_as_they_write() {
        for text in ["10/s", "100/m", "1000/h", "0.5/m", "1.5/h", "0.3/s"] {
            assert_eq!(text.parse::<RateLimit>().unwrap().to_string(), text);
        }
        for text in ["5", "5/"] {
            assert_eq!(text.parse::<RateLimit>().unwrap().to_string(), "5/s");
        }
        let (count, period) = (1.0, Duration::from_secs(7200));
        assert_eq!(RateLimit { count, period }.to_string(), "0.5/h");
    }

    #[test]
    fn runs_come_evenly() {
        let step = |text: &str| text.parse::<RateLimit>().unwrap().step();
        assert_eq!(step("10/s"), Duration::from_millis(100));
        assert_eq!(step("0.5/m"), Duration::from_secs(120));
        let (count, period) = (0.0, Duration::from_secs(1));
        assert_eq!(RateLimit { count, period }.step(), Duration::MAX);
    }

    #[test]
    fn a_bad_rate_limit_says_what_it_wants() {
        for text in ["", "0/s", "x/s", "5/d", "-1/s", "nan", "inf/s"] {
            let error = text.parse::<RateLimit>().unwrap_err().to_string();
            assert!(
                error.starts_with("rate limit: expected a number"),
                "{error}"
            );
        }
    }
}
