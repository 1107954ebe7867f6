//! What was declared, remembered for after a reconnect.

use std::collections::HashMap;
use std::fmt;

use super::core::Role;
use super::failure::EXPULSIONS;
use crate::broker::pattern::matches;
use crate::broker::{Binding, Exchange, ExchangeKind, Queue, Topology};

/// The most things remembered of each kind; the oldest are forgotten first. Reached
/// only by programs that make up names for ever.
const MOST: usize = 16_384;

/// One thing that is declared.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item<'a> {
    Exchange(&'a Exchange),
    Queue(&'a Queue),
    Binding(&'a Binding),
}

impl fmt::Display for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange(exchange) => write!(f, "declaring exchange {:?}", exchange.name),
            Self::Queue(queue) => write!(f, "declaring queue {:?}", queue.name),
            Self::Binding(binding) => write!(
                f,
                "binding {:?} to {:?} with routing key {:?}",
                binding.destination, binding.exchange, binding.key
            ),
        }
    }
}

/// Everything that was declared here, by its name.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    clock: u64,
    exchanges: HashMap<String, (u64, Exchange)>,
    queues: HashMap<String, (u64, Queue)>,
    bindings: HashMap<(String, String, bool, String), (u64, Binding)>,
    /// By role: at what the server closed the last connection, and how often in a row.
    suspects: [Option<(String, u32)>; 2],
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

    /// Notes that the server closed the connection of a role when something was declared
    /// on it. Often in a row, that thing is forgotten, or no connection would live; says
    /// whether it is. Once is most often a fault of the server's own.
    pub(super) fn accuse(&mut self, role: Role, item: Item<'_>) -> bool {
        let what = item.to_string();
        let suspect = &mut self.suspects[role as usize];
        let times = match suspect {
            Some((before, times)) if *before == what => *times + 1,
            _ => 1,
        };
        if times < EXPULSIONS {
            *suspect = Some((what, times));
            return false;
        }
        *suspect = None;
        match item {
            Item::Exchange(exchange) => drop(self.exchanges.remove(&exchange.name)),
            Item::Queue(queue) => self.forget_queue(&queue.name),
            Item::Binding(binding) => drop(self.bindings.remove(&key(binding))),
        }
        true
    }

    /// Notes that everything could be declared, or was refused in peace.
    pub(super) fn acquit(&mut self, role: Role) {
        self.suspects[role as usize] = None;
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
        let takes = |key: &str| match kind {
            Some(ExchangeKind::Topic) => matches(key, routing_key),
            _ => key == routing_key,
        };
        let queues = self
            .bindings
            .values()
            .filter(|(_, b)| !b.to_exchange && b.exchange == name && takes(&b.key))
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
    fn only_what_ends_connections_again_and_again_is_forgotten() {
        let mut remembered = Remembered::default();
        remembered.add(&Topology::task_queue("a"));
        remembered.add(&Topology::task_queue("b"));
        let bad = Queue::new("a");
        let accuse = |remembered: &mut Remembered, role| remembered.accuse(role, Item::Queue(&bad));
        assert!(!accuse(&mut remembered, Role::Consuming));
        assert!(!accuse(&mut remembered, Role::Consuming));
        remembered.acquit(Role::Consuming);
        assert!(!accuse(&mut remembered, Role::Consuming));
        assert!(!accuse(&mut remembered, Role::Publishing));
        assert!(!remembered.accuse(Role::Consuming, Item::Queue(&Queue::new("b"))));
        assert!(!accuse(&mut remembered, Role::Consuming));
        assert!(!accuse(&mut remembered, Role::Consuming));
        assert_eq!(remembered.all(Role::Consuming).queues.len(), 2);
        assert!(accuse(&mut remembered, Role::Consuming));
        assert_eq!(remembered.of_queue("a"), Topology::default());
        assert_eq!(remembered.of_queue("b"), Topology::task_queue("b"));
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
