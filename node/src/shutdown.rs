//! How a node is told to stop, and what it says when it has.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Tells a node to stop. A clone tells the same node.
///
/// ```text
/// running --drain--> draining --drain or stop_now--> stopping now
///    |                 ^                                  ^
///    +--> finishing ---+                                  |
///    |    (the remote-control command `drain`)            |
///    +-------------------- stop_now ----------------------+
/// ```
///
/// The caller owns the signals: the first SIGTERM calls [`Shutdown::drain`], and so does
/// the second.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<watch::Sender<Wish>>);

/// What was asked of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wish {
    /// Go on.
    Run,
    /// Take no more and finish what runs, however long it takes.
    Finish,
    /// Finish what runs, until the deadline.
    Drain,
    /// Wait for nothing.
    Now,
}

impl Shutdown {
    /// Makes one that has asked for nothing yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Wish::Run)))
    }

    /// Asks the node to take no more tasks, finish those that run, and end; asked a
    /// second time, the node stops waiting.
    pub fn drain(&self) {
        self.0.send_modify(|wish| {
            *wish = match *wish {
                Wish::Run | Wish::Finish => Wish::Drain,
                Wish::Drain | Wish::Now => Wish::Now,
            };
        });
    }

    /// Asks the node to end without waiting: what runs is given back to the broker.
    pub fn stop_now(&self) {
        self.0.send_replace(Wish::Now);
    }

    /// Asks for no less than `wish`; a repeated wish does not escalate.
    pub(crate) fn at_least(&self, wish: Wish) {
        self.0.send_if_modified(|present| {
            let more = *present < wish;
            if more {
                *present = wish;
            }
            more
        });
    }

    /// Waits until no less than `wish` is asked.
    pub(crate) async fn wished(&self, wish: Wish) {
        // The sender lives in self, so this ends only by the wish.
        let _ = self
            .0
            .subscribe()
            .wait_for(|present| *present >= wish)
            .await;
    }

    pub(crate) fn wish(&self) -> Wish {
        *self.0.borrow()
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a node stopped, and what it left. Displays as one line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Why.
    pub reason: Reason,
    /// How many tasks it finished in its life, whatever their outcome.
    pub finished: u64,
    /// The ids of tasks that ran and were given back to the broker.
    pub unfinished: Vec<String>,
    /// The ids of tasks that ended here and whose outcome could not be delivered in time,
    /// because the broker or the result backend was away: their messages stay with the
    /// broker, so they run again.
    pub undelivered: Vec<String>,
    /// How many messages that had not started were given back.
    pub returned: u64,
}

/// Why a node stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It was asked to, and everything that ran has finished.
    Drained,
    /// It was asked to, and the drain deadline passed while tasks ran.
    Deadline,
    /// It was asked to stop without waiting.
    Interrupted,
    /// A part of it failed again and again; the text says which and how.
    Fault(String),
}

/// So many ids are named in a line of the log at most.
const NAMED: usize = 20;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained => f.write_str("drained"),
            Self::Deadline => f.write_str("drain deadline passed"),
            Self::Interrupted => f.write_str("stopped without waiting"),
            Self::Fault(what) => write!(f, "fault: {what}"),
        }
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reason,
            finished,
            unfinished,
            undelivered,
            returned,
        } = self;
        write!(
            f,
            "stopped: {reason}; {finished} tasks finished, {returned} messages given back"
        )?;
        list(f, unfinished, "unfinished")?;
        list(f, undelivered, "ended without their outcome delivered")
    }
}

fn list(f: &mut fmt::Formatter<'_>, ids: &[String], what: &str) -> fmt::Result {
    if ids.is_empty() {
        return Ok(());
    }
    write!(f, ", {} {what}: ", ids.len())?;
    f.write_str(&ids[..ids.len().min(NAMED)].join(", "))?;
    match ids.len().saturating_sub(NAMED) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_signal_skips_the_wait() {
        let shutdown = Shutdown::new();
        shutdown.drain();
        assert_eq!(shutdown.wish(), Wish::Drain);
        shutdown.at_least(Wish::Drain);
        assert_eq!(shutdown.wish(), Wish::Drain);
        shutdown.clone().drain();
        assert_eq!(shutdown.wish(), Wish::Now);
    }

    #[test]
    fn a_signal_gives_what_finishes_a_deadline() {
        let shutdown = Shutdown::new();
        shutdown.at_least(Wish::Finish);
        assert_eq!(shutdown.wish(), Wish::Finish);
        shutdown.drain();
        assert_eq!(shutdown.wish(), Wish::Drain);
        shutdown.at_least(Wish::Finish);
        assert_eq!(shutdown.wish(), Wish::Drain);
    }

    #[test]
    fn an_end_reads_as_one_line() {
        let mut stopped = Stopped {
            reason: Reason::Drained,
            finished: 3,
            unfinished: vec![],
            undelivered: vec![],
            returned: 1,
        };
        assert_eq!(
            stopped.to_string(),
            "stopped: drained; 3 tasks finished, 1 messages given back"
        );
        stopped.unfinished = vec!["a".into(), "b".into()];
        assert!(stopped.to_string().ends_with(", 2 unfinished: a, b"));
        stopped.undelivered = (0..22).map(|n| n.to_string()).collect();
        let told = stopped.to_string();
        assert!(
            told.contains("a, b, 22 ended without their outcome delivered: 0, 1"),
            "{told}"
        );
        assert!(told.ends_with(", 19 and 2 more"), "{told}");
    }
}
