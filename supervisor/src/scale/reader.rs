//! Makes figures from what the board knows, and refuses where it knows too little.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac::App;

use super::demand::{self, Full};
use super::{Backlog, Figures, Member, QueueSet, Watch};
use crate::board::{Board, Depth, Facts};
use crate::cluster::Node;
use crate::config::Config;

/// Tells the figures of queues; cloning shares what they are made from.
///
/// Figures that are wrong would scale a fleet away, so where something is not known there
/// are none: the broker is out of reach, it has consumers of whom nobody told, nobody was
/// listened to yet.
#[derive(Clone)]
pub(crate) struct Scale {
    app: App,
    board: Arc<Board>,
    /// How old a reading may be that an answer is made of.
    fresh: Duration,
    /// How old it may be when no newer one can be had.
    stale: Duration,
}

/// The figures of a set of queues, and what they are made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) figures: Figures,
    /// Queues that the broker does not have.
    pub(crate) missing: Vec<String>,
    /// How old the oldest reading is.
    pub(crate) age: Duration,
}

/// Why there are no figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unsure {
    /// Nobody was listened to yet, or for a while.
    Deaf,
    /// The broker is out of reach.
    Broker,
    /// The broker has not told of this queue, or too long ago.
    Unread(String),
    /// The broker has consumers of a queue that no node named.
    Strangers {
        queue: String,
        consumers: u64,
        known: u64,
    },
    /// Too many queues are asked for.
    Full,
}

/// The nodes that consume some queues.
struct Roster {
    members: Vec<Member>,
    /// Whose consumers they are, by queue: places in `members`.
    of: HashMap<String, Vec<usize>>,
    unplaced: Vec<usize>,
    /// How long a node may take to tell of what it took.
    pace: Duration,
}

/// How long a question waits for a reading; KEDA waits for three seconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long after this process began to listen it may not have heard all nodes; those of
/// a large fleet beat once a minute.
const ACQUAINTANCE: Duration = Duration::from_secs(75);
/// How long a new node may take to say what it consumes.
const INTRODUCTION: Duration = Duration::from_secs(30);
/// Within so many heartbeats a node has told of what it took.
const BEATS: f64 = 2.0;

impl Scale {
    pub(crate) fn new(app: App, board: Arc<Board>, config: &Config) -> Self {
        Self {
            app,
            board,
            fresh: config.queue_interval,
            stale: (3 * config.queue_interval).max(Duration::from_secs(10)),
        }
    }

    /// Tells the figures of queues, those that nobody named before among them; waits for a
    /// reading when the last one is old.
    pub(crate) async fn ask(&self, queues: &QueueSet) -> Result<Told, Unsure> {
        let start = Instant::now();
        self.board.demand.ask(queues, start)?;
        let mut rounds = self.board.demand.rounds();
        loop {
            let waited = start.elapsed();
            if waited >= PATIENCE {
                return self.look(queues);
            }
            match self.told(queues, self.fresh) {
                Err(Unsure::Unread(_)) => {}
                told => return told,
            }
            self.board.demand.want(queues.names());
            // Its sender lives as long as the board.
            let _ = tokio::time::timeout(PATIENCE - waited, rounds.changed()).await;
        }
    }

    /// Tells the figures from memory alone.
    pub(crate) fn look(&self, queues: &QueueSet) -> Result<Told, Unsure> {
        self.told(queues, self.stale)
    }

    /// Lets the queues be read twice a second, until what is returned is dropped.
    pub(crate) fn watch(&self, queues: &QueueSet) -> Result<Watch, Unsure> {
        Ok(Watch::new(&self.board, queues, Instant::now())?)
    }

    /// Tells the figures of each known queue alone, from memory; those that cannot be told
    /// are left out.
    pub(crate) fn each(&self) -> HashMap<String, Figures> {
        let roster = Roster::new(&self.board, |_| true, Instant::now());
        let queues = self.board.queues_by_name().into_iter();
        let figures = queues.filter_map(|(name, _)| {
            let names = std::slice::from_ref(&name);
            let told = self.figures(&roster, names, self.stale).ok()?;
            Some((name, told.figures))
        });
        figures.collect()
    }

    /// Tells the figures of all queues and nodes together, as far as they are known.
    pub(crate) fn fleet(&self) -> Figures {
        let held = self.board.held();
        let nodes = self.board.nodes.iter().filter(|node| !node.state.is_gone());
        let members = nodes.map(|node| {
            let facts = self.board.facts.get(node.key());
            member(&node, facts.as_deref(), &held)
        });
        let backlog = |depth: &Depth| Backlog {
            ready: depth.status.map_or(0, |(ready, _)| ready),
            unacked: depth.unacked,
            ..Backlog::default()
        };
        let queues = self.board.queues.iter();
        let backlogs: Vec<_> = queues.map(|depth| backlog(&depth)).collect();
        Figures::of(backlogs, members)
    }

    /// Returns who consumes which queue.
    pub(crate) fn consumers(&self) -> HashMap<String, Vec<(String, Member)>> {
        let held = self.board.held();
        let mut consumers = HashMap::<_, Vec<_>>::new();
        for node in self.board.nodes_by_name() {
            let facts = self.board.facts.get(&node.name);
            let Some(facts) = facts.filter(|_| !node.state.is_gone()) else {
                continue;
            };
            let member = member(&node, Some(&facts), &held);
            for queue in &facts.queues {
                let of = consumers.entry(queue.clone()).or_default();
                of.push((node.name.clone(), member));
            }
        }
        consumers
    }

    fn told(&self, queues: &QueueSet, most: Duration) -> Result<Told, Unsure> {
        let takes = |name: &str| queues.has(name);
        let roster = Roster::new(&self.board, takes, Instant::now());
        self.figures(&roster, queues.names(), most)
    }

    fn figures(&self, roster: &Roster, names: &[String], most: Duration) -> Result<Told, Unsure> {
        let now = Instant::now();
        let since = |at: Instant| now.saturating_duration_since(at);
        if !self.app.broker().link().borrow().is_up() {
            return Err(Unsure::Broker);
        }
        let listened = since(self.board.hearing_since().ok_or(Unsure::Deaf)?);
        let wall = celeriac::clock::now();
        let (mut backlogs, mut missing) = (Vec::with_capacity(names.len()), Vec::new());
        let (mut strangers, mut age) = (false, Duration::ZERO);
        for name in names {
            let unread = || Unsure::Unread(name.clone());
            let depth = self.board.depth(name).ok_or_else(unread)?;
            let read = since(depth.at.ok_or_else(unread)?);
            if read > most {
                return Err(unread());
            }
            age = age.max(read);
            let (ready, consumers) = depth.status.unwrap_or_default();
            if depth.status.is_none() {
                missing.push(name.clone());
            }
            let known = roster.consumers(name);
            if consumers > known {
                strangers = true;
                let hopeful = known > 0 && listened >= ACQUAINTANCE;
                if depth.unacked.is_none() && !hopeful {
                    let queue = name.clone();
                    return Err(Unsure::Strangers {
                        queue,
                        consumers,
                        known,
                    });
                }
            }
            backlogs.push(Backlog {
                ready,
                unacked: depth.unacked,
                oldest: oldest(&depth, wall),
                paused: self.board.pauses.get(name).is_some(),
                recent: depth.busy.is_some_and(|at| since(at) < roster.pace),
            });
        }
        let stranger = strangers.then_some(Member {
            unplaced: true,
            ..Member::default()
        });
        let members = roster.consuming(names).chain(stranger);
        Ok(Told {
            figures: Figures::of(backlogs, members),
            missing,
            age,
        })
    }
}

fn oldest(depth: &Depth, wall: std::time::SystemTime) -> Option<Duration> {
    // Clocks differ: what was sent in the future is new.
    let age = |since| wall.duration_since(since).unwrap_or_default();
    depth.oldest.map(|oldest| age(oldest.since))
}

impl Roster {
    /// Looks at all nodes that are there.
    fn new(board: &Board, takes: impl Fn(&str) -> bool, now: Instant) -> Self {
        let mut roster = Self {
            members: Vec::new(),
            of: HashMap::new(),
            unplaced: Vec::new(),
            pace: Duration::from_secs(5),
        };
        let held = board.held();
        for entry in board.nodes.iter().filter(|node| !node.state.is_gone()) {
            let (name, node) = entry.pair();
            let facts = board.facts.get(name);
            let place = roster.members.len();
            let mut member = member(node, facts.as_deref(), &held);
            let Some(facts) = facts else {
                if now.saturating_duration_since(node.joined) < INTRODUCTION {
                    member.unplaced = true;
                    roster.unplaced.push(place);
                    roster.members.push(member);
                }
                continue;
            };
            let paused = board.pauses.of(name);
            let consumed = facts.queues.iter().chain(&paused);
            let consumed: Vec<_> = consumed.filter(|queue| takes(queue)).collect();
            if consumed.is_empty() {
                continue;
            }
            for queue in consumed {
                roster.of.entry(queue.clone()).or_default().push(place);
            }
            roster.pace = roster.pace.max(pace(node));
            roster.members.push(member);
        }
        roster
    }

    /// Counts the nodes that take from a queue.
    fn consumers(&self, queue: &str) -> u64 {
        let places = self.of.get(queue).map_or(&[][..], Vec::as_slice);
        let taking = places
            .iter()
            .filter(|place| !self.members[**place].draining);
        taking.count() as u64
    }

    /// Returns the nodes that consume any of the queues, and those that may.
    fn consuming<'a>(&'a self, queues: &[String]) -> impl Iterator<Item = Member> + use<'a> {
        let of = queues.iter().filter_map(|queue| self.of.get(queue));
        let mut places: Vec<_> = of.flatten().chain(&self.unplaced).copied().collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|place| self.members[place])
    }
}

/// Reads what a node says of itself, with what it answered, and what events tell of tasks
/// that nodes took and have not started.
fn member(node: &Node, facts: Option<&Facts>, held: &BTreeMap<Arc<str>, u64>) -> Member {
    let asked = facts.and_then(|facts| facts.concurrency);
    let most = facts.and_then(|facts| facts.prefetch);
    let most = most.filter(|most| *most > 0).unwrap_or(u64::MAX);
    let events = held.get(&*node.name).map_or(0, |count| (*count).min(most));
    Member {
        slots: node.slots.or(asked).unwrap_or(0),
        running: node.active.unwrap_or(0),
        reserved: node.reserved.unwrap_or(events),
        tells: node.reserved.is_some(),
        draining: node.is_draining(),
        unplaced: false,
    }
}

/// Returns how long a node may take to tell of what it took.
fn pace(node: &Node) -> Duration {
    Duration::from_secs_f64(BEATS * node.freq.clamp(0.5, 60.0))
}

impl From<Full> for Unsure {
    fn from(Full: Full) -> Self {
        Self::Full
    }
}

impl fmt::Display for Unsure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deaf => f.write_str("no node has been listened to yet; ask again in a moment"),
            Self::Broker => f.write_str("the broker is out of reach"),
            Self::Unread(queue) => {
                write!(
                    f,
                    "the broker has not told the depth of queue '{queue}' of late"
                )
            }
            Self::Strangers {
                queue,
                consumers,
                known,
            } => write!(
                f,
                "expected to know who consumes queue '{queue}', found {consumers} consumers at the \
                 broker and {known} nodes that say so: new nodes take a moment; workers without \
                 heartbeats or remote control are seen with management_url alone"
            ),
            Self::Full => write!(
                f,
                "expected at most {} queues that are asked for within ten minutes, found more",
                demand::MOST
            ),
        }
    }
}

#[cfg(test)]
mod tests;
