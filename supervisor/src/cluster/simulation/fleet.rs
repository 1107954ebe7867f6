//! The nodes as they really are.

use std::collections::{BTreeMap, HashSet};

use celeriac_protocol::Table;
use celeriac_protocol::event::{Event, EventKind, TaskReceived, WorkerStatus};

use super::super::NodeState;
use super::Plan;
use super::network::{Network, Parcel};
use super::rng::Rng;

/// How a node really is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Life {
    Working,
    Draining,
    /// It said goodbye.
    Gone,
    /// It died without a word, and promised this interval last.
    Dead {
        since: f64,
        interval: f64,
    },
}

impl Life {
    /// Tells whether the model is right about it. A farewell may be lost on the way, and
    /// then all that can be known is silence.
    pub(super) fn matches(self, state: NodeState) -> bool {
        match self {
            Self::Working => state == NodeState::Online,
            Self::Draining => state == NodeState::Draining,
            Self::Gone => state.is_gone(),
            Self::Dead { .. } => state == NodeState::Lost,
        }
    }
}

struct Member {
    life: Life,
    pid: u32,
    clock: u64,
    /// How wrong its wall clock is, in seconds.
    skew: f64,
    interval: f64,
    /// The interval before, for the one heartbeat that repeats the promise.
    before: Option<f64>,
    next_beat: f64,
    back_at: f64,
    sent: u64,
    running: Vec<(String, f64)>,
}

pub(super) struct Fleet {
    rng: Rng,
    members: BTreeMap<String, Member>,
    busy: Vec<String>,
    /// Tasks whose end was stored, whether or not its event arrived.
    stored: HashSet<String>,
    per_turn: usize,
    tasks: u64,
    pub(super) deaths: u64,
}

/// Events of one task.
const EVENTS: usize = 3;
const TURNS_PER_SECOND: usize = 4;

impl Fleet {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut rng = Rng::new(plan.seed ^ 0x5eed);
        let name = |n: usize| format!("w{n}@host");
        let member = |rng: &mut Rng| Member {
            life: Life::Working,
            pid: 1,
            clock: 0,
            skew: (rng.share() - 0.5) * 60.0,
            interval: 2.0,
            before: None,
            next_beat: rng.share() * 2.0,
            back_at: 0.0,
            sent: 0,
            running: Vec::new(),
        };
        Self {
            members: (0..plan.nodes)
                .map(|n| (name(n), member(&mut rng)))
                .collect(),
            busy: (0..plan.busy).map(name).collect(),
            stored: HashSet::new(),
            per_turn: plan.events_per_second / EVENTS / TURNS_PER_SECOND,
            tasks: 0,
            deaths: 0,
            rng,
        }
    }

    pub(super) fn state_of(&self, name: &str) -> Life {
        self.members[name].life
    }

    pub(super) fn alive(&self) -> impl Iterator<Item = &String> {
        let alive = |member: &Member| matches!(member.life, Life::Working | Life::Draining);
        self.members
            .iter()
            .filter(move |(_, member)| alive(member))
            .map(|(name, _)| name)
    }

    pub(super) fn turn(&mut self, now: f64, stormy: bool, network: &mut Network) {
        let rng = &mut self.rng;
        for (name, member) in &mut self.members {
            if stormy {
                self.deaths += u64::from(member.fate(rng, now, name, network));
            }
            self.stored.extend(member.finish(name, now, network));
            if now >= member.next_beat && member.lives() {
                member.next_beat = now + member.before.take().unwrap_or(member.interval);
                member.beat(name, now, network, false);
            }
        }
        for _ in 0..self.per_turn {
            let name = &self.busy[self.rng.below(self.busy.len())];
            let Some(member) = self.members.get_mut(name) else {
                continue;
            };
            if member.life == Life::Working {
                self.tasks += 1;
                let ends = now + self.rng.share() * 2.0;
                member.start(name, format!("task-{}", self.tasks), now, ends, network);
            }
        }
    }

    /// Tells whether a node really runs a task.
    pub(super) fn runs(&self, node: &str, id: &str) -> bool {
        let member = &self.members[node];
        member.lives() && member.running.iter().any(|(running, _)| running == id)
    }

    /// Tells whether the result of a task is stored.
    pub(super) fn has_stored(&self, id: &str) -> bool {
        self.stored.contains(id)
    }

    pub(super) fn pinged(&self, name: &str, now: f64, network: &mut Network) {
        if self.members[name].lives() {
            network.send(now, Parcel::Pong(name.to_owned()));
        }
    }

    pub(super) fn paced(&mut self, name: &str, seconds: f64, now: f64) {
        if let Some(member) = self.members.get_mut(name)
            && member.lives()
            && member.interval != seconds.max(2.0)
        {
            member.before = Some(member.interval.min(seconds));
            member.interval = seconds.max(2.0);
            member.next_beat = now;
        }
    }
}

impl Member {
    const fn lives(&self) -> bool {
        matches!(self.life, Life::Working | Life::Draining)
    }

    /// Lets something happen to the node, rarely; says whether it died.
    fn fate(&mut self, rng: &mut Rng, now: f64, name: &str, network: &mut Network) -> bool {
        match self.life {
            Life::Working if rng.happens(0.000_1) => {
                let dies = rng.happens(0.6);
                if dies {
                    self.life = Life::Dead {
                        since: now,
                        interval: self.interval,
                    };
                    self.running.clear();
                } else {
                    self.life = Life::Draining;
                }
                self.back_at = now + 30.0 + rng.share() * 60.0;
                return dies;
            }
            Life::Draining if now > self.back_at - 20.0 => {
                let status = WorkerStatus::default();
                self.say(name, now, network, EventKind::WorkerOffline(status));
                self.life = Life::Gone;
            }
            Life::Gone | Life::Dead { .. } if now > self.back_at => {
                self.life = Life::Working;
                self.pid += 1;
                (self.sent, self.clock, self.interval) = (0, 0, 2.0);
                self.next_beat = now + 2.0;
                self.beat(name, now, network, true);
            }
            _ => {}
        }
        false
    }

    fn start(&mut self, name: &str, id: String, now: f64, ends: f64, network: &mut Network) {
        let received = TaskReceived {
            uuid: id.clone(),
            name: "app.work".to_owned(),
            ..TaskReceived::default()
        };
        self.sent += 2;
        self.say(
            name,
            now,
            network,
            EventKind::TaskReceived(Box::new(received)),
        );
        let started = EventKind::TaskStarted { uuid: id.clone() };
        self.say(name, now, network, started);
        self.running.push((id, ends));
    }

    fn finish(&mut self, name: &str, now: f64, network: &mut Network) -> Vec<String> {
        if !self.lives() {
            return Vec::new();
        }
        let (ended, running) = std::mem::take(&mut self.running)
            .into_iter()
            .partition::<Vec<_>, _>(|(_, ends)| *ends <= now);
        self.running = running;
        let ended: Vec<_> = ended.into_iter().map(|(id, _)| id).collect();
        for uuid in ended.iter().cloned() {
            self.sent += 1;
            let succeeded = EventKind::TaskSucceeded {
                uuid,
                result: "None".to_owned(),
                runtime: 1.0,
            };
            self.say(name, now, network, succeeded);
        }
        ended
    }

    fn beat(&mut self, name: &str, now: f64, network: &mut Network, online: bool) {
        let mut extra = Table::new();
        if self.life == Life::Draining {
            extra.push("draining", true);
        }
        extra.push("events_sent", self.sent);
        let status = WorkerStatus {
            freq: self.interval,
            sw_ident: Some("celeriac".to_owned()),
            extra,
            ..WorkerStatus::default()
        };
        let kind = if online {
            EventKind::WorkerOnline(status)
        } else {
            EventKind::WorkerHeartbeat(status)
        };
        self.say(name, now, network, kind);
    }

    fn say(&mut self, name: &str, now: f64, network: &mut Network, kind: EventKind) {
        self.clock += 1;
        let event = Event {
            hostname: name.to_owned(),
            utcoffset: 0.0,
            pid: self.pid,
            clock: self.clock,
            timestamp: 1e9 + now + self.skew,
            kind,
        };
        network.send(now, Parcel::Event(Box::new(event)));
    }
}
