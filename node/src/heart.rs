//! Heartbeats and the event stream.

pub(crate) mod election;
pub(crate) mod tempo;
mod vitals;

use std::sync::Arc;
use std::time::Duration;

use celeriac::broker::{Exchange, ExchangeKind, Link, Publication, Topology};
use celeriac::clock;
use celeriac::health::{BEAT, Pulse};
use celeriac::protocol::Message;
use celeriac::protocol::event::{Event, EventKind, WorkerStatus};
use celeriac::protocol::naming;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use self::tempo::Rhythm;
use self::vitals::Vitals;
use crate::events::TaskEvent;
use crate::shared::Shared;

/// How long a task event waits for others, so that they travel as one message.
const GATHER: Duration = Duration::from_millis(50);

/// How many task events travel as one message. Celery's workers send 24; a node makes
/// tens of thousands a second, and each message costs the broker the same. More could,
/// with long tracebacks, be above what listeners read (4 MiB).
const BATCH: usize = 128;

/// How long the broker may take over one message; then it is lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the last words of a node may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a heartbeat that was asked for says of the next: sooner than this.
const ANSWER_FREQ: f64 = 5.0;

/// Sends heartbeats and task events until it is stopped; then what waits, and
/// `worker-offline`.
///
/// ```text
/// Silent --link is up--> Online: worker-online, then a heartbeat each interval --+
///   ^                                                                            |
///   +---------------------------- link is down ----------------------------------+
/// ```
///
/// While the link is down heartbeats are not made, since a late one says nothing, and
/// task events wait in their bounded channel. Nothing here waits for a confirm but the
/// farewell: the next message says the same again.
pub(crate) async fn beat(shared: Arc<Shared>, stop: CancellationToken, pulse: Pulse) {
    let mut receiver = shared.events.receiver.lock().await;
    let mut link = shared.app.broker().link();
    let mut told = shared.tempo.changes();
    let (mut next, mut rhythm) = (Instant::now(), Rhythm::default());
    let (mut seen, mut greeted) = (None, None);
    let mut batch = Vec::with_capacity(BATCH);
    let mut due = Instant::now();
    loop {
        pulse.beat();
        let epoch = match *link.borrow_and_update() {
            Link::Up { epoch, .. } => Some(epoch),
            _ => None,
        };
        if epoch.is_some() && epoch != seen {
            shared.counters.connections.add(1);
            seen = epoch;
        }
        if epoch.is_some() && epoch != greeted {
            let greeting = tokio::select! {
                done = pulse.during(greet(&shared)) => done,
                () = stop.cancelled() => break,
            };
            greeted = if greeting { epoch } else { greeted };
        }
        let up = epoch.is_some() && epoch == greeted;
        shared.events.open(up);
        let room = BATCH.saturating_sub(batch.len());
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Ok(()) = link.changed() => {}
            // What a heartbeat promises of the next one has to hold: a new tempo is told
            // by a heartbeat before it counts.
            Ok(()) = told.changed(), if up => {
                if rhythm.promised().is_some_and(|old| old != shared.tempo.interval(Instant::now())) {
                    next = Instant::now();
                }
            }
            () = sleep_until(next), if up => {
                let now = Instant::now();
                let interval = shared.tempo.interval(now);
                next = now + rhythm.beat(shared.name(), interval);
                let status = Vitals::read(&shared).status(&shared);
                pulse.during(say(&shared, EventKind::WorkerHeartbeat(status))).await;
            }
            () = sleep_until(due), if up && !batch.is_empty() => {
                pulse.during(tell(&shared, &mut batch)).await;
            }
            taken = receiver.recv_many(&mut batch, room), if up && room > 0 => {
                // The first waits for others; a full batch waits for nothing.
                if taken == room {
                    due = Instant::now();
                } else if room == BATCH {
                    due = Instant::now() + GATHER;
                }
            }
            () = tokio::time::sleep(BEAT) => {}
        }
    }
    if greeted.is_some() && link.borrow().is_up() {
        while let Ok(event) = receiver.try_recv() {
            batch.push(event);
            if batch.len() >= BATCH {
                tell(&shared, &mut batch).await;
            }
        }
        tell(&shared, &mut batch).await;
        farewell(&shared).await;
    }
}

/// Answers a request for a heartbeat, in the short form that Celery gives it.
pub(crate) async fn answer(shared: &Shared) {
    let status = WorkerStatus {
        load: None,
        freq: ANSWER_FREQ,
        ..Vitals::read(shared).status(shared)
    };
    say(shared, EventKind::WorkerHeartbeat(status)).await;
}

/// Makes sure that there is somewhere to speak, and says that the node is there.
async fn greet(shared: &Shared) -> bool {
    let exchange = Exchange::new(naming::EVENT_EXCHANGE, ExchangeKind::Topic);
    let topology = Topology {
        exchanges: vec![exchange],
        ..Topology::default()
    };
    if let Err(error) = shared.app.broker().declare(&topology).await {
        tracing::warn!(%error, "cannot declare the exchange of events; trying again");
        // The caller looks again at once.
        tokio::time::sleep(BEAT).await;
        return false;
    }
    let status = Vitals::read(shared).status(shared);
    say(shared, EventKind::WorkerOnline(status)).await
}

/// Publishes one event of the node's own.
async fn say(shared: &Shared, kind: EventKind) -> bool {
    let event = event(shared, kind);
    publish(shared, &event.routing_key(), event.to_message()).await
}

/// How long a start that is told at once may hold its task up.
const ANNOUNCED: Duration = Duration::from_secs(1);

/// Tells at once that a task starts, and waits until the broker has heard it: for a task
/// that may take this process along, others must know what ran last. Told or not, the
/// task starts.
pub(crate) async fn announce(shared: &Shared, id: &str) {
    let started = EventKind::TaskStarted {
        uuid: id.to_owned(),
    };
    if !shared.events.is_open() {
        // It is told with the others, once there is somewhere to speak.
        return shared.events.emit([started]);
    }
    let event = event(shared, started);
    let publication = Publication::to_exchange(
        naming::EVENT_EXCHANGE,
        event.routing_key(),
        event.to_message(),
    );
    let told = timeout(ANNOUNCED, shared.app.broker().publish(publication)).await;
    shared.events.note(1, matches!(told, Ok(Ok(()))));
}

/// Publishes task events as one message and forgets them.
async fn tell(shared: &Shared, batch: &mut Vec<TaskEvent>) {
    if batch.is_empty() {
        return;
    }
    let count = batch.len();
    let clock = shared.app.clock();
    let pid = std::process::id();
    let message = task_events(shared.name(), pid, || clock.forward(), batch.drain(..));
    let sent = publish(shared, naming::EVENT_BATCH_ROUTING_KEY, message).await;
    shared.events.note(count, sent);
}

/// Says that the node is about to go, and waits until the broker has heard it.
async fn farewell(shared: &Shared) {
    let status = Vitals::read(shared).status(shared);
    let event = event(shared, EventKind::WorkerOffline(status));
    let publication = Publication::to_exchange(
        naming::EVENT_EXCHANGE,
        event.routing_key(),
        event.to_message(),
    );
    match timeout(FAREWELL, shared.app.broker().publish(publication)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "cannot say that the node goes"),
        Err(_) => tracing::debug!("the broker does not listen any more"),
    }
}

async fn publish(shared: &Shared, key: &str, message: Message) -> bool {
    let publication = Publication::to_exchange(naming::EVENT_EXCHANGE, key, message).unconfirmed();
    match timeout(PATIENCE, shared.app.broker().publish(publication)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::debug!(key, %error, "event lost");
            false
        }
        Err(_) => {
            tracing::debug!(key, "event lost: the broker does not take it");
            false
        }
    }
}

fn event(shared: &Shared, kind: EventKind) -> Event {
    let clock = shared.app.clock().forward();
    Event::new(shared.name(), std::process::id(), clock, clock::now(), kind)
}

/// Builds the message of task events: in order, each with a later clock.
fn task_events(
    node: &str,
    pid: u32,
    mut clock: impl FnMut() -> u64,
    events: impl Iterator<Item = TaskEvent>,
) -> Message {
    let event = |TaskEvent { at, kind }| Event::new(node, pid, clock(), at, kind);
    let events: Vec<_> = events.map(event).collect();
    Event::batch_to_message(node, &events)
}

#[cfg(test)]
mod tests;
