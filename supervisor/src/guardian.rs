//! Keeps a child actor alive: factory, drop guard, restart budget.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;

/// Keeps one child actor alive.
///
/// ```text
///  start --> Running --child ended--> Waiting(backoff) --parent's timer--> Running
///                                        |
///                                        +-- budget used up --> Exhausted
/// ```
///
/// The child holds a [`Ward`]; when the child goes, panicking or not, its drop tells the
/// parent. The parent asks [`Guardian::ended`] what to do and sets the timer, because
/// timers belong to an actor's context.
pub(crate) struct Guardian<A: Actor<Context = Context<A>>> {
    part: &'static str,
    key: Arc<str>,
    factory: Arc<dyn Fn(Ward) -> A + Send + Sync>,
    /// Where the child lives; on the parent's own arbiter when `None`.
    arbiter: Option<ArbiterHandle>,
    parent: Recipient<Ended>,
    budget: Budget,
    generation: u64,
    child: Option<Addr<A>>,
}

/// Held by a child for as long as it lives.
#[derive(Debug)]
pub(crate) struct Ward {
    ended: Option<Ended>,
    parent: Recipient<Ended>,
}

/// A child is gone.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub(crate) struct Ended {
    pub(crate) part: &'static str,
    /// Which one, of parts that there are many of; empty for the others.
    pub(crate) key: Arc<str>,
    generation: u64,
    pub(crate) panicked: bool,
}

/// What to do about a child that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Start it again after this long.
    Restart(Duration),
    /// It was told to go, or is an older one: nothing.
    Ignore,
    /// It has been restarted too often.
    GiveUp {
        /// How many restarts were tried within the window.
        restarts: u32,
    },
}

/// So many restarts within such a time.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    most: usize,
    window: Duration,
    spent: VecDeque<Instant>,
}

impl<A: Actor<Context = Context<A>>> Guardian<A> {
    pub(crate) fn new(
        part: &'static str,
        arbiter: Option<ArbiterHandle>,
        parent: Recipient<Ended>,
        factory: impl Fn(Ward) -> A + Send + Sync + 'static,
    ) -> Self {
        let factory = Arc::new(factory);
        let (key, budget) = ("".into(), Budget::default());
        Self {
            part,
            key,
            factory,
            arbiter,
            parent,
            budget,
            generation: 0,
            child: None,
        }
    }

    /// Names the child, of a part that there are many of.
    pub(crate) fn named(mut self, key: &str) -> Self {
        self.key = key.into();
        self
    }

    /// Starts the child, or a new one.
    pub(crate) fn start(&mut self) -> Addr<A> {
        self.generation += 1;
        let ended = Ended {
            part: self.part,
            key: Arc::clone(&self.key),
            generation: self.generation,
            panicked: false,
        };
        let ward = Ward {
            ended: Some(ended),
            parent: self.parent.clone(),
        };
        let child = match &self.arbiter {
            Some(arbiter) => {
                let factory = Arc::clone(&self.factory);
                A::start_in_arbiter(arbiter, move |_| factory(ward))
            }
            None => (self.factory)(ward).start(),
        };
        self.child.insert(child).clone()
    }

    /// Returns the child's address, unless it is between two lives.
    pub(crate) fn child(&self) -> Option<&Addr<A>> {
        self.child.as_ref()
    }

    /// Forgets the child: its end is not to be undone. Tells it nothing.
    pub(crate) fn release(&mut self) -> Option<Addr<A>> {
        self.generation += 1;
        self.child.take()
    }

    /// Decides about the end of a child.
    pub(crate) fn ended(&mut self, ended: &Ended, now: Instant) -> Verdict {
        if ended.generation != self.generation {
            return Verdict::Ignore;
        }
        self.child = None;
        match self.budget.spend(now) {
            Some(delay) => Verdict::Restart(delay),
            None => Verdict::GiveUp {
                restarts: self.budget.spent.len() as u32,
            },
        }
    }
}

impl Drop for Ward {
    // A drop cannot wait, and this one message must not be lost to a full mailbox.
    #[allow(clippy::disallowed_methods, reason = "one message per life of a child")]
    fn drop(&mut self) {
        if let Some(ended) = self.ended.take() {
            self.parent.do_send(Ended {
                panicked: std::thread::panicking(),
                ..ended
            });
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            most: 8,
            window: Duration::from_secs(60),
            spent: VecDeque::new(),
        }
    }
}

impl Budget {
    /// Takes one restart; returns how long to wait before it, `None` when too many were
    /// taken. The wait doubles with each one that is still in the window.
    fn spend(&mut self, now: Instant) -> Option<Duration> {
        while self
            .spent
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) > self.window)
        {
            self.spent.pop_front();
        }
        if self.spent.len() >= self.most {
            return None;
        }
        let delay = Duration::from_millis(50 << self.spent.len().min(6));
        self.spent.push_back(now);
        Some(delay)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_budget_doubles_the_wait_and_ends() {
        let mut budget = Budget {
            most: 3,
            ..Budget::default()
        };
        let start = Instant::now();
        let waits: Vec<_> = (0..3)
            .map(|_| budget.spend(start).unwrap().as_millis())
            .collect();
        assert_eq!(waits, [50, 100, 200]);
        assert_eq!(budget.spend(start), None);
        let later = start + Duration::from_secs(61);
        assert_eq!(
            budget.spend(later).unwrap().as_millis(),
            50,
            "old restarts are forgiven"
        );
    }

    struct Child(#[allow(dead_code, reason = "held for its drop")] Ward);

    impl Actor for Child {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Panic;

    impl Handler<Panic> for Child {
        type Result = ();

        fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
            panic!("as the test wants it");
        }
    }

    struct Parent {
        guardian: Option<Guardian<Child>>,
        told: tokio::sync::mpsc::UnboundedSender<(Ended, Verdict)>,
    }

    impl Actor for Parent {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Self::Context) {
            let parent = ctx.address().recipient();
            self.guardian
                .insert(Guardian::new("child", None, parent, Child))
                .start();
        }
    }

    impl Handler<Ended> for Parent {
        type Result = ();

        fn handle(&mut self, ended: Ended, _: &mut Context<Self>) {
            let guardian = self.guardian.as_mut().unwrap();
            let verdict = guardian.ended(&ended, Instant::now());
            if let Verdict::Restart(_) = verdict {
                guardian.start();
            }
            self.told.send((ended, verdict)).unwrap();
        }
    }

    #[derive(Message)]
    #[rtype(result = "Option<Addr<Child>>")]
    struct Who;

    impl Handler<Who> for Parent {
        type Result = Option<Addr<Child>>;

        fn handle(&mut self, _: Who, _: &mut Context<Self>) -> Self::Result {
            self.guardian.as_ref().unwrap().child().cloned()
        }
    }

    #[actix::test]
    async fn a_child_that_panics_is_restarted_until_the_budget_is_used_up() {
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let parent = Parent {
            guardian: None,
            told,
        }
        .start();
        for round in 0..8 {
            let child = parent.send(Who).await.unwrap().unwrap();
            child.send(Panic).await.unwrap_err();
            let (ended, verdict) = heard.recv().await.unwrap();
            assert!(ended.panicked);
            assert!(
                matches!(verdict, Verdict::Restart(_)),
                "round {round}: {verdict:?}"
            );
        }
        parent
            .send(Who)
            .await
            .unwrap()
            .unwrap()
            .send(Panic)
            .await
            .unwrap_err();
        let (_, verdict) = heard.recv().await.unwrap();
        assert_eq!(verdict, Verdict::GiveUp { restarts: 8 });
        assert!(parent.send(Who).await.unwrap().is_none());
    }
}
