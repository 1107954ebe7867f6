//! Runs a task within its limits, and reports what became of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use celeriac::clock;
use celeriac::protocol::control::Signal;
use celeriac::protocol::event::EventKind;
use celeriac::protocol::result::Extended;
use celeriac::protocol::{Embed, Exception};
use celeriac::task::{Handler, TaskError, TaskOptions};
use tokio::time::sleep;
use uuid::Uuid;

use super::code::{self, Ended, text};
use super::hooks::RunHooks;
use super::limits::RunLimits;
use super::log::log;
use super::outcome::{Outcome, Revocation};
use super::report::{self, Facts, Report, Settle};
use super::workflow::Step;
use super::{decide, document, republish, trace};
use crate::backend::Parcel;
use crate::config::DeadLetters;
use crate::heart;
use crate::isolation;
use crate::job::{Claim, Job, Stage, Stop};
use crate::returned;
use crate::shared::Shared;
use crate::slots::Slot;

/// Runs a task and hands its outcome over. The slot is held until then: outcomes that
/// cannot be delivered must not make room for more.
pub(crate) async fn execute(shared: Arc<Shared>, claim: Claim, slot: Slot) {
    let job = Arc::clone(&claim);
    job.start();
    let handler = match job.handler.as_deref() {
        // Who calls it off notes the id and then looks who runs: one of us sees the
        // other.
        Some(_) if shared.revoked.contains(job.headers()) => {
            Err(Outcome::Revoked(Revocation::Revoked))
        }
        Some(handler) => Ok(handler),
        None => Err(Outcome::Unknown),
    };
    let handler = match handler {
        Ok(handler) => handler,
        Err(outcome) => return conclude(&shared, claim, outcome).await,
    };
    let again = job.context.request().delivery.redelivered;
    if again {
        // The future of every other run need not have room for this one.
        Box::pin(heart::announce(&shared, job.id())).await;
    }
    if let Some(parcel) = begin(&shared, &job, handler.options()) {
        shared.outcomes.send(parcel).await;
    }
    let mut slot = Some(slot);
    let (outcome, embed) = match RunHooks::of(&job, handler.options()) {
        None => run(&shared, &job, handler, &mut slot).await,
        // The future of every other run need not have room for these.
        Some(hooks) => Box::pin(run_hooked(hooks, &shared, &job, handler, &mut slot)).await,
    };
    if let Some(counters) = shared.counters.task(&job.headers().task) {
        counters.runtime.observe(job.runtime());
    }
    shared.counters.processed.add(1);
    if again && matches!(outcome, Outcome::Reject { requeue: true, .. }) {
        // It would go round as fast as the broker can. Others run meanwhile.
        drop(slot);
        Box::pin(sleep(REQUEUE_PACE)).await;
    }
    if let Some(parcel) = hand_over(&shared, claim, outcome, embed) {
        shared.outcomes.send(parcel).await;
    }
}

/// How long a message waits here that a task has given back more than once.
const REQUEUE_PACE: Duration = Duration::from_secs(1);

async fn run_hooked(
    hooks: RunHooks<'_>,
    shared: &Arc<Shared>,
    job: &Arc<Job>,
    handler: &dyn Handler,
    slot: &mut Option<Slot>,
) -> (Outcome, Embed) {
    let mut before = Box::pin(hooks.before());
    let ended = tokio::select! {
        biased;
        // The code must not start after it was called off.
        () = job.context.cancelled() => Some(outcome(Ended::Stopped, job, handler.options())),
        ended = before.as_mut() => ended,
    };
    code::discard(before, job.id(), &job.headers().task);
    let (outcome, embed) = match ended {
        Some(outcome) => (outcome, followers(shared, job)),
        None if job.context.is_cancelled() => {
            let outcome = outcome(Ended::Stopped, job, handler.options());
            (outcome, followers(shared, job))
        }
        None => run(shared, job, handler, slot).await,
    };
    hooks.after(&outcome).await;
    (outcome, embed)
}

/// Ends a job whose task does not run.
pub(crate) async fn conclude(shared: &Shared, claim: Claim, outcome: Outcome) {
    let embed = followers(shared, &claim);
    if let Some(parcel) = hand_over(shared, claim, outcome, embed) {
        shared.outcomes.send(parcel).await;
    }
}

/// Makes the report of a job that fails for what came after its run.
pub(crate) fn failed(shared: &Shared, job: &Job, exception: Exception) -> Report {
    let outcome = Outcome::Failure {
        exception,
        causes: Vec::new(),
    };
    log(job, &outcome);
    report_of(shared, job, outcome, followers(shared, job))
}

/// Returns what waits for a job's end. A body that cannot be read names nothing.
fn followers(shared: &Shared, job: &Job) -> Embed {
    let body = job.open(&shared.limits).ok();
    body.and_then(|body| Some(body.parts().ok()?.embed))
        .unwrap_or_default()
}

/// Notes that a task starts; returns what is still to be delivered of that.
fn begin(shared: &Shared, job: &Job, options: &TaskOptions) -> Option<Box<Parcel>> {
    if !options.acks_late {
        job.acknowledge_early();
    }
    let headers = job.headers();
    if let Some(counters) = shared.counters.task(&headers.task) {
        counters.started.add(1);
        if let Some(waited) = job.queue_time() {
            counters.queue_time.observe(waited);
        }
    }
    // One that came again has told so already.
    if shared.events.enabled() && !job.context.request().delivery.redelivered {
        shared.events.emit([EventKind::TaskStarted {
            uuid: headers.id.clone(),
        }]);
    }
    // A task may store states itself.
    let extended = match shared.app.result_extended() {
        true => Some(document::extended(job, &shared.limits)),
        false => None,
    };
    let stores = shared.app.backend().capabilities().stores;
    if !options.track_started || !stores || document::ignores(headers, options) {
        return None;
    }
    let mut started = document::started(headers, job.properties(), shared.name());
    started.document.extended = extended;
    let report = Report {
        stores: vec![started],
        ..Report::default()
    };
    shared.outcomes.offer(shared, Parcel::new(None, report))
}

async fn run(
    shared: &Arc<Shared>,
    job: &Arc<Job>,
    handler: &dyn Handler,
    slot: &mut Option<Slot>,
) -> (Outcome, Embed) {
    let options = handler.options();
    let limits = limits(shared, job, options);
    if options.isolated {
        // The future of every other run need not have room for this one.
        return Box::pin(run_isolated(shared, job, options, limits)).await;
    }
    let mut embed = Embed::default();
    let started = job.open(&shared.limits).and_then(|body| {
        let mut parts = body.parts()?;
        embed = std::mem::take(&mut parts.embed);
        if let Some(body) = &embed.chord {
            job.context.set_chord(body.clone());
        }
        // Decoding runs code of the task's own types.
        let start = AssertUnwindSafe(|| handler.start(job.context.clone(), parts));
        match std::panic::catch_unwind(start) {
            Ok(started) => started.map(Ok),
            Err(panic) => Ok(Err(text(&*panic))),
        }
    });
    let execution = match started {
        Ok(Ok(execution)) => trace::within(execution, &job.context),
        Ok(Err(message)) => return (Outcome::Panicked { message }, embed),
        Err(error) => return (Outcome::Unreadable(error), embed),
    };
    let ended = code::run(execution, shared, job, limits, slot).await;
    (outcome(ended, job, options), embed)
}

fn limits(shared: &Shared, job: &Job, options: &TaskOptions) -> RunLimits {
    let headers = job.headers();
    let set = shared.time_limits.get(&headers.task);
    RunLimits::pick(headers.timelimit, set, options, &shared.config)
}

/// Runs a task in a process of its own, where its arguments are read.
async fn run_isolated(
    shared: &Arc<Shared>,
    job: &Arc<Job>,
    options: &TaskOptions,
    limits: RunLimits,
) -> (Outcome, Embed) {
    let embed = job.open(&shared.limits);
    let embed = embed.and_then(|body| Ok(body.parts()?.embed));
    match embed {
        Ok(embed) => {
            let ended = isolation::run::run(shared, job, limits).await;
            (outcome(ended, job, options), embed)
        }
        Err(error) => (Outcome::Unreadable(error), Embed::default()),
    }
}

/// What the end of the code means.
fn outcome(ended: Ended, job: &Job, options: &TaskOptions) -> Outcome {
    match (ended, job.stopping()) {
        (Ended::TimedOut(limit, after), _) => Outcome::TimedOut { limit, after },
        (Ended::Lost, _) => Outcome::Lost,
        // What a task says after it was asked to stop is no failure of its own; what it
        // has done is done.
        (
            Ended::Stopped | Ended::Returned(Err(TaskError::Failure { .. })),
            Some(Stop::Shutdown),
        ) => Outcome::Lost,
        (Ended::Stopped | Ended::Returned(Err(_)), Some(Stop::Terminated(signal))) => {
            Outcome::Revoked(Revocation::Terminated(signal))
        }
        // Its own code fired its token.
        (Ended::Stopped, None) => Outcome::Revoked(Revocation::Terminated(Signal::TERM)),
        (Ended::Crashed(_), Some(Stop::Shutdown)) => Outcome::Lost,
        (Ended::Crashed(_), Some(Stop::Terminated(signal))) => {
            Outcome::Revoked(Revocation::Terminated(signal))
        }
        (Ended::Crashed(cause), None) => Outcome::Crashed { cause },
        (Ended::NoProcess(_), Some(Stop::Shutdown)) => Outcome::Lost,
        (Ended::NoProcess(_), Some(Stop::Terminated(signal))) => {
            Outcome::Revoked(Revocation::Terminated(signal))
        }
        (Ended::NoProcess(reason), None) => Outcome::NoProcess { reason },
        (Ended::Unreadable(error), _) => Outcome::Unreadable(error),
        (Ended::Panicked(message), _) => Outcome::Panicked { message },
        (Ended::Returned(result), _) => {
            decide::decide(result, job.headers(), options, clock::now(), random())
        }
    }
}

/// Hands an outcome over; returns it when it has to wait.
///
/// No async function: a run's future is copied when it is spawned, and what lives here
/// would be a part of it.
fn hand_over(shared: &Shared, claim: Claim, outcome: Outcome, embed: Embed) -> Option<Box<Parcel>> {
    let job = Arc::clone(&claim);
    job.advance(Stage::Delivering);
    log(&job, &outcome);
    if let Some(tracer) = shared.app.tracer()
        && let Some(span) = trace::span(&job, &outcome)
    {
        tracer.record(span);
    }
    let lost = outcome == Outcome::Lost;
    let mut report = report_of(shared, &job, outcome, embed);
    if lost {
        shared.note_unfinished(job.id());
        if report.settle == Settle::GiveBack {
            report = returned::report(shared, &job);
        }
    }
    shared
        .outcomes
        .offer(shared, Parcel::new(Some(claim), report))
}

fn report_of(shared: &Shared, job: &Job, outcome: Outcome, embed: Embed) -> Report {
    let none = TaskOptions::default();
    let options = job.handler.as_ref();
    let options = options.map_or(&none, |handler| handler.options());
    let known = outcome != Outcome::Unknown;
    let mut report = report::report(
        outcome,
        embed,
        Facts {
            headers: job.headers(),
            properties: job.properties(),
            options,
            now: clock::now(),
            runtime: job.runtime(),
            children: job.context.children(),
            stores: shared.app.backend().capabilities().stores,
            redelivered: job.context.request().delivery.redelivered,
            acknowledged: !options.acks_late && job.is_acknowledged(),
            keeps: shared.config.dead_letters == DeadLetters::Failed,
            events: shared.events.enabled(),
            plan: &|signature, rest| shared.app.plan(signature, rest),
            again: &|again| republish::again(job, again, &shared.limits),
        },
    );
    if !report.steps.is_empty() {
        Step::carry_on(&mut report.steps, job.context.trace_shared());
    }
    if shared.app.result_extended() {
        let mut stores = report.stores.iter_mut();
        let own = stores.find(|store| store.document.task_id == job.id());
        if let Some(store) = own {
            store.document.extended = Some(match known {
                true => document::extended(job, &shared.limits),
                // Celery's workers say nothing of a task that they do not know.
                false => Extended::default(),
            });
        }
    }
    report
}

/// A number in 0..1 for jitter.
pub(super) fn random() -> f64 {
    // The lower 53 bits of a random id are random; its version and variant are above.
    let bits = Uuid::new_v4().as_u64_pair().1 & ((1 << 53) - 1);
    bits as f64 / (1_u64 << 53) as f64
}
