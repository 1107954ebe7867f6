//! Which deliveries of a channel are settled, and the fewest commands that say so.

use std::collections::BTreeSet;

use crate::broker::Settlement;

/// Something to tell the server about deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// These are done: the one of that number, and with `multiple` all before it.
    Acknowledge {
        /// A delivery tag.
        number: u64,
        /// Whether all before it are meant too.
        multiple: bool,
    },
    /// This one is not done, and goes back or away.
    Return {
        /// A delivery tag.
        number: u64,
        /// Whether it is delivered again.
        requeue: bool,
    },
}

/// The deliveries of one channel that are not settled, or settled and not yet told.
///
/// ```text
/// deliver --> outstanding --finish--> finished --flush--> forgotten
/// ```
///
/// `outstanding` is bounded by the prefetch, `finished` by what comes between two
/// flushes, which is bounded by the same.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// Every delivery up to this number has come here.
    complete: u64,
    /// What came before something of a lower number did. Empty but for a moment.
    ahead: BTreeSet<u64>,
    outstanding: BTreeSet<u64>,
    done: Vec<u64>,
    returned: Vec<(u64, bool)>,
}

impl Acks {
    /// Notes a delivery. Numbers come in rising order, except while two consumers of
    /// one channel are read one after the other.
    pub(super) fn deliver(&mut self, number: u64) {
        if number == self.complete + 1 {
            self.complete = number;
            while self.ahead.remove(&(self.complete + 1)) {
                self.complete += 1;
            }
        } else {
            self.ahead.insert(number);
        }
        self.outstanding.insert(number);
    }

    /// Notes how a delivery ended; says whether this is the first thing to tell.
    pub(super) fn finish(&mut self, number: u64, how: Settlement) -> bool {
        let first = !self.is_dirty();
        if !self.outstanding.remove(&number) {
            return false;
        }
        match how {
            Settlement::Acknowledge => self.done.push(number),
            Settlement::Reject => self.returned.push((number, false)),
            Settlement::Requeue => self.returned.push((number, true)),
        }
        first
    }

    /// Returns the commands for what was finished since the last time.
    ///
    /// Everything below the oldest delivery that is outstanding, or that was sent and
    /// has not been read yet, is acknowledged at once; what was returned is told before,
    /// so that such a command cannot cover it.
    pub(super) fn flush(&mut self, out: &mut Vec<Command>) {
        self.returned.sort_unstable();
        out.extend(
            self.returned
                .drain(..)
                .map(|(number, requeue)| Command::Return { number, requeue }),
        );
        let unread = self.complete + 1;
        let oldest = self
            .outstanding
            .first()
            .map_or(unread, |&number| number.min(unread));
        let below = self.done.iter().copied().filter(|&number| number < oldest);
        let covered = below.clone().count();
        if let Some(number) = below.max() {
            out.push(Command::Acknowledge {
                number,
                multiple: covered > 1,
            });
        }
        let single = |number| Command::Acknowledge {
            number,
            multiple: false,
        };
        out.extend(
            self.done
                .drain(..)
                .filter(|&number| number >= oldest)
                .map(single),
        );
    }

    /// Tells whether there is something to flush.
    pub(super) fn is_dirty(&self) -> bool {
        !(self.done.is_empty() && self.returned.is_empty())
    }

    /// Returns how many deliveries are not settled.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn flushed(acks: &mut Acks) -> Vec<Command> {
        let mut out = Vec::new();
        acks.flush(&mut out);
        out
    }

    #[test]
    fn a_contiguous_run_is_one_command() {
        let mut acks = Acks::default();
        (1..=5).for_each(|number| acks.deliver(number));
        assert!(acks.finish(2, Settlement::Acknowledge));
        assert!(!acks.finish(1, Settlement::Acknowledge));
        acks.finish(3, Settlement::Acknowledge);
        acks.finish(5, Settlement::Acknowledge);
        assert_eq!(
            flushed(&mut acks),
            [
                Command::Acknowledge {
                    number: 3,
                    multiple: true
                },
                Command::Acknowledge {
                    number: 5,
                    multiple: false
                },
            ]
        );
        assert!(!acks.is_dirty());
        assert_eq!(acks.outstanding(), 1);
    }

    #[test]
    fn a_second_settlement_is_nothing() {
        let mut acks = Acks::default();
        acks.deliver(1);
        acks.finish(1, Settlement::Reject);
        assert!(!acks.finish(1, Settlement::Acknowledge));
        assert_eq!(
            flushed(&mut acks),
            [Command::Return {
                number: 1,
                requeue: false
            }]
        );
        assert_eq!(flushed(&mut acks), []);
    }

    #[test]
    fn what_nobody_has_read_is_not_covered() {
        let mut acks = Acks::default();
        for number in [1, 4, 5] {
            acks.deliver(number);
            acks.finish(number, Settlement::Acknowledge);
        }
        let single = |number| Command::Acknowledge {
            number,
            multiple: false,
        };
        assert_eq!(flushed(&mut acks), [single(1), single(4), single(5)]);
        for number in [3, 2] {
            acks.deliver(number);
            acks.finish(number, Settlement::Acknowledge);
        }
        assert_eq!(
            flushed(&mut acks),
            [Command::Acknowledge {
                number: 3,
                multiple: true
            }]
        );
    }

    /// What a server knows: which deliveries it waits for, and how each ended.
    #[derive(Default)]
    struct Server {
        unsettled: BTreeSet<u64>,
        ended: BTreeMap<u64, Settlement>,
    }

    impl Server {
        fn apply(&mut self, command: Command) {
            match command {
                Command::Acknowledge { number, multiple } => {
                    // The server closes the channel for a number that it does not know.
                    assert!(self.unsettled.contains(&number));
                    let covered: Vec<u64> = self
                        .unsettled
                        .range(if multiple { 0 } else { number }..=number)
                        .copied()
                        .collect();
                    for number in covered {
                        self.unsettled.remove(&number);
                        self.ended.insert(number, Settlement::Acknowledge);
                    }
                }
                Command::Return { number, requeue } => {
                    assert!(self.unsettled.remove(&number));
                    let how = if requeue {
                        Settlement::Requeue
                    } else {
                        Settlement::Reject
                    };
                    self.ended.insert(number, how);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_server_hears_of_each_end_exactly_once(
            steps in proptest::collection::vec((0u8..5, 0usize..64, 0u8..3), 0..200),
        ) {
            let mut acks = Acks::default();
            let mut server = Server::default();
            let mut unread: Vec<u64> = Vec::new();
            let mut held: Vec<u64> = Vec::new();
            let mut truth = BTreeMap::new();
            let mut next = 1;
            for (step, pick, how) in steps {
                match step {
                    0 | 1 => {
                        server.unsettled.insert(next);
                        unread.push(next);
                        next += 1;
                    }
                    // Mostly in order, but not always: two consumers of one channel.
                    2 if !unread.is_empty() => {
                        let number = unread.remove(if pick < 48 { 0 } else { pick % unread.len() });
                        acks.deliver(number);
                        held.push(number);
                    }
                    3 if !held.is_empty() => {
                        let number = held.remove(pick % held.len());
                        let how = [Settlement::Acknowledge, Settlement::Reject, Settlement::Requeue][usize::from(how)];
                        acks.finish(number, how);
                        truth.insert(number, how);
                    }
                    _ => {
                        for command in flushed(&mut acks) {
                            server.apply(command);
                        }
                        prop_assert_eq!(&server.ended, &truth);
                        prop_assert_eq!(server.unsettled.iter().copied().collect::<Vec<_>>(), {
                            let mut open = [&held[..], &unread[..]].concat();
                            open.sort_unstable();
                            open
                        });
                    }
                }
                prop_assert_eq!(acks.outstanding(), held.len());
            }
        }
    }
}
