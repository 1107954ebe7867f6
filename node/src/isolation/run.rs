//! One run of an isolated task, from the node's side.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use celeriac::protocol::task::Protocol;
use tokio::time::{MissedTickBehavior, interval};

use super::Isolation;
use super::frame::{Code, End, Run, ToChild};
use super::loss::{self, Loss};
use super::memory::resident;
use super::process::{News, Process};
use crate::execution::code::{Ended, supervise};
use crate::execution::limits::RunLimits;
use crate::job::{Job, Stop};
use crate::shared::Shared;

/// How often the memory of a process is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Runs a job's task in a process; returns when that is idle again, or gone.
///
/// Limits count from when it has a process.
pub(crate) async fn run(shared: &Shared, job: &Arc<Job>, limits: RunLimits) -> Ended {
    let pool = &shared.isolation;
    let taken = tokio::select! {
        biased;
        taken = async {
            let permit = pool.permit().await;
            (permit, pool.take(&shared.app).await)
        } => taken,
        () = job.context.cancelled() => return Ended::Stopped,
    };
    let (_permit, mut process) = match taken {
        (permit, Ok(process)) => (permit, process),
        (_, Err(reason)) => return Ended::NoProcess(reason),
    };
    job.set_worker(process.pid());
    let run = pool.next_run();
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

/// Hands the task to the process and waits for what comes of it.
async fn converse(process: &mut Process, shared: &Shared, job: &Arc<Job>, run: u64) -> Ended {
    let settings = shared.isolation.settings();
    process.label(job.id(), &job.headers().task);
    let frame = ToChild::Run(Box::new(Run {
        run,
        request: job.context.request().clone(),
        first_protocol: job.protocol == Protocol::V1,
        body: job.body.clone(),
        max_body: shared.isolation.max_body(),
    }));
    if !process.say(&frame) && process.is_alive() {
        return Ended::NoProcess("the message is too large for a process".to_owned());
    }
    let mut looks = interval(match settings.max_memory {
        Some(_) => LOOK,
        None => Duration::from_secs(1),
    });
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut warned, mut stopping) = (false, false);
    loop {
        tokio::select! {
            biased;
            news = process.next() => match news {
                News::End(end) if end.run == run => return close(*end, job),
                News::Closed(garbled) => {
                    let loss = process.loss(garbled).await;
                    return crashed(&loss, run, job);
                }
                // Of another run, or said out of turn.
                News::End(_) | News::Hello(_) | News::Broken(_) => {}
            },
            () = job.context.cancelled(), if !stopping => {
                stopping = true;
                match job.stopping() {
                    Some(Stop::Terminated(signal)) => process.signal(signal),
                    Some(Stop::Shutdown) | None => drop(process.say(&ToChild::Cancel(run))),
                }
            }
            () = job.context.soft_limit(), if !warned => {
                warned = true;
                process.say(&ToChild::SoftLimit(run));
            }
            _ = looks.tick() => {
                let held = settings.max_memory.and_then(|_| resident(process.pid()));
                if let Some(loss) = excess(settings, held, process.silence()) {
                    process.end().await;
                    return crashed(&loss, run, job);
                }
            }
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
