//! How often somebody may be wrong.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Counts wrong passwords and tokens by the address they came from, bounded.
///
/// Each address may be wrong [`BURST`] times; one time comes back every [`EVERY`]. Nothing
/// is refused to an address for being right.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// When an address will have all its times back.
    whole: HashMap<IpAddr, Instant>,
}

/// How many wrong tries go at once.
const BURST: u32 = 10;
/// How long one try takes to come back.
const EVERY: Duration = Duration::from_secs(6);
/// How many addresses are remembered; then the ones that were wrong least are forgotten.
const ADDRESSES: usize = 4_096;

impl Throttle {
    /// Says how long an address must wait before it may try again.
    pub(crate) fn wait(&self, peer: IpAddr, now: Instant) -> Option<Duration> {
        let owed = self.whole.get(&key(peer))?.saturating_duration_since(now);
        let most = EVERY * (BURST - 1);
        (owed > most).then(|| owed - most)
    }

    /// Takes down that an address was wrong.
    pub(crate) fn wrong(&mut self, peer: IpAddr, now: Instant) {
        let peer = key(peer);
        if self.whole.len() >= ADDRESSES && !self.whole.contains_key(&peer) {
            self.whole.retain(|_, whole| *whole > now);
            while self.whole.len() >= ADDRESSES {
                let least = self.whole.iter().min_by_key(|(_, whole)| **whole);
                let Some(least) = least.map(|(peer, _)| *peer) else {
                    break;
                };
                self.whole.remove(&least);
            }
        }
        let whole = self.whole.entry(peer).or_insert(now);
        *whole = (*whole).max(now) + EVERY;
        // No debt beyond what is asked for anyway.
        *whole = (*whole).min(now + EVERY * BURST);
    }
}

/// A host has a whole /64 of IPv6 to ask from.
fn key(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn ten_wrong_tries_go_and_then_one_every_six_seconds() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        for _ in 0..10 {
            assert_eq!(throttle.wait(peer, start), None);
            throttle.wrong(peer, start);
        }
        assert_eq!(throttle.wait(peer, start), Some(EVERY));
        assert_eq!(throttle.wait("10.0.0.2".parse().unwrap(), start), None);
        let later = start + EVERY;
        assert_eq!(throttle.wait(peer, later), None);
        throttle.wrong(peer, later);
        assert!(throttle.wait(peer, later).is_some());
        assert_eq!(throttle.wait(peer, start + EVERY * 12), None);
    }

    #[test]
    fn it_is_bounded_and_keeps_the_worst() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let worst: IpAddr = "2001:db8::1".parse().unwrap();
        for _ in 0..10 {
            throttle.wrong(worst, now);
        }
        for n in 0..10_000_u32 {
            throttle.wrong(std::net::Ipv4Addr::from_bits(n).into(), now);
        }
        assert!(throttle.whole.len() <= ADDRESSES);
        // Another address of the same host.
        assert!(
            throttle
                .wait("2001:db8::ffff".parse().unwrap(), now)
                .is_some()
        );
    }
}
