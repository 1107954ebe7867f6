//! PostgreSQL: one connection that writes, some that read, on a thread of their own.

mod failure;
mod lane;
mod link;
mod values;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::time::Instant;

use self::lane::{Call, Lane, Work};
use self::link::Target;
use super::error::StoreError;
use super::row::Row;
use super::schema::Step;
use super::statement::Statement;

/// A database of PostgreSQL; the tables are in its schema `celeriac`.
#[derive(Debug)]
pub(super) struct Postgres {
    writes: mpsc::Sender<Call>,
    reads: mpsc::Sender<Call>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How many connections read.
const READERS: usize = 3;
/// How many calls may wait for each kind of connection.
const WAITING: usize = 256;
/// How long a server that cannot be reached is waited for at the start: it may be
/// starting, too.
const PATIENCE: Duration = Duration::from_secs(10);

impl Postgres {
    /// Connects and brings the schema up to date.
    pub(super) async fn open(url: &str, steps: &'static [Step]) -> Result<Self, StoreError> {
        let target = Arc::new(Target::new(url, steps)?);
        let (writes, written) = mpsc::channel(WAITING);
        let (reads, read) = mpsc::channel(WAITING);
        let (ready, opened) = oneshot::channel();
        let run = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
            {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(StoreError::unavailable(error)))),
            };
            runtime.block_on(async move {
                // Who opens it may have gone.
                let first = target.patiently(PATIENCE).await;
                let failed = first.is_err();
                let (link, told) = match first {
                    Ok(link) => (Some(link), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                if ready.send(told).is_err() || failed {
                    return;
                }
                let read = Arc::new(AsyncMutex::new(read));
                let readers = (0..READERS).map(|_| {
                    let lane = Lane::reader(Arc::clone(&target));
                    tokio::spawn(lane.run(Arc::clone(&read)))
                });
                let readers: Vec<_> = readers.collect();
                let writer = Lane::writer(target, link);
                writer.run(Arc::new(AsyncMutex::new(written))).await;
                for reader in readers {
                    // One that panicked has closed its connection.
                    let _ = reader.await;
                }
            });
        };
        let builder = std::thread::Builder::new().name("celeriac-store".to_owned());
        let thread = builder.spawn(run).map_err(StoreError::unavailable)?;
        opened.await.map_err(|_| StoreError::Closed)??;
        Ok(Self {
            writes,
            reads,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) async fn write(
        &self,
        statements: Vec<Statement>,
        within: Duration,
    ) -> Result<Vec<u64>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let work = Work::Write(statements, answer);
        hand_over(&self.writes, work, within).await?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn read(
        &self,
        statement: Statement,
        within: Duration,
    ) -> Result<Vec<Row>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let work = Work::Read(statement, answer);
        hand_over(&self.reads, work, within).await?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Finishes what was handed over, then closes the connections.
    pub(super) async fn close(&self) {
        for lane in std::iter::repeat_n(&self.reads, READERS).chain([&self.writes]) {
            // A lane that is closed already has nobody to tell.
            let _ = hand_over(lane, Work::Close, Duration::from_secs(1)).await;
        }
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let join = move || thread.is_none_or(|thread| thread.join().is_ok());
        if !tokio::task::spawn_blocking(join).await.unwrap_or(false) {
            tracing::error!("the thread of the store panicked");
        }
    }
}

/// Waits for a place in the line, but not longer than the call may take.
async fn hand_over(
    lane: &mpsc::Sender<Call>,
    work: Work,
    within: Duration,
) -> Result<(), StoreError> {
    let call = Call {
        work,
        within,
        deadline: Instant::now() + within,
    };
    match lane.send_timeout(call, within).await {
        Ok(()) => Ok(()),
        Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(StoreError::TooLong(within)),
        Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(StoreError::Closed),
    }
}
