//! The Beat actor: keeps the loop that sends ticks.

use std::sync::Arc;

use actix::prelude::*;
use celeriac::App;

use super::runner::Runner;
use crate::board::Board;
use crate::guardian::Ward;
use crate::leader::Election;

/// Sends the tasks of schedule entries, while it leads.
pub(crate) struct Beat {
    app: App,
    board: Arc<Board>,
    station: Station,
    _ward: Ward,
}

/// Who this process is among those that stand for election.
#[derive(Debug, Clone)]
pub(crate) struct Station {
    /// How it is called.
    pub(crate) name: String,
    /// Where others reach its API, if they do.
    pub(crate) url: Option<String>,
    pub(crate) election: Arc<dyn Election>,
}

impl Beat {
    pub(crate) fn new(app: App, board: Arc<Board>, station: Station, ward: Ward) -> Self {
        Self {
            app,
            board,
            station,
            _ward: ward,
        }
    }
}

impl Actor for Beat {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let runner = Runner::new(
            self.app.clone(),
            Arc::clone(&self.board),
            self.station.clone(),
        );
        // In this context: it ends with the actor, and its panic is the actor's.
        ctx.spawn(runner.run().into_actor(self));
    }
}
