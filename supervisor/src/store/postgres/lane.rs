//! What owns one connection and runs one call after the other on it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;

use super::link::{Link, Target};
use crate::store::error::StoreError;
use crate::store::row::Row;
use crate::store::statement::Statement;

/// What a connection is asked to do, and until when.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) work: Work,
    pub(super) within: Duration,
    pub(super) deadline: Instant,
}

#[derive(Debug)]
pub(super) enum Work {
    Write(
        Vec<Statement>,
        oneshot::Sender<Result<Vec<u64>, StoreError>>,
    ),
    Read(Statement, oneshot::Sender<Result<Vec<Row>, StoreError>>),
    Close,
}

/// Owns one connection; a connection that failed in any way is thrown away, and the next
/// call makes another.
pub(super) struct Lane {
    target: Arc<Target>,
    writes: bool,
    link: Option<Link>,
    /// After a failure to connect: how long and until when no other attempt is made.
    pause: Duration,
    until: Option<(Instant, StoreError)>,
}

const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MOST: Duration = Duration::from_secs(5);

impl Lane {
    pub(super) fn writer(target: Arc<Target>, link: Option<Link>) -> Self {
        Self {
            target,
            writes: true,
            link,
            pause: PAUSE,
            until: None,
        }
    }

    pub(super) fn reader(target: Arc<Target>) -> Self {
        Self {
            writes: false,
            ..Self::writer(target, None)
        }
    }

    /// Runs calls until told to close.
    pub(super) async fn run(mut self, calls: Arc<Mutex<mpsc::Receiver<Call>>>) {
        loop {
            // The one that waits holds the lock; the others wait for it, and take turns.
            let call = calls.lock().await.recv().await;
            let Some(call) = call else { return };
            match call.work {
                Work::Write(statements, answer) => {
                    let done = self.write(&statements, call.deadline, call.within).await;
                    // Who asked may have gone; what was asked is done all the same.
                    let _ = answer.send(done);
                }
                Work::Read(statement, answer) => {
                    if !answer.is_closed() {
                        let found = self.read(&statement, call.deadline, call.within).await;
                        let _ = answer.send(found);
                    }
                }
                Work::Close => {
                    if self.writes {
                        calls.lock().await.close();
                    }
                    return;
                }
            }
        }
    }

    async fn write(
        &mut self,
        statements: &[Statement],
        deadline: Instant,
        within: Duration,
    ) -> Result<Vec<u64>, StoreError> {
        let mut link = self.connected(deadline, within).await?;
        let mut committing = false;
        let run = link.transaction(statements, within, &mut committing);
        let done = match tokio::time::timeout_at(deadline, run).await {
            Ok(done) => done,
            Err(_) => Err(StoreError::TooLong(within)),
        };
        match done {
            Err(error) if committing => Err(StoreError::Unknown(error.to_string())),
            Err(error) if error.is_transient() => Err(error),
            done => {
                // Whatever was refused has been taken back, so the connection is fine.
                self.link = Some(link);
                done
            }
        }
    }

    async fn read(
        &mut self,
        statement: &Statement,
        deadline: Instant,
        within: Duration,
    ) -> Result<Vec<Row>, StoreError> {
        let mut link = self.connected(deadline, within).await?;
        let run = link.query(statement, within);
        match tokio::time::timeout_at(deadline, run).await {
            Ok(found) => {
                if !matches!(found, Err(StoreError::Unavailable(_))) {
                    self.link = Some(link);
                }
                found
            }
            // The server stops it by itself; the connection goes, so that nothing of it
            // comes in with the next answer.
            Err(_) => Err(StoreError::TooLong(within)),
        }
    }

    /// Takes the connection, or makes one.
    async fn connected(&mut self, deadline: Instant, within: Duration) -> Result<Link, StoreError> {
        if Instant::now() >= deadline {
            return Err(StoreError::TooLong(within));
        }
        if let Some(link) = self.link.take().filter(Link::is_open) {
            return Ok(link);
        }
        if let Some((until, error)) = &self.until
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        let connect = self.target.connect(self.writes);
        let error = match tokio::time::timeout_at(deadline, connect).await {
            Ok(Ok(link)) => {
                self.until = None;
                self.pause = PAUSE;
                return Ok(link);
            }
            Ok(Err(error)) => error,
            Err(_) => StoreError::unavailable("the server does not answer"),
        };
        self.until = Some((Instant::now() + self.pause, error.clone()));
        self.pause = (self.pause * 2).min(PAUSE_MOST);
        Err(error)
    }
}
