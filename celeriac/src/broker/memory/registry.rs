//! Which exchanges and queues a memory broker has, and where a message goes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::exchange::{Destination, Exchanger};
use super::queue::QueueState;
use super::settings::Settings;
use crate::broker::{Binding, Exchange, ExchangeKind, Queue};
use crate::error::{Error, Result};

/// A queue, shared by the registry, its consumers and the timer.
#[derive(Debug)]
pub(super) struct QueueCell {
    pub(super) name: Arc<str>,
    /// The connection that an exclusive queue goes with.
    pub(super) owner: Option<u64>,
    pub(super) state: Mutex<QueueState>,
}

/// All exchanges and queues.
#[derive(Debug)]
pub(super) struct Registry {
    exchanges: HashMap<Arc<str>, Exchanger>,
    queues: HashMap<Arc<str>, Arc<QueueCell>>,
}

/// There is no such exchange.
#[derive(Debug)]
pub(super) struct NoExchange;

impl Registry {
    /// Makes a registry with the exchanges that every AMQP broker has.
    pub(super) fn new() -> Self {
        let mut registry = Self {
            exchanges: HashMap::new(),
            queues: HashMap::new(),
        };
        for kind in [
            ExchangeKind::Direct,
            ExchangeKind::Fanout,
            ExchangeKind::Topic,
        ] {
            let exchange = Exchange::new(format!("amq.{}", kind.as_str()), kind);
            registry.insert_exchange(&exchange);
        }
        registry
    }

    pub(super) fn declare_exchange(&mut self, exchange: &Exchange) -> Result<()> {
        let name = exchange.name.as_str();
        if self.exchanges.contains_key(name) {
            return Ok(());
        }
        check_name("exchange", name)?;
        self.insert_exchange(exchange);
        Ok(())
    }

    fn insert_exchange(&mut self, exchange: &Exchange) {
        self.exchanges
            .insert(exchange.name.as_str().into(), Exchanger::new(exchange));
    }

    /// Adds a queue, or returns the one that is there.
    pub(super) fn declare_queue(
        &mut self,
        queue: &Queue,
        connection: u64,
        now: Instant,
    ) -> Result<Arc<QueueCell>> {
        if let Some(cell) = self.queues.get(queue.name.as_str()) {
            if cell.owner.is_some_and(|owner| owner != connection) {
                return Err(locked(&queue.name));
            }
            return Ok(Arc::clone(cell));
        }
        check_name("queue", &queue.name)?;
        let settings = Settings::read(queue)?;
        let name: Arc<str> = queue.name.as_str().into();
        let cell = Arc::new(QueueCell {
            name: Arc::clone(&name),
            owner: settings.exclusive.then_some(connection),
            state: Mutex::new(QueueState::new(settings, now)),
        });
        self.queues.insert(name, Arc::clone(&cell));
        Ok(cell)
    }

    pub(super) fn bind(&mut self, binding: &Binding) -> Result<()> {
        let refused = |reason: String| Error::Refused {
            what: format!("bind {} to {}", binding.destination, binding.exchange),
            reason,
        };
        let destination = binding.destination.as_str();
        let destination = if binding.to_exchange {
            let found = self.exchanges.get_key_value(destination);
            found.map(|(name, _)| Destination::Exchange(Arc::clone(name)))
        } else {
            self.queues
                .get(destination)
                .map(|cell| Destination::Queue(Arc::clone(&cell.name)))
        };
        let destination =
            destination.ok_or_else(|| refused(format!("there is no {}", binding.destination)))?;
        let exchange = self
            .exchanges
            .get_mut(binding.exchange.as_str())
            .ok_or_else(|| refused(format!("there is no exchange '{}'", binding.exchange)))?;
        exchange.bind(&binding.key, destination);
        Ok(())
    }

    pub(super) fn queue(&self, name: &str) -> Option<&Arc<QueueCell>> {
        self.queues.get(name)
    }

    pub(super) fn queues(&self) -> Vec<Arc<QueueCell>> {
        self.queues.values().cloned().collect()
    }

    /// Returns the queues that a message goes to, each once.
    pub(super) fn route(
        &self,
        exchange: &str,
        routing_key: &str,
    ) -> Result<Vec<Arc<QueueCell>>, NoExchange> {
        if exchange.is_empty() {
            return Ok(self.queues.get(routing_key).cloned().into_iter().collect());
        }
        let first = self.exchanges.get(exchange).ok_or(NoExchange)?;
        let mut queues = HashSet::new();
        let mut seen = HashSet::new();
        let mut open = vec![first];
        while let Some(exchanger) = open.pop() {
            exchanger.route(routing_key, |destination| match destination {
                Destination::Queue(name) => drop(queues.insert(name)),
                // Exchanges may be bound in a circle.
                Destination::Exchange(name) => {
                    if seen.insert(name) {
                        open.extend(self.exchanges.get(name));
                    }
                }
            });
        }
        Ok(queues
            .into_iter()
            .filter_map(|name| self.queues.get(name).cloned())
            .collect())
    }

    /// Removes a queue if it is still this one, with its bindings.
    pub(super) fn remove_queue(&mut self, cell: &Arc<QueueCell>) -> bool {
        if !self
            .queues
            .get(&cell.name)
            .is_some_and(|known| Arc::ptr_eq(known, cell))
        {
            return false;
        }
        self.queues.remove(&cell.name);
        let mut gone = vec![Destination::Queue(Arc::clone(&cell.name))];
        while let Some(destination) = gone.pop() {
            let orphans = self
                .exchanges
                .extract_if(|_, exchange| exchange.unbind(&destination));
            gone.extend(orphans.map(|(name, _)| Destination::Exchange(name)));
        }
        true
    }
}

pub(super) fn locked(queue: &str) -> Error {
    Error::Refused {
        what: format!("use of queue {queue}"),
        reason: "it is exclusive to another connection".to_owned(),
    }
}

fn check_name(kind: &str, name: &str) -> Result<()> {
    let reason = if name.is_empty() {
        "expected a name, found none"
    } else if name.starts_with("amq.") {
        "names that start with 'amq.' belong to the broker"
    } else if name.len() > 255 {
        "expected a name of at most 255 bytes, found a longer one"
    } else {
        return Ok(());
    };
    Err(Error::Refused {
        what: format!("declare {kind} '{name}'"),
        reason: reason.to_owned(),
    })
}
