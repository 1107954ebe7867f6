//! Which publications wait, are sent, or come back.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;

use bytes::Bytes;
use lapin::Confirmation;
use lapin::message::BasicReturnMessage;

use super::core::Core;
use super::failure::{Failure, code};
use super::job::{Job, Wire};
use crate::error::Error;

/// A publication that was sent, or could not be.
pub(super) type Sent = (u64, lapin::Result<Confirmation>);

/// The publications that this task answers for.
#[derive(Default)]
pub(super) struct Ledger {
    /// To be sent, oldest first.
    pub(super) waiting: VecDeque<Job>,
    /// Sent and not confirmed.
    pub(super) sent: HashMap<u64, Job>,
    next: u64,
    /// Returned messages whose confirm has not come yet.
    returned: Vec<BasicReturnMessage>,
    /// How many to send one at a time, to learn which of them ends the channel.
    alone: usize,
}

impl Ledger {
    /// Takes what can be sent now.
    pub(super) fn next_to_send(&mut self) -> Option<Job> {
        if self.alone > 0 && !self.sent.is_empty() {
            return None;
        }
        while let Some(job) = self.waiting.pop_front() {
            if !job.is_abandoned() {
                return Some(job);
            }
            self.alone = self.alone.saturating_sub(1);
        }
        None
    }

    /// Notes that a publication is being sent; `None` when it cannot be.
    pub(super) fn begin(&mut self, job: Job) -> Option<(u64, Prepared)> {
        let wire = match job.wire() {
            Ok(wire) => wire,
            Err(error) => {
                job.resolve(Err(error));
                return None;
            }
        };
        let key = self.next;
        self.next += 1;
        let prepared = Prepared {
            wire,
            body: job.publication.message.body.clone(),
            mandatory: job.publication.mandatory,
        };
        self.sent.insert(key, job);
        Some((key, prepared))
    }

    /// Works through a round of answers; returns an error that ended the channel.
    pub(super) fn settle(&mut self, core: &Core, round: Vec<Sent>) -> Option<lapin::Error> {
        let mut ended: Option<lapin::Error> = None;
        let mut taken = Vec::with_capacity(round.len());
        for (key, result) in round {
            match result {
                Ok(confirmation) => {
                    let Some(job) = self.sent.remove(&key) else {
                        continue;
                    };
                    let good = !confirmation.is_nack();
                    self.returned.extend(confirmation.take_message());
                    taken.push((job, good));
                }
                // The first says why, the others only that it is so.
                Err(error) => {
                    if ended.is_none() || error.is_amqp_error() {
                        ended = Some(error);
                    }
                }
            }
        }
        self.alone = self.alone.saturating_sub(taken.len());
        for (job, good) in taken {
            let back = self.returned.iter().position(|returned| job.is(returned));
            let result = match back {
                Some(at) => {
                    self.returned.swap_remove(at);
                    core.stats.refused.fetch_add(1, Ordering::Relaxed);
                    Err(job.unroutable())
                }
                None if good => {
                    core.stats.published.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                }
                None => Err(Error::Unavailable {
                    what: "broker",
                    reason: format!("the server could not take the message: {}", job.what()),
                    source: None,
                }),
            };
            job.resolve(result);
        }
        // Those whose publication is gone would stay for ever.
        if self.sent.is_empty() {
            self.returned.clear();
        }
        ended
    }

    /// Decides what becomes of publications whose channel ended.
    pub(super) fn channel_ended(&mut self, core: &Core, error: lapin::Error) {
        let failure = Failure::from(error);
        let Failure::Refused { code: said, text } = &failure else {
            return self.send_again(core);
        };
        if *said == code::NOT_FOUND || *said == code::ACCESS_REFUSED {
            let named = |job: &Job| {
                let exchange = match job.publication.exchange.as_str() {
                    "" => "amq.default",
                    name => name,
                };
                text.contains(&format!("'{exchange}'"))
            };
            let guilty: Vec<u64> = self
                .sent
                .iter()
                .filter(|(_, job)| named(job))
                .map(|(key, _)| *key)
                .collect();
            if !guilty.is_empty() {
                for key in guilty {
                    self.refuse(core, key, &failure);
                }
                return self.send_again(core);
            }
        }
        match self.sent.keys().next().copied() {
            Some(only) if self.sent.len() == 1 => self.refuse(core, only, &failure),
            _ => {
                // The server does not say which one it was.
                self.alone = self.sent.len();
                self.send_again(core);
            }
        }
    }

    fn refuse(&mut self, core: &Core, key: u64, failure: &Failure) {
        if let Some(job) = self.sent.remove(&key) {
            core.stats.refused.fetch_add(1, Ordering::Relaxed);
            self.alone = self.alone.saturating_sub(1);
            let what = job.what();
            job.resolve(Err(failure.clone().into_error(what)));
        }
    }

    /// Puts what was sent and not confirmed back to the front, in its order.
    pub(super) fn send_again(&mut self, core: &Core) {
        let mut again: Vec<(u64, Job)> = self.sent.drain().collect();
        core.stats
            .republished
            .fetch_add(again.len() as u64, Ordering::Relaxed);
        again.sort_unstable_by_key(|(key, _)| std::cmp::Reverse(*key));
        for (_, job) in again {
            self.waiting.push_front(job);
        }
        self.returned.clear();
    }
}

/// A publication in the client's types.
pub(super) struct Prepared {
    pub(super) wire: Wire,
    pub(super) body: Bytes,
    pub(super) mandatory: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use celeriac_protocol::Message;
    use tokio::sync::{Semaphore, oneshot};

    use super::*;
    use crate::broker::Publication;
    use crate::broker::amqp::failure::tests::said;
    use crate::broker::amqp::{Config, Runtime};
    use crate::error::Result;

    type Outcome = oneshot::Receiver<Result<()>>;

    fn core() -> Core {
        let runtime = Runtime::start().unwrap();
        let uri = "amqp://localhost".parse().unwrap();
        Core::new(Config::default(), uri, String::new(), runtime)
    }

    fn sent_to(ledger: &mut Ledger, exchange: &str) -> Outcome {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let publication = Publication::to_exchange(exchange, "key", Message::default());
        let (job, outcome) = Job::one(publication, permit);
        ledger.begin(job).unwrap();
        outcome
    }

    #[test]
    fn the_only_publication_is_refused_by_a_refusal_and_by_nothing_else() {
        let core = core();
        for (code, refused) in [
            (403, true),
            (406, true),
            (320, false),
            (501, false),
            (541, false),
        ] {
            let mut ledger = Ledger::default();
            let mut outcome = sent_to(&mut ledger, "work");
            ledger.channel_ended(&core, said(code, "because"));
            match outcome.try_recv() {
                Ok(answer) => assert!(refused && matches!(answer, Err(Error::Refused { .. }))),
                Err(_) => assert!(!refused, "{code}"),
            }
            assert_eq!(ledger.waiting.len(), usize::from(!refused), "{code}");
        }
    }

    #[test]
    fn a_refusal_that_names_an_exchange_is_for_those_who_named_it() {
        let core = core();
        let mut ledger = Ledger::default();
        let mut good = sent_to(&mut ledger, "work");
        let mut bad = sent_to(&mut ledger, "gone");
        ledger.channel_ended(
            &core,
            said(404, "NOT_FOUND - no exchange 'gone' in vhost '/'"),
        );
        assert!(matches!(
            bad.try_recv().unwrap(),
            Err(Error::Refused { .. })
        ));
        assert!(good.try_recv().is_err());
        assert_eq!(ledger.waiting.len(), 1);
    }
}
