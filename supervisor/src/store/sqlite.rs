//! SQLite: one thread that writes, some that read, each with a connection of its own.

mod connection;
mod lanes;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::connection::{Connection, Source};
use self::lanes::{Read, Write};
use super::error::StoreError;
use super::place::Place;
use super::row::Row;
use super::schema::Step;
use super::statement::Statement;

/// A database of SQLite, in a file or in memory.
#[derive(Debug)]
pub(super) struct Sqlite {
    writes: mpsc::Sender<Write>,
    reads: mpsc::Sender<Read>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// How many threads read.
const READERS: usize = 3;
/// How long after its deadline a write that nobody answers counts as stuck.
const STUCK: Duration = Duration::from_secs(5);
/// How many calls may wait for each kind of thread.
const WAITING: usize = 256;

impl Sqlite {
    /// Opens the database and brings its schema up to date.
    pub(super) async fn open(place: &Place, steps: &'static [Step]) -> Result<Self, StoreError> {
        let source = match place {
            Place::Sqlite(path) => Source::File(absolute(path)?),
            _ => Source::memory(),
        };
        let open = move || {
            let mut writer = Connection::writer(&source)?;
            writer.migrate(steps)?;
            let readers = (0..READERS).map(|_| Connection::reader(&source));
            Ok::<_, StoreError>((writer, readers.collect::<Result<Vec<_>, _>>()?))
        };
        let opened = tokio::task::spawn_blocking(open).await;
        let (writer, readers) = opened.map_err(StoreError::unavailable)??;

        let (writes, written) = mpsc::channel(WAITING);
        let (reads, read) = mpsc::channel(WAITING);
        let read = Arc::new(Mutex::new(read));
        let mut threads = vec![spawn("celeriac-store-write", move || {
            lanes::write(writer, written);
        })?];
        for reader in readers {
            let read = Arc::clone(&read);
            threads.push(spawn("celeriac-store-read", move || {
                lanes::read(reader, &read);
            })?);
        }
        Ok(Self {
            writes,
            reads,
            threads: Mutex::new(threads),
        })
    }

    pub(super) async fn write(
        &self,
        statements: Vec<Statement>,
        within: Duration,
    ) -> Result<Vec<u64>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let write = Write::Transaction {
            statements,
            within,
            deadline: Instant::now() + within,
            answer,
        };
        hand_over(&self.writes, write, within).await?;
        // The thread keeps the deadline itself, unless the disk keeps the thread.
        let late = StoreError::Unknown("the disk does not answer".to_owned());
        let answered = tokio::time::timeout(within + STUCK, answered).await;
        answered
            .map_err(|_| late)?
            .map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn read(
        &self,
        statement: Statement,
        within: Duration,
    ) -> Result<Vec<Row>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let read = Read::Query {
            statement,
            within,
            deadline: Instant::now() + within,
            answer,
        };
        hand_over(&self.reads, read, within).await?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Gives free pages back to the disk.
    pub(super) async fn tidy(&self) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        let tidy = Write::Tidy(answer);
        self.writes
            .send(tidy)
            .await
            .map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Finishes what was handed over, then ends the threads.
    pub(super) async fn close(&self) {
        for _ in 0..READERS {
            // A lane that is closed already has nobody to tell.
            let _ = self.reads.send(Read::Close).await;
        }
        let _ = self.writes.send(Write::Close).await;
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let join = move || threads.into_iter().all(|thread| thread.join().is_ok());
        if !tokio::task::spawn_blocking(join).await.unwrap_or(false) {
            tracing::error!("a thread of the store panicked");
        }
    }
}

/// Waits for a place in the line, but not longer than the call may take.
async fn hand_over<T>(lane: &mpsc::Sender<T>, call: T, within: Duration) -> Result<(), StoreError> {
    match lane.send_timeout(call, within).await {
        Ok(()) => Ok(()),
        Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(StoreError::TooLong(within)),
        Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(StoreError::Closed),
    }
}

/// The path must mean the same file for the life of the process.
fn absolute(path: &std::path::Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(path)
        .map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(run).map_err(StoreError::unavailable)
}
