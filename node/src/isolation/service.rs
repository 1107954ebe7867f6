//! Does on the node's connections what a task in a child asks for.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use celeriac::App;
use celeriac::Result;
use celeriac::backend::{Addition, Waiter};
use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::fault::Fault;
use super::frame::{Answer, Ask, ToChild, Welcome};
use super::wire;
use crate::execution::code::text;

/// So many results are watched for one run at most.
const WATCHES: usize = 10_000;

/// So much is asked at once by one child; what comes on top waits there.
pub(super) const ASKS: usize = 1024;

/// One child's way to the node's connections.
#[derive(Clone)]
pub(super) struct Service {
    app: App,
    max_frame: usize,
    frames: mpsc::Sender<Vec<u8>>,
    watches: Arc<Mutex<JoinSet<()>>>,
}

impl Service {
    pub(super) fn new(app: App, welcome: &Welcome, frames: mpsc::Sender<Vec<u8>>) -> Self {
        Self {
            app,
            max_frame: welcome.max_frame,
            frames,
            watches: Arc::default(),
        }
    }

    /// Does what was asked and answers it.
    pub(super) async fn serve(self, number: u64, ask: Ask) {
        let answer = match ask {
            Ask::Watch(id) => self.watch(&id).await,
            // Whatever happens, who asked waits for an answer.
            ask => match AssertUnwindSafe(answer(&self.app, ask))
                .catch_unwind()
                .await
            {
                Ok(answer) => answer.map_err(Fault::from),
                Err(panic) => Err(Fault::Refused {
                    what: "what the task asked".to_owned(),
                    reason: format!("the node panicked: {}", text(&*panic)),
                }),
            },
        };
        self.say(&ToChild::Answer(number, answer)).await;
    }

    /// Ends what belongs to a run.
    pub(super) fn end_run(&self) {
        self.lock().abort_all();
    }

    /// Tells the child what becomes of a task, until the run ends.
    async fn watch(&self, id: &str) -> Result<Answer, Fault> {
        let waiter = self.app.backend().watch(id).await?;
        let mut watches = self.lock();
        while watches.try_join_next().is_some() {}
        if watches.len() >= WATCHES {
            return Err(Fault::Refused {
                what: "watching a result".to_owned(),
                reason: format!("expected at most {WATCHES} at once in an isolated task"),
            });
        }
        watches.spawn(follow(waiter, self.clone()));
        Ok(Answer::Done)
    }

    async fn say(&self, frame: &ToChild) {
        let bytes = wire::encode(frame, self.max_frame).or_else(|error| {
            // The answer is too large; that it is, is not.
            let ToChild::Answer(number, _) = frame else {
                return Err(error);
            };
            let fault = Fault::Refused {
                what: "an isolated task's request".to_owned(),
                reason: error.to_string(),
            };
            wire::encode(&ToChild::Answer(*number, Err(fault)), self.max_frame)
        });
        if let Ok(bytes) = bytes {
            // A child that is gone needs no answer.
            let _ = self.frames.send(bytes).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn follow(mut waiter: Waiter, service: Service) {
    let mut next = waiter.last();
    loop {
        if let Some(document) = next.take() {
            let ready = document.status.is_ready();
            let document = Box::new(document.as_ref().clone());
            service.say(&ToChild::Document(document)).await;
            if ready {
                return;
            }
        }
        next = Some(waiter.changed().await);
    }
}

async fn answer(app: &App, ask: Ask) -> Result<Answer> {
    let (broker, backend) = (app.broker(), app.backend());
    let each = |answers: Vec<Result<()>>| {
        let answers = answers.into_iter();
        answers.map(|answer| answer.map_err(Fault::from)).collect()
    };
    Ok(match ask {
        Ask::Declare(topology) => broker.declare(&topology).await.map(|()| Answer::Done)?,
        Ask::Publish(mut publications) => {
            let sends = app.trace_sends(&mut publications);
            let answers = broker.publish_all(publications).await;
            sends.end(&answers);
            Answer::Published(each(answers))
        }
        Ask::Queue(name) => Answer::Queue(broker.queue(&name).await?),
        Ask::Purge(name) => Answer::Count(broker.purge(&name).await?),
        Ask::DeleteQueue(name) => Answer::Flag(broker.delete_queue(&name).await?),
        Ask::Store(batch) => {
            let answers = backend.store(batch).await.into_iter();
            Answer::Stored(answers.map(|answer| answer.map_err(Fault::from)).collect())
        }
        Ask::Fetch(ids) => Answer::Documents(backend.fetch(&ids).await?),
        // Answered by who can follow it up.
        Ask::Watch(_) => Answer::Done,
        Ask::Forget(ids) => backend.forget(&ids).await.map(|()| Answer::Done)?,
        Ask::BeginJoin(group, size) => {
            backend.begin_join(&group, size).await?;
            Answer::Done
        }
        Ask::Join(member) => Answer::Joined(backend.join(member).await?),
        Ask::ExtendJoin(group, id, expected) => {
            let addition = match expected {
                true => Addition::Expected(&id),
                false => Addition::Withdrawn(&id),
            };
            backend.extend_join(&group, addition).await?;
            Answer::Done
        }
        Ask::SaveGroup(group) => backend.save_group(&group).await.map(|()| Answer::Done)?,
        Ask::RestoreGroup(id) => Answer::Group(backend.restore_group(&id).await?),
        Ask::DeleteGroup(id) => backend.delete_group(&id).await.map(|()| Answer::Done)?,
        Ask::EndJoin(group) => backend.end_join(&group).await.map(|()| Answer::Done)?,
    })
}
