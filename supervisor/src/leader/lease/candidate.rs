//! When a Lease may be taken, and for how long its holder leads. Decisions alone.

use std::time::{Duration, Instant};

use super::record::LeaseSpec;

/// What to do about a Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// There is none.
    Create,
    /// Nobody holds it, or its holder is gone.
    Take,
    /// It is ours.
    Renew,
    /// Somebody else leads, for so much longer if nothing more is heard.
    Wait(Duration),
}

/// Decides about a Lease that has not changed since `since`.
///
/// Both times are of this machine's own monotonic clock. The times in the Lease are of other
/// machines' clocks, and decide nothing.
///
/// ```text
///  none ----------------------------------> Create
///  holder is me --------------------------> Renew
///  no holder -----------------------------> Take
///  another, unchanged for its duration ---> Take
///  another --------------------------------> Wait
/// ```
pub(super) fn evaluate(
    lease: Option<&LeaseSpec>,
    me: &str,
    now: Instant,
    since: Instant,
    spans: Spans,
) -> Decision {
    let Some(spec) = lease else {
        return Decision::Create;
    };
    match spec.holder() {
        None => Decision::Take,
        Some(holder) if holder == me => Decision::Renew,
        Some(_) => {
            let duration = spec.duration().unwrap_or(spans.duration);
            let left = duration.saturating_sub(now.saturating_duration_since(since));
            if left.is_zero() {
                Decision::Take
            } else {
                Decision::Wait(left)
            }
        }
    }
}

/// How long what takes, all from the Lease's duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spans {
    /// How long others leave an unchanged Lease to its holder.
    pub(super) duration: Duration,
}

impl Spans {
    /// How long after the start of its last renewal a holder leads. By a third shorter than
    /// the duration: so much faster the clock of another machine may run.
    pub(super) fn leads(self) -> Duration {
        self.duration * 2 / 3
    }

    /// How often it is renewed, and how long one request may take: a renewal can be tried
    /// twice while this one leads.
    pub(super) fn retry(self) -> Duration {
        self.duration / 4
    }
}

/// Which version of a Lease was seen, and since when.
#[derive(Debug, Default)]
pub(super) struct Observed(Option<(String, Instant)>);

impl Observed {
    /// Takes in which version there is; returns since when it is known.
    pub(super) fn see(&mut self, version: &str, now: Instant) -> Instant {
        match &self.0 {
            Some((known, since)) if known == version => *since,
            _ => {
                self.0 = Some((version.to_owned(), now));
                now
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::super::record::Lease;
    use super::*;

    const SPANS: Spans = Spans {
        duration: Duration::from_secs(3),
    };

    fn held(by: &str, seconds: u64) -> LeaseSpec {
        let duration = Duration::from_secs(seconds);
        Lease::new("l").hold(by, duration, UNIX_EPOCH).spec
    }

    #[test]
    fn decisions() {
        let freed = Lease::new("l").release(UNIX_EPOCH).spec;
        let mut odd = held("b", 3);
        odd.lease_duration_seconds = Some(-1);
        let wait = |millis| Decision::Wait(Duration::from_millis(millis));
        let table = [
            ("none", None, 0, Decision::Create),
            ("given back", Some(&freed), 0, Decision::Take),
            ("never held", Some(&LeaseSpec::default()), 0, Decision::Take),
            ("ours", Some(&held("a", 3)), 0, Decision::Renew),
            ("ours, old", Some(&held("a", 3)), 9_000, Decision::Renew),
            ("new", Some(&held("b", 3)), 0, wait(3_000)),
            ("not yet", Some(&held("b", 3)), 2_999, wait(1)),
            ("just", Some(&held("b", 3)), 3_000, Decision::Take),
            (
                "its own duration",
                Some(&held("b", 15)),
                3_000,
                wait(12_000),
            ),
            ("no duration", Some(&odd), 2_000, wait(1_000)),
        ];
        let since = Instant::now();
        for (name, spec, millis, expected) in table {
            let now = since + Duration::from_millis(millis);
            let found = evaluate(spec, "a", now, since, SPANS);
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn each_change_begins_the_wait_anew() {
        let (mut observed, start) = (Observed::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(observed.see("1", at(0)), at(0));
        assert_eq!(observed.see("1", at(2)), at(0));
        assert_eq!(observed.see("2", at(3)), at(3));
        assert_eq!(observed.see("2", at(5)), at(3));
    }

    /// A candidate with a clock of its own, against a server that compares versions.
    struct Candidate {
        me: &'static str,
        start: Instant,
        /// How fast its clock runs, in percent.
        rate: u32,
        observed: Observed,
        /// What it read, until it writes.
        read: Option<(Option<LeaseSpec>, u64, Instant)>,
        until: Option<Instant>,
    }

    impl Candidate {
        fn now(&self, real: Duration) -> Instant {
            self.start + real * self.rate / 100
        }

        fn leads(&self, real: Duration) -> bool {
            self.until.is_some_and(|until| self.now(real) < until)
        }

        fn read(&mut self, server: &(Option<LeaseSpec>, u64), real: Duration) {
            let now = self.now(real);
            let since = self.observed.see(&server.1.to_string(), now);
            self.read = Some((server.0.clone(), server.1, since));
        }

        /// Decides and sends what it decided; the server gets it `delay` later.
        fn write(&mut self, real: Duration) -> Option<(LeaseSpec, u64, Instant)> {
            let (spec, version, since) = self.read.take()?;
            let now = self.now(real);
            match evaluate(spec.as_ref(), self.me, now, since, SPANS) {
                Decision::Wait(_) => None,
                _ => Some((held(self.me, 3), version, now)),
            }
        }
    }

    proptest! {
        /// Whatever the clocks, within a quarter of each other, and whatever is late.
        #[test]
        fn two_never_lead_at_once(
            rates in prop::array::uniform2(90_u32..=110),
            steps in prop::collection::vec((0_usize..2, 0_u8..8, 1_u64..900, 0_u64..4_000), 1..300),
        ) {
            let start = Instant::now();
            let one = |me, rate| Candidate {
                me, start, rate,
                observed: Observed::default(), read: None, until: None,
            };
            let mut both = [one("a", rates[0]), one("b", rates[1])];
            let mut server: (Option<LeaseSpec>, u64) = (None, 0);
            let mut real = Duration::ZERO;
            // Requests on their way: when they arrive, whose, what, begun when.
            let mut flying: Vec<(Duration, usize, LeaseSpec, u64, Instant)> = Vec::new();
            for (who, what, pass, delay) in steps {
                let next = real + Duration::from_millis(pass);
                flying.sort_by_key(|request| request.0);
                while flying.first().is_some_and(|request| request.0 <= next) {
                    let (at, whose, spec, version, begun) = flying.remove(0);
                    if version == server.1 {
                        server = (Some(spec), version + 1);
                        let until = begun + SPANS.leads();
                        let candidate = &mut both[whose];
                        candidate.until = candidate.until.max(Some(until));
                        prop_assert!(!(both[0].leads(at) && both[1].leads(at)));
                    }
                }
                real = next;
                let candidate = &mut both[who];
                match what {
                    0..=2 => candidate.read(&server, real),
                    7 if candidate.leads(real) => {
                        // A graceful stop: it leads no more, then gives the Lease back.
                        candidate.until = None;
                        if server.0.as_ref().and_then(LeaseSpec::holder) == Some(candidate.me) {
                            flying.retain(|request| request.1 != who);
                            server = (Some(LeaseSpec::default()), server.1 + 1);
                        }
                    }
                    _ => {
                        candidate.read(&server, real);
                        if let Some((spec, version, begun)) = candidate.write(real) {
                            let at = real + Duration::from_millis(delay);
                            flying.push((at, who, spec, version, begun));
                        }
                    }
                }
                prop_assert!(!(both[0].leads(real) && both[1].leads(real)));
            }
        }
    }
}
