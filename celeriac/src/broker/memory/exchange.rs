//! Exchanges of the memory broker: routing as a pure function of bindings and key.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

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

/// Tells whether a topic pattern takes a routing key: `*` is one word, `#` any number
/// of words.
pub(super) fn matches(pattern: &str, key: &str) -> bool {
    // The empty key is no word at all: `#` takes it, `*` does not.
    fn words(text: &str) -> Vec<&str> {
        if text.is_empty() {
            Vec::new()
        } else {
            text.split('.').collect()
        }
    }
    let (pattern, key) = (words(pattern), words(key));
    let (mut p, mut k) = (0, 0);
    // Where to go on when the last `#` has to take one word more.
    let mut retry = None;
    loop {
        match (pattern.get(p), key.get(k)) {
            (None, None) => return true,
            (Some(&"#"), _) => {
                retry = Some((p + 1, k));
                p += 1;
                continue;
            }
            (Some(&word), Some(&wanted)) if word == "*" || word == wanted => {
                (p, k) = (p + 1, k + 1);
                continue;
            }
            _ => {}
        }
        match retry {
            Some((after, taken)) if taken < key.len() => {
                retry = Some((after, taken + 1));
                (p, k) = (after, taken + 1);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_by_words() {
        for (pattern, key, expected) in [
            ("task.sent", "task.sent", true),
            ("task.sent", "task", false),
            ("*.sent", "task.sent", true),
            ("*.sent", "sent", false),
            ("task.*", "task.a.b", false),
            ("#", "", true),
            ("#", "a.b.c", true),
            ("*", "", false),
            ("", "", true),
            ("", "a", false),
            ("task.#", "task", true),
            ("task.#", "task.a.b", true),
            ("#.b", "a.b", true),
            ("#.b", "b", true),
            ("#.b", "a.b.c", false),
            ("a.#.c.#.e", "a.b.c.d.c.e", true),
            ("a.#.c.#.e", "a.b.d.e", false),
            ("#.#.a", "a", true),
            ("*.#", "", false),
            ("*.#", "a", true),
        ] {
            assert_eq!(matches(pattern, key), expected, "{pattern} takes {key}");
        }
    }
}
