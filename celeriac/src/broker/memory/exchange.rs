//! Exchanges of the memory broker: routing as a pure function of bindings and key.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::broker::pattern::matches;
use crate::broker::{Exchange, ExchangeKind};

/// Where a binding leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Destination {
    Queue(Arc<str>),
    Exchange(Arc<str>),
}

/// An exchange with its bindings, by binding key.
#[derive(Debug)]
pub(super) struct Exchanger {
    kind: ExchangeKind,
    auto_delete: bool,
    bindings: HashMap<String, HashSet<Destination>>,
}

impl Exchanger {
    pub(super) fn new(exchange: &Exchange) -> Self {
        Self {
            kind: exchange.kind,
            auto_delete: exchange.auto_delete,
            bindings: HashMap::new(),
        }
    }

    pub(super) fn bind(&mut self, key: &str, destination: Destination) {
        self.bindings
            .entry(key.to_owned())
            .or_default()
            .insert(destination);
    }

    /// Removes all bindings to a destination; tells whether the exchange goes with them.
    pub(super) fn unbind(&mut self, destination: &Destination) -> bool {
        let mut removed = false;
        self.bindings.retain(|_, destinations| {
            removed |= destinations.remove(destination);
            !destinations.is_empty()
        });
        removed && self.auto_delete && self.bindings.is_empty()
    }

    /// Calls `found` with every destination of a routing key.
    pub(super) fn route<'a>(&'a self, key: &str, mut found: impl FnMut(&'a Destination)) {
        match self.kind {
            ExchangeKind::Direct => self.bindings.get(key).into_iter().flatten().for_each(found),
            ExchangeKind::Fanout => self.bindings.values().flatten().for_each(found),
            ExchangeKind::Topic => self
                .bindings
                .iter()
                .filter(|(pattern, _)| matches(pattern, key))
                .for_each(|(_, destinations)| destinations.iter().for_each(&mut found)),
        }
    }
}
