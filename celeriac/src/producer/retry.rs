//! When a message is published again that could not be.

use std::time::Duration;

use celeriac_protocol::{Table, Value};

use super::options::Options;
use crate::error::Result;

/// How often a call is tried whose message does not reach the broker: Celery's option
/// `retry_policy`.
///
/// A try fails at once when the last attempt to connect has failed. Without a policy a call
/// waits for the broker. All of it ends with
/// [`AppBuilder::send_timeout`](crate::AppBuilder::send_timeout).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PublishRetry {
    /// How many tries there are after the first; `None` is until the time is up. Default 3.
    pub max_retries: Option<u32>,
    /// The wait before the first of them. Default none.
    pub interval_start: Duration,
    /// How much longer each next wait is. Default 0.2 s.
    pub interval_step: Duration,
    /// The longest wait. Default 0.2 s.
    pub interval_max: Duration,
}

impl Default for PublishRetry {
    fn default() -> Self {
        Self {
            max_retries: Some(3),
            interval_start: Duration::ZERO,
            interval_step: Duration::from_millis(200),
            interval_max: Duration::from_millis(200),
        }
    }
}

impl PublishRetry {
    /// Tries once; a broker that is away is an error at once.
    pub const fn never() -> Self {
        Self {
            max_retries: Some(0),
            interval_start: Duration::ZERO,
            interval_step: Duration::ZERO,
            interval_max: Duration::ZERO,
        }
    }

    /// Returns how long to wait before another try, after so many; `None` to give up.
    pub fn delay(&self, tried: u32) -> Option<Duration> {
        if self.max_retries.is_some_and(|most| tried >= most) {
            return None;
        }
        let longer = self.interval_step.checked_mul(tried);
        let delay = longer.and_then(|longer| self.interval_start.checked_add(longer));
        Some(delay.unwrap_or(Duration::MAX).min(self.interval_max))
    }

    /// Takes the policy out of the options of a call: `retry`, and `retry_policy` over
    /// `default` or Celery's.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Invalid`] for what is no policy.
    pub(crate) fn take(default: Option<Self>, options: &mut Table) -> Result<Option<Self>> {
        if options.get("retry").is_none() && options.get("retry_policy").is_none() {
            return Ok(default);
        }
        let mut all = Options(std::mem::take(options));
        let (wanted, policy) = (all.flag("retry"), all.table("retry_policy"));
        *options = all.0;
        let mut policy = Options(policy?);
        if wanted? == Some(false) {
            return Ok(Some(Self::never()));
        }
        if policy.0.is_empty() {
            return Ok(default);
        }
        let mut own = default.unwrap_or_default();
        // Null is for ever; what is absent leaves the default.
        if policy.0.get("max_retries").is_some_and(Value::is_null) {
            own.max_retries = None;
        }
        own.max_retries = policy.count("max_retries")?.or(own.max_retries);
        for (name, interval) in [
            ("interval_start", &mut own.interval_start),
            ("interval_step", &mut own.interval_step),
            ("interval_max", &mut own.interval_max),
        ] {
            if let Some(value) = policy.take(name) {
                *interval = Options::duration(name, &value)?;
            }
        }
        Ok(Some(own))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn table(entries: &[(&str, Value)]) -> Table {
        let mut table = Table::new();
        for (name, value) in entries {
            table.insert(*name, value.clone());
        }
        table
    }

    #[test]
    fn waits_grow_up_to_the_longest() {
        let policy = PublishRetry {
            max_retries: Some(4),
            interval_start: Duration::from_secs(1),
            interval_step: Duration::from_secs(2),
            interval_max: Duration::from_secs(4),
        };
        let waits: Vec<_> = (0..5)
            .map(|tried| policy.delay(tried).map(|wait| wait.as_secs()))
            .collect();
        assert_eq!(waits, [Some(1), Some(3), Some(4), Some(4), None]);
        assert_eq!(PublishRetry::never().delay(0), None);
    }

    #[test]
    fn a_call_changes_what_it_names() {
        let default = PublishRetry::default();
        let mut options = table(&[
            ("retry", true.into()),
            (
                "retry_policy",
                table(&[("max_retries", Value::Null), ("interval_max", 1.5.into())]).into(),
            ),
            ("queue", "q".into()),
        ]);
        let policy = PublishRetry::take(None, &mut options).unwrap().unwrap();
        assert_eq!(policy.max_retries, None);
        assert_eq!(policy.interval_max, Duration::from_millis(1500));
        assert_eq!(policy.interval_step, default.interval_step);
        assert_eq!(options, table(&[("queue", "q".into())]));
        let mut never = table(&[("retry", false.into())]);
        assert_eq!(
            PublishRetry::take(Some(default), &mut never).unwrap(),
            Some(PublishRetry::never())
        );
        assert_eq!(PublishRetry::take(None, &mut never).unwrap(), None);
        let mut bad = table(&[(
            "retry_policy",
            table(&[("interval_step", "x".into())]).into(),
        )]);
        assert_eq!(
            PublishRetry::take(None, &mut bad).unwrap_err().to_string(),
            "option interval_step: expected a number of seconds from 0, found a string"
        );
    }
}
