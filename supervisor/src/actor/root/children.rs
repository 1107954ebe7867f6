//! The Root's children and how they are started, and started again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use celeriac::App;

use super::{Arbiters, Root};
use crate::actor::asker::Asker;
use crate::actor::backend::Backend;
use crate::actor::intake::Intake;
use crate::actor::node_proxy::{self, NodeProxy};
use crate::actor::survey::Survey;
use crate::beat::{Beat, Station};
use crate::board::Board;
use crate::config::Config;
use crate::guardian::{Ended, Guardian, Verdict};
use crate::letters::Collector;
use crate::pods::Keeper;

/// The Root's children.
pub(super) struct Children {
    backend: Guardian<Backend>,
    intake: Guardian<Intake>,
    survey: Guardian<Survey>,
    collector: Guardian<Collector>,
    beat: Guardian<Beat>,
    /// Only where the settings say which pods run nodes.
    keeper: Option<Guardian<Keeper>>,
    proxies: HashMap<String, Guardian<NodeProxy>>,
    board: Arc<Board>,
    asker: Asker,
}

const BACKEND: &str = "backend";
const INTAKE: &str = "intake";
const SURVEY: &str = "survey";
const COLLECTOR: &str = "collector";
const BEAT: &str = "beat";
const KEEPER: &str = "keeper";
const PROXY: &str = "node proxy";

impl Children {
    /// Starts those that there is one of.
    pub(super) fn start(
        app: &App,
        board: &Arc<Board>,
        config: &Config,
        station: &Station,
        arbiters: &Arbiters,
        root: &Addr<Root>,
    ) -> Self {
        let shared = || (app.clone(), Arc::clone(board));
        let parent = || root.clone().recipient::<Ended>();

        let (a, b) = shared();
        let (place, hidden) = (Some(arbiters.backend.clone()), config.redaction.clone());
        let backend = Guardian::new(BACKEND, place, parent(), move |ward| {
            Backend::new(a.clone(), Arc::clone(&b), hidden.clone(), ward)
        });

        let (a, b) = shared();
        let (place, batches) = (Some(arbiters.intake.clone()), root.clone().recipient());
        let intake = Guardian::new(INTAKE, place, parent(), move |ward| {
            Intake::new(a.clone(), Arc::clone(&b), batches.clone(), ward)
        });

        let (a, b) = shared();
        let survey_config = config.clone();
        let survey = Guardian::new(SURVEY, None, parent(), move |ward| {
            Survey::new(a.clone(), Arc::clone(&b), &survey_config, ward)
        });

        let (a, b) = shared();
        let letters = config.clone();
        let collector = Guardian::new(COLLECTOR, None, parent(), move |ward| {
            Collector::new(a.clone(), Arc::clone(&b), letters.clone(), ward)
        });

        let (a, b) = shared();
        let station = station.clone();
        let beat = Guardian::new(BEAT, None, parent(), move |ward| {
            Beat::new(a.clone(), Arc::clone(&b), station.clone(), ward)
        });

        let keeper = board.pools.as_ref().map(|pools| {
            let (board, pods) = (Arc::clone(board), pools.source());
            Guardian::new(KEEPER, None, parent(), move |ward| {
                Keeper::new(Arc::clone(&board), pods.clone(), ward)
            })
        });

        let asker = Asker::new(app.clone(), config.enable_events);
        let board = Arc::clone(board);
        let mut all = Self {
            backend,
            intake,
            survey,
            collector,
            beat,
            keeper,
            proxies: HashMap::new(),
            board,
            asker,
        };
        // The Backend first: the Intake's first batch already needs it.
        for part in [BACKEND, INTAKE, SURVEY, COLLECTOR, BEAT, KEEPER] {
            all.restart(part, "");
        }
        all
    }

    pub(super) fn backend(&self) -> Option<Addr<Backend>> {
        self.backend.child().cloned()
    }

    pub(super) fn asker(&self) -> Asker {
        self.asker.clone()
    }

    pub(super) fn proxies(&self) -> Vec<Addr<NodeProxy>> {
        let proxies = self.proxies.values();
        proxies.filter_map(|proxy| proxy.child().cloned()).collect()
    }

    pub(super) fn proxy(&self, node: &str) -> Option<Addr<NodeProxy>> {
        self.proxies.get(node)?.child().cloned()
    }

    /// Starts the proxy of a node that joined.
    pub(super) fn join(&mut self, node: &str, root: &Addr<Root>) {
        let tell = node_proxy::Tell {
            audited: root.clone().recipient(),
            queues: root.clone().recipient(),
        };
        let (asker, board) = (self.asker.clone(), Arc::clone(&self.board));
        let name = node.to_owned();
        let parent = root.clone().recipient();
        let mut proxy = Guardian::new(PROXY, None, parent, move |ward| {
            let (asker, board) = (asker.clone(), Arc::clone(&board));
            NodeProxy::new(name.clone(), asker, board, tell.clone(), ward)
        })
        .named(node);
        proxy.start();
        self.proxies.insert(node.to_owned(), proxy);
    }

    /// Forgets a node's proxy; returns its address, to be told.
    pub(super) fn leave(&mut self, node: &str) -> Option<Addr<NodeProxy>> {
        self.proxies.remove(node)?.release()
    }

    /// Decides about the end of a child.
    pub(super) fn ended(&mut self, ended: &Ended, now: Instant) -> Verdict {
        match ended.part {
            BACKEND => self.backend.ended(ended, now),
            INTAKE => self.intake.ended(ended, now),
            SURVEY => self.survey.ended(ended, now),
            COLLECTOR => self.collector.ended(ended, now),
            BEAT => self.beat.ended(ended, now),
            KEEPER => match self.keeper.as_mut().map(|keeper| keeper.ended(ended, now)) {
                // It is best effort: nothing else is given up for it.
                Some(Verdict::GiveUp { restarts }) => {
                    tracing::error!(restarts, "the keeper of pods keeps ending");
                    Verdict::Ignore
                }
                verdict => verdict.unwrap_or(Verdict::Ignore),
            },
            _ => match self
                .proxies
                .get_mut(&*ended.key)
                .map(|proxy| proxy.ended(ended, now))
            {
                // One node that cannot be stood for is no reason to give up all others:
                // the model still follows it.
                Some(Verdict::GiveUp { restarts }) => {
                    tracing::error!(node = &*ended.key, restarts, "a node's proxy keeps ending");
                    self.proxies.remove(&*ended.key);
                    Verdict::Ignore
                }
                verdict => verdict.unwrap_or(Verdict::Ignore),
            },
        }
    }

    pub(super) fn restart(&mut self, part: &str, key: &str) {
        match part {
            BACKEND => drop(self.backend.start()),
            INTAKE => drop(self.intake.start()),
            SURVEY => drop(self.survey.start()),
            COLLECTOR => drop(self.collector.start()),
            BEAT => drop(self.beat.start()),
            KEEPER => drop(self.keeper.as_mut().map(Guardian::start)),
            _ => drop(self.proxies.get_mut(key).map(Guardian::start)),
        }
    }
}
