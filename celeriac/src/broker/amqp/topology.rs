//! Declaring what must be there, and remembering it for after a reconnect.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};

use super::connection::Live;
use super::core::{Core, Role};
use super::failure::{Failure, code};
use super::table::{short, table};
use crate::broker::{Binding, Exchange, ExchangeKind, Queue, Topology};
use crate::error::Result;

/// The most things remembered of each kind; the oldest are forgotten first. Reached
/// only by programs that make up names for ever.
const MOST: usize = 16_384;

/// Everything that was declared here, by its name.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    clock: u64,
    exchanges: HashMap<String, (u64, Exchange)>,
    queues: HashMap<String, (u64, Queue)>,
    bindings: HashMap<(String, String, bool, String), (u64, Binding)>,
}

impl Remembered {
    /// Adds a topology; what has a known name replaces what had it before.
    pub(super) fn add(&mut self, topology: &Topology) {
        let at = self.clock;
        self.clock += 1;
        for exchange in &topology.exchanges {
            keep(
                &mut self.exchanges,
                exchange.name.clone(),
                (at, exchange.clone()),
            );
        }
        for queue in &topology.queues {
            keep(&mut self.queues, queue.name.clone(), (at, queue.clone()));
        }
        for binding in &topology.bindings {
            keep(&mut self.bindings, key(binding), (at, binding.clone()));
        }
    }

    /// Forgets a queue and the ways to it.
    pub(super) fn forget_queue(&mut self, name: &str) {
        self.queues.remove(name);
        self.bindings
            .retain(|_, (_, binding)| binding.to_exchange || binding.destination != name);
    }

    /// Returns everything that a connection of a role may declare: an exclusive queue
    /// belongs to the consuming one.
    pub(super) fn all(&self, role: Role) -> Topology {
        let ours = |queue: &str| {
            role == Role::Consuming
                || !self
                    .queues
                    .get(queue)
                    .is_some_and(|(_, queue)| queue.exclusive)
        };
        Topology {
            exchanges: oldest_first(self.exchanges.values()),
            queues: oldest_first(self.queues.values().filter(|(_, queue)| ours(&queue.name))),
            bindings: oldest_first(
                self.bindings
                    .values()
                    .filter(|(_, binding)| binding.to_exchange || ours(&binding.destination)),
            ),
        }
    }

    /// Returns a queue with the ways to it.
    pub(super) fn of_queue(&self, name: &str) -> Topology {
        let bindings: Vec<Binding> = oldest_first(
            self.bindings
                .values()
                .filter(|(_, binding)| !binding.to_exchange && binding.destination == name),
        );
        let exchanges = bindings
            .iter()
            .filter_map(|binding| self.exchanges.get(&binding.exchange))
            .map(|(_, exchange)| exchange.clone())
            .collect();
        let queues = self
            .queues
            .get(name)
            .map(|(_, queue)| queue.clone())
            .into_iter()
            .collect();
        Topology {
            exchanges,
            queues,
            bindings,
        }
    }

    /// Returns how an exchange routes, and the queues that it hands a routing key to.
    pub(super) fn of_exchange(
        &self,
        name: &str,
        routing_key: &str,
    ) -> (Option<ExchangeKind>, Vec<String>) {
        let kind = self.exchanges.get(name).map(|(_, exchange)| exchange.kind);
        let queues = self
            .bindings
            .values()
            .filter(|(_, b)| !b.to_exchange && b.exchange == name && b.key == routing_key)
            .map(|(_, binding)| binding.destination.clone())
            .collect();
        (kind, queues)
    }
}

fn key(binding: &Binding) -> (String, String, bool, String) {
    (
        binding.exchange.clone(),
        binding.destination.clone(),
        binding.to_exchange,
        binding.key.clone(),
    )
}

fn keep<K: std::hash::Hash + Eq + Clone, V>(
    map: &mut HashMap<K, (u64, V)>,
    key: K,
    value: (u64, V),
) {
    if map.len() >= MOST && !map.contains_key(&key) {
        let oldest = map
            .iter()
            .min_by_key(|(_, (at, _))| *at)
            .map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            map.remove(&oldest);
        }
    }
    map.insert(key, value);
}

fn oldest_first<'a, T: Clone + 'a>(entries: impl Iterator<Item = &'a (u64, T)>) -> Vec<T> {
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by_key(|(at, _)| *at);
    entries
        .into_iter()
        .map(|(_, value)| value.clone())
        .collect()
}

/// A channel to ask things on that may be refused: a refusal closes the channel, the
/// next question opens another.
pub(super) struct Scratch<'a> {
    live: &'a Live,
    timeout: Duration,
    channel: Option<lapin::Channel>,
}

impl<'a> Scratch<'a> {
    pub(super) fn new(live: &'a Live, timeout: Duration) -> Self {
        Self {
            live,
            timeout,
            channel: None,
        }
    }

    /// Asks one thing.
    pub(super) async fn ask<T, F>(
        &mut self,
        ask: impl FnOnce(lapin::Channel) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = lapin::Result<T>>,
    {
        let channel = match self.channel.take() {
            Some(channel) => channel,
            None => self.live.channel(self.timeout).await?,
        };
        let answer = tokio::time::timeout(self.timeout, ask(channel.clone())).await??;
        self.channel = Some(channel);
        Ok(answer)
    }

    /// Declares an exchange; one that is there already is adopted as it is.
    async fn exchange(
        &mut self,
        exchange: &Exchange,
        parts: (ShortString, FieldTable),
    ) -> Result<(), Failure> {
        let kind = match exchange.kind {
            ExchangeKind::Direct => lapin::ExchangeKind::Direct,
            ExchangeKind::Topic => lapin::ExchangeKind::Topic,
            ExchangeKind::Fanout => lapin::ExchangeKind::Fanout,
        };
        let options = ExchangeDeclareOptions {
            durable: exchange.durable,
            auto_delete: exchange.auto_delete,
            ..ExchangeDeclareOptions::default()
        };
        let (name, arguments) = parts;
        let declared = self
            .ask(|channel| async move {
                channel
                    .exchange_declare(name, kind, options, arguments)
                    .await
            })
            .await;
        adopt("exchange", &exchange.name, declared)
    }

    /// Declares a queue; one that is there already is adopted as it is.
    async fn queue(
        &mut self,
        queue: &Queue,
        parts: (ShortString, FieldTable),
    ) -> Result<(), Failure> {
        let options = QueueDeclareOptions {
            durable: queue.durable,
            exclusive: queue.exclusive,
            auto_delete: queue.auto_delete,
            ..QueueDeclareOptions::default()
        };
        let (name, arguments) = parts;
        let declared = self
            .ask(|channel| async move { channel.queue_declare(name, options, arguments).await })
            .await;
        adopt("queue", &queue.name, declared.map(drop))
    }

    async fn bind(&mut self, binding: &Binding, wire: WireBinding) -> Result<(), Failure> {
        let WireBinding {
            destination,
            exchange,
            key,
            arguments,
        } = wire;
        let to_exchange = binding.to_exchange;
        self.ask(|channel| async move {
            if to_exchange {
                let options = ExchangeBindOptions::default();
                channel
                    .exchange_bind(destination, exchange, key, options, arguments)
                    .await
            } else {
                let options = QueueBindOptions::default();
                channel
                    .queue_bind(destination, exchange, key, options, arguments)
                    .await
            }
        })
        .await
    }

    /// Asks for a queue's numbers; `None` when there is no such queue.
    pub(super) async fn look(
        &mut self,
        name: ShortString,
    ) -> Result<Option<lapin::Queue>, Failure> {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let asked = self
            .ask(|channel| async move {
                channel
                    .queue_declare(name, options, FieldTable::default())
                    .await
            })
            .await;
        match asked {
            Ok(queue) => Ok(Some(queue)),
            Err(failure) if failure.is(code::NOT_FOUND) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

fn adopt(what: &str, name: &str, declared: Result<(), Failure>) -> Result<(), Failure> {
    match declared {
        Err(failure) if failure.is(code::PRECONDITION_FAILED) => {
            tracing::debug!(name, reason = %failure, "adopted an existing {what} as it is");
            Ok(())
        }
        declared => declared,
    }
}

/// A topology in the client's types: whatever cannot be sent was found before
/// anything is.
pub(super) struct Wire<'a> {
    exchanges: Vec<(&'a Exchange, (ShortString, FieldTable))>,
    queues: Vec<(&'a Queue, (ShortString, FieldTable))>,
    bindings: Vec<(&'a Binding, WireBinding)>,
}

#[derive(Clone)]
struct WireBinding {
    destination: ShortString,
    exchange: ShortString,
    key: ShortString,
    arguments: FieldTable,
}

impl<'a> Wire<'a> {
    /// Converts a topology; leaves out the default exchange, which is always there.
    pub(super) fn new(topology: &'a Topology) -> Result<Self> {
        let mut wire = Self {
            exchanges: Vec::new(),
            queues: Vec::new(),
            bindings: Vec::new(),
        };
        for exchange in topology
            .exchanges
            .iter()
            .filter(|exchange| !exchange.name.is_empty())
        {
            let parts = (
                short("exchange name", &exchange.name)?,
                table(&exchange.arguments)?,
            );
            wire.exchanges.push((exchange, parts));
        }
        for queue in &topology.queues {
            wire.queues.push((
                queue,
                (short("queue name", &queue.name)?, table(&queue.arguments)?),
            ));
        }
        for binding in topology
            .bindings
            .iter()
            .filter(|binding| !binding.exchange.is_empty())
        {
            let parts = WireBinding {
                destination: short("queue name", &binding.destination)?,
                exchange: short("exchange name", &binding.exchange)?,
                key: short("routing key", &binding.key)?,
                arguments: table(&binding.arguments)?,
            };
            wire.bindings.push((binding, parts));
        }
        Ok(wire)
    }

    /// Declares all of it; stops at the first refusal and says of what.
    pub(super) async fn declare(&self, scratch: &mut Scratch<'_>) -> Result<(), (String, Failure)> {
        let mut first = Ok(());
        self.each(scratch, |what, failure| {
            first = Err((what, failure));
            false
        })
        .await;
        first
    }

    /// Declares all of it; `failed` says whether to go on after a failure.
    async fn each(
        &self,
        scratch: &mut Scratch<'_>,
        mut failed: impl FnMut(String, Failure) -> bool,
    ) {
        for (exchange, parts) in &self.exchanges {
            if let Err(failure) = scratch.exchange(exchange, parts.clone()).await
                && !failed(format!("declaring exchange {:?}", exchange.name), failure)
            {
                return;
            }
        }
        for (queue, parts) in &self.queues {
            if let Err(failure) = scratch.queue(queue, parts.clone()).await
                && !failed(format!("declaring queue {:?}", queue.name), failure)
            {
                return;
            }
        }
        for (binding, parts) in &self.bindings {
            if let Err(failure) = scratch.bind(binding, parts.clone()).await
                && !failed(
                    format!(
                        "binding {:?} to {:?}",
                        binding.destination, binding.exchange
                    ),
                    failure,
                )
            {
                return;
            }
        }
    }
}

/// Declares what is remembered on a new connection.
///
/// A refusal is a warning: it must not keep everything else from working, and who
/// needs the refused thing hears of it. One that took the connection with it is
/// forgotten, or no connection would live.
pub(super) async fn restore(core: &Core, live: &Live, role: Role) -> Result<(), Failure> {
    let topology = core
        .remembered
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .all(role);
    // What is remembered was converted before.
    let Ok(wire) = Wire::new(&topology) else {
        return Ok(());
    };
    let mut scratch = Scratch::new(live, core.config.call_timeout);
    let mut lost = None;
    wire.each(&mut scratch, |what, failure| {
        tracing::warn!(broker = %core.url, what, reason = %failure, "could not restore after a reconnect");
        let go_on = live.is_up();
        if !go_on {
            if matches!(failure, Failure::Refused { .. }) {
                *core.remembered.lock().unwrap_or_else(PoisonError::into_inner) = Remembered::default();
            }
            lost = Some(failure);
        }
        go_on
    })
    .await;
    match lost {
        Some(failure) => Err(failure),
        None if live.is_up() => Ok(()),
        None => Err(Failure::Late),
    }
}

/// Declares a queue that is remembered, with the ways to it.
pub(super) async fn ensure(core: &Core, live: &Live, queue: &str) -> Result<(), Failure> {
    let topology = core
        .remembered
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .of_queue(queue);
    let Ok(wire) = Wire::new(&topology) else {
        return Ok(());
    };
    wire.declare(&mut Scratch::new(live, core.config.call_timeout))
        .await
        .map_err(|(_, failure)| failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_twice_is_remembered_once() {
        let mut remembered = Remembered::default();
        remembered.add(&Topology::task_queue("a"));
        remembered.add(&Topology::task_queue("b"));
        remembered.add(&Topology::task_queue("a"));
        let all = remembered.all(Role::Publishing);
        assert_eq!(
            (all.exchanges.len(), all.queues.len(), all.bindings.len()),
            (2, 2, 2)
        );
        assert_eq!(remembered.of_queue("a"), Topology::task_queue("a"));
        remembered.forget_queue("a");
        assert!(remembered.of_queue("a").queues.is_empty());
    }

    #[test]
    fn exclusive_queues_are_for_the_consuming_connection_only() {
        let mut remembered = Remembered::default();
        remembered.add(&Topology {
            exchanges: vec![Exchange::new("x", ExchangeKind::Fanout)],
            queues: vec![Queue::private("q")],
            bindings: vec![Binding::new("x", "q", "")],
        });
        let publishing = remembered.all(Role::Publishing);
        assert!(publishing.queues.is_empty() && publishing.bindings.is_empty());
        assert_eq!(remembered.all(Role::Consuming).bindings.len(), 1);
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut remembered = Remembered::default();
        for number in 0..MOST + 10 {
            remembered.add(&Topology {
                queues: vec![Queue::new(number.to_string())],
                ..Topology::default()
            });
        }
        assert_eq!(remembered.queues.len(), MOST);
        assert!(remembered.of_queue("0").queues.is_empty());
    }
}
