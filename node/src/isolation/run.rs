//! One run of an isolated task, from the node's side.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac::protocol::task::Protocol;
use futures_util::FutureExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Isolation;
use super::frame::{Code, End, Run, ToChild};
use super::loss::{self, Loss};
use super::memory::resident;
use super::pool::TRIES;
use super::process::{News, Process};
use super::silence::Silence;
use crate::execution::code::{Ended, supervise};
use crate::execution::limits::RunLimits;
use crate::job::{Job, Stop};
use crate::shared::{Phase, Shared};

/// How often the memory of a process is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How often it is looked whether a process lives.
const CALM_LOOK: Duration = Duration::from_secs(1);

/// Between the death of a process that was told to end, and that of its node.
const TOGETHER: Duration = Duration::from_secs(1);

/// Runs a job's task in a process; returns when that is idle again, or gone.
///
/// Limits count from when its code starts.
pub(crate) async fn run(shared: &Arc<Shared>, job: &Arc<Job>, limits: RunLimits) -> Ended {
    let supervision = match shared.isolation.supervision() {
        Ok(supervision) => supervision,
        Err(reason) => return Ended::NoProcess(reason),
    };
    let (shared, job) = (Arc::clone(shared), Arc::clone(job));
    // Ended when this is dropped.
    let mut run = JoinSet::new();
    let attended = async move {
        let ended = attend(&shared, &job, limits);
        // What runs when the node ends is the broker's again.
        let ended = shared.isolation.attend(ended).await;
        ended.unwrap_or(Ended::Lost)
    };
    run.spawn_on(attended, &supervision);
    let ended = run.join_next().await.and_then(Result::ok);
    ended.unwrap_or(Ended::Lost)
}

async fn attend(shared: &Shared, job: &Arc<Job>, limits: RunLimits) -> Ended {
    let pool = &shared.isolation;
    let started = tokio::select! {
        biased;
        started = start(shared, job) => started,
        () = job.context.cancelled() => return Ended::Stopped,
    };
    let (_permit, mut process, run) = match started {
        Ok(started) => started,
        Err(ended) => return ended,
    };
    let ended = {
        let talk = pin!(converse(&mut process, shared, job, run));
        supervise(talk, shared, job, limits, true).await
    };
    match &ended {
        Ended::Returned(_) | Ended::Panicked(_) | Ended::Unreadable(_) => {
            process.end_run();
            pool.give_back(process);
        }
        // Its place is free when it is gone, and not before.
        _ => drop(process.end().await),
    }
    ended
}

type Running = (Option<OwnedSemaphorePermit>, Process, u64);

/// Has a process start the task. One that dies before that is not the task's fault:
/// another one is taken.
async fn start(shared: &Shared, job: &Arc<Job>) -> Result<Running, Ended> {
    let pool = &shared.isolation;
    let permit = pool.permit().await;
    let mut tries = 0;
    loop {
        let taken = pool.take(&shared.app).await;
        let mut process = taken.map_err(Ended::NoProcess)?;
        let run = pool.next_run();
        process.label(job.id(), &job.headers().task);
        let frame = ToChild::Run(Box::new(Run {
            run,
            request: job.context.request().clone(),
            trace: job.context.trace().cloned(),
            first_protocol: job.protocol == Protocol::V1,
            body: job.body.clone(),
            max_body: pool.max_body(),
        }));
        let frame = match process.encode(&frame) {
            Ok(frame) => frame,
            Err(error) => {
                pool.give_back(process);
                return Err(Ended::NoProcess(error.to_string()));
            }
        };
        let Err(loss) = hand_over(&mut process, frame, run, pool.settings()).await else {
            job.set_worker(process.pid());
            return Ok((permit, process, run));
        };
        process.end().await;
        tries += 1;
        let pid = process.pid();
        tracing::warn!(pid, %loss, tries, "process was gone before its task started");
        if tries >= TRIES {
            return Err(Ended::NoProcess(format!(
                "it was gone before the task started: {loss}"
            )));
        }
    }
}

/// Hands a task over, and waits until it starts.
async fn hand_over(
    process: &mut Process,
    frame: Vec<u8>,
    run: u64,
    settings: &Isolation,
) -> Result<(), Loss> {
    let mut looks = interval(CALM_LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silence = Silence::new(process.heard(), Instant::now());
    let mut post = pin!(process.post(frame).fuse());
    loop {
        tokio::select! {
            biased;
            news = process.next() => match news {
                News::Started(started) if started == run => return Ok(()),
                News::Closed(garbled) => return Err(process.loss(garbled).await),
                // Of another run, or said out of turn.
                News::Started(_) | News::End(_) | News::Hello(_) | News::Broken(_) => {}
            },
            () = &mut post => {}
            _ = looks.tick() => {
                let silence = silence.look(process.heard(), Instant::now());
                if let Some(loss) = excess(settings, None, silence) {
                    return Err(loss);
                }
            }
        }
    }
}

/// Waits for what comes of a task that has started.
async fn converse(process: &mut Process, shared: &Shared, job: &Arc<Job>, run: u64) -> Ended {
    let settings = shared.isolation.settings();
    let mut looks = interval(match settings.max_memory {
        Some(_) => LOOK,
        None => CALM_LOOK,
    });
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silence = Silence::new(process.heard(), Instant::now());
    let (mut soft, mut stop) = (Wish::default(), Wish::default());
    let mut ended = false;
    loop {
        tokio::select! {
            biased;
            news = process.next() => match news {
                News::End(end) if end.run == run => return close(*end, job),
                News::Closed(garbled) => {
                    let loss = process.loss(garbled).await;
                    return lost(&loss, run, shared, job).await;
                }
                // Of another run, or said out of turn.
                News::End(_) | News::Started(_) | News::Hello(_) | News::Broken(_) => {}
            },
            () = job.context.cancelled(), if !stop.heard => {
                stop.heard = true;
                match job.stopping() {
                    Some(Stop::Terminated(signal)) => {
                        process.signal(signal);
                        stop.told = true;
                    }
                    Some(Stop::Shutdown) | None => stop.tell(process, &ToChild::Cancel(run)),
                }
            }
            () = job.context.soft_limit(), if !soft.heard => {
                soft.heard = true;
                soft.tell(process, &ToChild::SoftLimit(run));
            }
            _ = looks.tick() => {
                stop.tell(process, &ToChild::Cancel(run));
                soft.tell(process, &ToChild::SoftLimit(run));
                let held = settings.max_memory.and_then(|_| resident(process.pid()));
                let silence = silence.look(process.heard(), Instant::now());
                if ended {
                    // What it said last has been heard since.
                    let loss = process.loss(None).await;
                    return lost(&loss, run, shared, job).await;
                }
                ended = process.has_ended();
                if let Some(loss) = excess(settings, held, silence) {
                    process.end().await;
                    return crashed(&loss, run, job);
                }
            }
        }
    }
}

/// Something that the process is to hear, once there is room for it.
#[derive(Default)]
struct Wish {
    heard: bool,
    told: bool,
}

impl Wish {
    fn tell(&mut self, process: &Process, frame: &ToChild) {
        if self.heard && !self.told {
            self.told = process.say(frame);
        }
    }
}

/// Says what is too much: memory held, or time without a sign of life.
fn excess(settings: &Isolation, held: Option<u64>, silence: Duration) -> Option<Loss> {
    match (settings.max_memory, held) {
        (Some(limit), Some(used)) if used > limit => Some(Loss::Memory { limit, used }),
        _ if silence > settings.silence => Some(Loss::Silent(silence)),
        _ => None,
    }
}

fn close(end: End, job: &Job) -> Ended {
    for child in end.children {
        job.context.add_child(child);
    }
    match end.code {
        Code::Returned(result) => Ended::Returned(result),
        Code::Panicked(message) => Ended::Panicked(message),
        Code::Unreadable(error) => Ended::Unreadable(error),
    }
}

/// Says what the death of a process means. Who ends a service often ends each of its
/// processes: then the node drains as well, and the task is for another one.
async fn lost(loss: &Loss, run: u64, shared: &Shared, job: &Job) -> Ended {
    let told = loss.is_told_to_end() && job.stopping().is_none();
    if told
        && timeout(TOGETHER, shared.reach(Phase::Draining))
            .await
            .is_ok()
    {
        return Ended::Lost;
    }
    crashed(loss, run, job)
}

fn crashed(loss: &Loss, run: u64, job: &Job) -> Ended {
    let (task_id, task) = (job.id(), job.headers().task.as_str());
    tracing::warn!(task_id, task, %loss, "process of the task is gone");
    Ended::Crashed(loss::text(loss, run))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_is_told_from_enough() {
        let mut settings = Isolation {
            silence: Duration::from_secs(10),
            ..Isolation::default()
        };
        let (calm, long) = (Duration::from_secs(9), Duration::from_secs(11));
        assert_eq!(excess(&settings, Some(u64::MAX), calm), None);
        assert_eq!(excess(&settings, None, long), Some(Loss::Silent(long)));
        settings.max_memory = Some(100);
        assert_eq!(excess(&settings, Some(100), calm), None);
        assert_eq!(excess(&settings, None, calm), None);
        let loss = Loss::Memory {
            limit: 100,
            used: 101,
        };
        assert_eq!(excess(&settings, Some(101), calm), Some(loss));
    }
}
