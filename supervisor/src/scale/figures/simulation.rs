//! Autoscalers that act on the figures: they must find the right size and stay there.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// What an autoscaler looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Metric {
    /// Tasks, so many of them for each node: `AverageValue`.
    Tasks(f64),
    /// Load, as a `Value`.
    Load(f64),
}

/// A pool of nodes with a queue, and an autoscaler with the defaults of Kubernetes: it looks
/// every 15 s, moves by no less than a tenth, grows at once to twice the size, and shrinks
/// to the most that it wanted in the last five minutes; from and to zero goes KEDA.
struct Pool {
    metric: Metric,
    least: u64,
    most: u64,
    replicas: u64,
    /// Tasks of each node, the first `SLOTS` of which run; each with the seconds it takes.
    nodes: Vec<Vec<u64>>,
    /// Nodes that drain, with what they still run.
    draining: Vec<Vec<u64>>,
    /// When the next pods are ready.
    starting: VecDeque<u64>,
    queue: VecDeque<u64>,
    wanted: VecDeque<(u64, u64)>,
    active_at: u64,
    now: u64,
    changes: Vec<(u64, u64)>,
}

const SLOTS: usize = 4;
const PREFETCH: usize = 16;
const LOOK: u64 = 15;
const WINDOW: u64 = 300;
const COOLDOWN: u64 = 300;
const STARTUP: u64 = 7;

impl Pool {
    fn new(metric: Metric, least: u64) -> Self {
        Self {
            metric,
            least,
            most: 50,
            replicas: least,
            nodes: vec![Vec::new(); least as usize],
            draining: Vec::new(),
            starting: VecDeque::new(),
            queue: VecDeque::new(),
            wanted: VecDeque::new(),
            active_at: 0,
            now: 0,
            changes: Vec::new(),
        }
    }

    fn figures(&self) -> Figures {
        let member = |tasks: &Vec<u64>, draining| Member {
            slots: SLOTS as u64,
            running: tasks.len().min(SLOTS) as u64,
            reserved: tasks.len().saturating_sub(SLOTS) as u64,
            tells: true,
            draining,
            unplaced: false,
        };
        let nodes = self.nodes.iter().map(|tasks| member(tasks, false));
        let draining = self.draining.iter().map(|tasks| member(tasks, true));
        let backlog = Backlog {
            ready: self.queue.len() as u64,
            ..Backlog::default()
        };
        Figures::of([backlog], nodes.chain(draining))
    }

    /// One second of everybody's work.
    fn second(&mut self) {
        self.now += 1;
        while self.starting.front().is_some_and(|at| *at <= self.now) {
            self.starting.pop_front();
            self.nodes.push(Vec::new());
        }
        // A broker hands out in turns, to those that have room.
        while let Some(node) = self.nodes.iter_mut().min_by_key(|tasks| tasks.len())
            && node.len() < SLOTS + PREFETCH
            && let Some(task) = self.queue.pop_front()
        {
            node.push(task);
        }
        let figures = self.figures();
        if figures.is_active(0.0) {
            self.active_at = self.now;
        }
        if self.now.is_multiple_of(LOOK) {
            self.look(&figures);
        }
        for node in self.nodes.iter_mut().chain(&mut self.draining) {
            let running = node.len().min(SLOTS);
            node[..running].iter_mut().for_each(|left| *left -= 1);
            node.retain(|left| *left > 0);
        }
        self.draining.retain(|tasks| !tasks.is_empty());
    }

    fn look(&mut self, figures: &Figures) {
        let idle = self.now - self.active_at;
        if self.replicas == 0 {
            if idle == 0 {
                self.resize(1);
            }
            return;
        }
        if self.least == 0 && idle > COOLDOWN {
            assert_eq!(figures.tasks(), 0, "work in flight");
            self.resize(0);
            return;
        }
        let size = self.replicas as f64;
        let (ratio, wanted) = match self.metric {
            Metric::Tasks(target) => {
                let tasks = figures.tasks() as f64;
                (tasks / (target * size), (tasks / target).ceil())
            }
            Metric::Load(target) => {
                // As the scaler tells it where there are no places yet: stay.
                let told = figures
                    .load()
                    .unwrap_or((figures.tasks() as f64).min(target));
                let ready = self.nodes.len() as f64;
                (told / target, (ready * told / target).ceil())
            }
        };
        let wanted = if (ratio - 1.0).abs() <= 0.1 {
            size
        } else {
            wanted
        };
        let grown = (2 * self.replicas).max(4);
        let wanted = (wanted as u64).clamp(self.least.max(1), self.most.min(grown));
        self.wanted.push_back((self.now, wanted));
        let since = self.now.saturating_sub(WINDOW);
        self.wanted.retain(|(at, _)| *at > since);
        let recent = self.wanted.iter().map(|(_, wanted)| *wanted).max();
        let wanted = match wanted > self.replicas {
            true => wanted,
            false => recent.unwrap_or(wanted).min(self.replicas),
        };
        self.resize(wanted);
    }

    fn resize(&mut self, replicas: u64) {
        if replicas == self.replicas {
            return;
        }
        self.changes.push((self.now, replicas));
        for _ in self.replicas..replicas {
            self.starting.push_back(self.now + STARTUP);
        }
        for _ in replicas..self.replicas {
            if self.starting.pop_back().is_some() {
                continue;
            }
            // Those that would lose the least go first.
            self.nodes
                .sort_by_key(|tasks| std::cmp::Reverse(tasks.len()));
            let Some(mut tasks) = self.nodes.pop() else {
                break;
            };
            let back = tasks.split_off(tasks.len().min(SLOTS));
            self.queue.extend(back);
            self.draining.push(tasks);
        }
        self.draining.retain(|tasks| !tasks.is_empty());
        self.replicas = replicas;
    }

    fn run(&mut self, seconds: u64, mut arrive: impl FnMut(u64) -> u64, takes: u64) {
        for second in 0..seconds {
            let arrived = arrive(second);
            self.queue
                .extend(std::iter::repeat_n(takes, arrived as usize));
            self.second();
        }
    }
}

/// Targets up to what a node runs at once. One above it lets tasks wait before a node is
/// added, for which the size swings by a node.
fn metrics() -> impl Strategy<Value = Metric> {
    prop_oneof![
        Just(Metric::Tasks(3.0)),
        Just(Metric::Tasks(4.0)),
        Just(Metric::Load(0.75)),
        Just(Metric::Load(1.0)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    // S55: with a steady stream the size settles, is enough, and is not far too much.
    #[test]
    fn a_steady_stream_gets_its_size_and_keeps_it(
        metric in metrics(),
        rate in 1_u64..8,
        takes in 2_u64..10,
        burst in 0_u64..400,
    ) {
        let mut pool = Pool::new(metric, 1);
        pool.queue.extend(std::iter::repeat_n(takes, burst as usize));
        pool.run(3_600, |_| rate, takes);
        let settled = pool.now;
        let backlog = pool.queue.len() as u64;
        pool.run(1_800, |_| rate, takes);
        let late: Vec<_> = pool.changes.iter().filter(|(at, _)| *at > settled).collect();
        prop_assert!(late.len() <= 1, "{:?}", pool.changes);
        let needed = (rate * takes).div_ceil(SLOTS as u64);
        prop_assert!(pool.replicas >= needed, "{} of {needed}", pool.replicas);
        prop_assert!(pool.replicas <= 2 * needed + 2, "{} of {needed}", pool.replicas);
        prop_assert!(pool.queue.len() as u64 <= backlog.max(4 * rate * takes), "it piles up");
    }

    // S55: bursts are worked off, the fleet goes back, and never to zero with work in flight
    // (asserted where it scales).
    #[test]
    fn bursts_make_few_changes_and_end_at_the_least(
        metric in metrics(),
        least in 0_u64..2,
        bursts in prop::collection::vec((0_u64..600, 1_u64..300), 1..5),
        takes in 1_u64..120,
    ) {
        let mut pool = Pool::new(metric, least);
        pool.run(600, |now| bursts.iter().filter(|(at, _)| *at == now).map(|(_, n)| n).sum(), takes);
        pool.run(20_000, |_| 0, takes);
        prop_assert_eq!(pool.figures().tasks(), 0);
        prop_assert_eq!(pool.replicas, least);
        // It turns around at most once for each burst, and once more at the end.
        let mut turns = 0;
        let mut up = true;
        let mut size = least;
        for (_, replicas) in &pool.changes {
            let rises = *replicas > size;
            turns += usize::from(rises != up);
            (up, size) = (rises, *replicas);
        }
        prop_assert!(turns <= 2 * bursts.len() + 1, "{:?}", pool.changes);
    }
}
