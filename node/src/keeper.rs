//! The actor that keeps one loop of the data plane.

use std::sync::Arc;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context, Handler, Recipient,
    ResponseFuture, WrapFuture as _,
};
use futures_util::future::BoxFuture;
use tokio::runtime;
use tokio_util::sync::CancellationToken;

use crate::guardian::{Guard, Stop};

/// Keeps one loop of the data plane: starts it on the work-stealing runtime, stops it
/// in order, and ends with it, so that its parent makes both anew.
///
/// Deliveries and outcomes travel in such loops, in batches and through bounded
/// channels. A message between arbiters wakes a thread, which costs tens of
/// microseconds; a task costs less than that as a whole.
pub(crate) struct Keeper {
    guard: Guard,
    runtime: runtime::Handle,
    work: Option<BoxFuture<'static, ()>>,
    stop: CancellationToken,
    ended: Arc<CancellationToken>,
}

impl Keeper {
    /// Starts a keeper of the loop that `work` makes; the loop ends when its token
    /// fires.
    pub(crate) fn start_loop(
        guard: Guard,
        runtime: &runtime::Handle,
        work: impl FnOnce(CancellationToken) -> BoxFuture<'static, ()>,
    ) -> Recipient<Stop> {
        let stop = CancellationToken::new();
        let keeper = Self {
            guard,
            runtime: runtime.clone(),
            work: Some(work(stop.clone())),
            stop,
            ended: Arc::default(),
        };
        keeper.start().recipient()
    }
}

impl Actor for Keeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(work) = self.work.take() else { return };
        let running = self.runtime.spawn(work).into_actor(self);
        ctx.spawn(running.map(|end, keeper, ctx| {
            if end.is_err_and(|error| error.is_panic()) {
                keeper.guard.note_panic();
            }
            keeper.ended.cancel();
            ctx.stop();
        }));
    }
}

impl Handler<Stop> for Keeper {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Stop, _: &mut Self::Context) -> Self::Result {
        self.stop.cancel();
        let ended = Arc::clone(&self.ended);
        Box::pin(async move { ended.cancelled().await })
    }
}
