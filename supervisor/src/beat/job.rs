//! What the beat has others do: the broker, the store, the election.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use celeriac::broker::{BoxFuture, Lock};
use celeriac::{App, Entry};
use celeriac_protocol::naming;

use super::BEAT;
use super::book::{Mark, Sent};
use super::plan::Stored;
use crate::leader::{Elected, Election};
use crate::store::{Store, StoreError, schedules, terms};

/// Something that is done, with its outcome.
pub(super) type Job = BoxFuture<'static, Done>;

/// An outcome of a [`Job`].
pub(super) enum Done {
    /// This one stood for election.
    Stood(Result<Option<Elected>, String>),
    /// A term was begun in the store, which knew these marks then.
    Claimed(Result<(u64, HashMap<String, Mark>), StoreError>),
    /// The store was read.
    Read(Result<Reading, StoreError>),
    /// Marks were written under a term, or as heard from others.
    Wrote(Vec<String>, Result<(), StoreError>),
    /// Ticks of an entry were sent, until one could not be.
    Sent {
        name: String,
        sent: Vec<Sent>,
        failure: Option<String>,
    },
    /// Others were told something.
    Told,
}

/// What the store says.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) revision: i64,
    pub(super) store: String,
    /// The entries, when they changed.
    pub(super) stored: Option<Vec<Stored>>,
    /// The marks, when they were asked for or the entries changed.
    pub(super) marks: Option<HashMap<String, Mark>>,
}

/// How many ticks of one entry are sent before its mark is written.
const CHUNK: usize = 64;
/// How long the store may take to begin a term; without it the leader begins alone.
const CLAIM: Duration = Duration::from_secs(3);

/// Stands for election once.
pub(super) fn stand(election: &Arc<dyn Election>) -> Job {
    let election = Arc::clone(election);
    Box::pin(async move { Done::Stood(election.stand().await) })
}

/// Begins a term, then reads what the leader before left behind.
pub(super) fn claim(store: &Store, holder: String, least: u64, now: SystemTime) -> Job {
    let store = store.clone();
    Box::pin(async move {
        let claimed = async {
            let term = terms::begin(&store, BEAT, &holder, least, micros(now)).await?;
            Ok((term, schedules::marks(&store).await?))
        };
        let late = Err(StoreError::TooLong(CLAIM));
        let claimed = tokio::time::timeout(CLAIM, claimed).await;
        Done::Claimed(claimed.unwrap_or(late))
    })
}

/// Reads what changed since a revision.
pub(super) fn read(store: &Store, known: Option<i64>, marks: bool) -> Job {
    let store = store.clone();
    Box::pin(async move {
        let read = async {
            let (revision, name) = schedules::revision(&store).await?;
            let changed = known != Some(revision);
            let stored = match changed {
                true => Some(schedules::all(&store).await?),
                false => None,
            };
            let marks = match changed || marks {
                true => Some(schedules::marks(&store).await?),
                false => None,
            };
            Ok(Reading {
                revision,
                store: name,
                stored,
                marks,
            })
        };
        Done::Read(read.await)
    })
}

/// Writes marks: under a term, or as heard from others without one.
pub(super) fn write(store: &Store, term: Option<u64>, marks: Vec<(String, Mark)>) -> Job {
    let store = store.clone();
    Box::pin(async move {
        let written = match term {
            Some(term) => schedules::record(&store, term, &marks).await,
            None => schedules::hear(&store, &marks).await,
        };
        Done::Wrote(marks.into_iter().map(|(name, _)| name).collect(), written)
    })
}

/// Sends ticks of an entry one after the other, each confirmed, for as long as this one
/// leads.
pub(super) fn send(
    app: &App,
    lock: &Arc<dyn Lock>,
    term: u64,
    entry: Entry,
    ticks: Vec<SystemTime>,
) -> Job {
    let (app, lock) = (app.clone(), Arc::clone(lock));
    Box::pin(async move {
        let (mut sent, mut failure) = (Vec::new(), None);
        for tick in ticks.into_iter().take(CHUNK) {
            if !lock.is_held() {
                break;
            }
            let number = i64::try_from(term).unwrap_or(i64::MAX);
            let call = entry.call_at(tick).header(naming::header::TERM, number);
            match call.send(&app).await {
                Ok(result) => sent.push(Sent {
                    tick,
                    at: celeriac::clock::now(),
                    task_id: result.id().to_owned(),
                    term,
                }),
                Err(error) => {
                    failure = Some(error.to_string());
                    break;
                }
            }
        }
        let name = entry.name;
        Done::Sent {
            name,
            sent,
            failure,
        }
    })
}

fn micros(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
