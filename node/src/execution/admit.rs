//! Whether a message may run now: a pure function.

use std::time::{Duration, SystemTime};

use celeriac::protocol::TaskHeaders;

/// What the node knows that matters for a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    /// A task of that name is registered here.
    pub(crate) registered: bool,
    /// Its id or a stamp of it was called off.
    pub(crate) revoked: bool,
    /// When a rate limit lets it start; `None` is now.
    pub(crate) limited: Option<SystemTime>,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It runs as soon as there is a place.
    Run,
    /// No task of that name is here.
    Unknown,
    /// It came too late.
    Expired,
    /// It was called off.
    Revoked,
    /// Its time has not come.
    NotYet(SystemTime),
    /// It would start too soon after others of its kind.
    RateLimited(SystemTime),
}

/// Decides what becomes of a message that is not here already.
///
/// In Celery's order: a task that was called off is not also reported as expired, and
/// one that has expired does not wait for its time.
pub(crate) fn admit(headers: &TaskHeaders, view: View, now: SystemTime) -> Admission {
    if !view.registered {
        return Admission::Unknown;
    }
    if view.revoked {
        return Admission::Revoked;
    }
    if headers
        .expires
        .is_some_and(|expires| SystemTime::from(expires) <= now)
    {
        return Admission::Expired;
    }
    if let Some(eta) = headers.eta
        && !eta.after(now).is_zero()
    {
        return Admission::NotYet(eta.into());
    }
    match view.limited {
        Some(at) => Admission::RateLimited(at),
        None => Admission::Run,
    }
}

/// Says so when a quorum queue delivered a message as often as it may.
pub(crate) fn too_often(count: i64, limit: Option<u32>) -> Option<String> {
    let limit = i64::from(limit?);
    (count >= limit).then(|| format!("delivered {count} times before, and never ended"))
}

/// Where a message waits for its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Here, unacknowledged.
    Here,
    /// In the broker, published again with a delay.
    Broker,
}

/// Decides where a message waits until `at`. Short waits stay here: the broker's delays
/// have whole seconds. Long ones would occupy the prefetch.
pub(crate) fn place(
    at: SystemTime,
    now: SystemTime,
    hold: Duration,
    broker_delays: bool,
) -> Waiting {
    let wait = at.duration_since(now).unwrap_or_default();
    if wait <= hold || !broker_delays {
        Waiting::Here
    } else {
        Waiting::Broker
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use celeriac::protocol::Timestamp;

    use super::*;

    fn second(n: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(n)
    }

    #[test]
    fn a_table_of_admissions() {
        const FREE: View = View {
            registered: true,
            revoked: false,
            limited: None,
        };
        let limited = View {
            limited: Some(second(101)),
            ..FREE
        };
        let (past, future) = (Some(second(99)), Some(second(200)));
        for (name, view, eta, expires, admission) in [
            ("plain", FREE, None, None, Admission::Run),
            (
                "unknown",
                View {
                    registered: false,
                    ..FREE
                },
                future,
                past,
                Admission::Unknown,
            ),
            (
                "revoked",
                View {
                    revoked: true,
                    ..FREE
                },
                future,
                past,
                Admission::Revoked,
            ),
            ("expired", FREE, None, past, Admission::Expired),
            (
                "expires now",
                FREE,
                None,
                Some(second(100)),
                Admission::Expired,
            ),
            (
                "expired before its eta",
                FREE,
                future,
                past,
                Admission::Expired,
            ),
            ("expires later", FREE, None, future, Admission::Run),
            ("past eta", FREE, past, None, Admission::Run),
            (
                "future eta",
                FREE,
                future,
                None,
                Admission::NotYet(second(200)),
            ),
            (
                "eta before rate",
                limited,
                future,
                None,
                Admission::NotYet(second(200)),
            ),
            (
                "limited",
                limited,
                None,
                None,
                Admission::RateLimited(second(101)),
            ),
        ] {
            let headers = TaskHeaders {
                eta: eta.map(Timestamp::from),
                expires: expires.map(Timestamp::from),
                ..TaskHeaders::default()
            };
            assert_eq!(admit(&headers, view, second(100)), admission, "{name}");
        }
    }

    #[test]
    fn what_comes_too_often_is_told_apart() {
        assert_eq!(too_often(2, Some(3)), None);
        assert_eq!(too_often(99, None), None);
        let text = too_often(3, Some(3)).unwrap();
        assert!(text.starts_with("delivered 3 times"), "{text}");
    }

    #[test]
    fn short_waits_stay_here() {
        let hold = Duration::from_secs(1);
        for (at, delays, waiting) in [
            (second(90), true, Waiting::Here),
            (second(101), true, Waiting::Here),
            (second(102), true, Waiting::Broker),
            (second(102), false, Waiting::Here),
        ] {
            assert_eq!(place(at, second(100), hold, delays), waiting);
        }
    }
}
