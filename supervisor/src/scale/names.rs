//! The queues that somebody scales by.

use crate::cluster::cut;

/// The queues that somebody scales by: one to [`QueueSet::MOST`] names, sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueueSet(Vec<String>);

/// Why a text names no queues: what was expected, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadNames {
    pub(crate) expected: &'static str,
    pub(crate) found: String,
}

impl QueueSet {
    /// How many queues a set has at most.
    pub(crate) const MOST: usize = 32;

    /// Reads names with commas between them.
    pub(crate) fn parse(text: &str) -> Result<Self, BadNames> {
        let expected = "1 to 32 names of queues with commas between them, such as celery,mail, \
                        each of 1 to 255 bytes without control characters";
        let wrong = |found| BadNames { expected, found };
        let names = text.split(',').map(str::trim);
        let mut names: Vec<_> = names.map(str::to_owned).collect();
        if let Some(name) = names.iter().find(|name| !is_usable(name)) {
            return Err(wrong(match name.len() {
                0 => format!("an empty name in '{}'", cut(text, 100)),
                _ => format!("'{}'", cut(&name.escape_debug().to_string(), 100)),
            }));
        }
        names.sort_unstable();
        names.dedup();
        if names.len() > Self::MOST {
            return Err(wrong(format!("{} names", names.len())));
        }
        Ok(Self(names))
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.0
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0
            .binary_search_by(|known| known.as_str().cmp(name))
            .is_ok()
    }
}

fn is_usable(name: &str) -> bool {
    (1..=255).contains(&name.len()) && !name.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_are_sorted_and_there_once() {
        let set = QueueSet::parse("mail, celery,mail").unwrap();
        assert_eq!(set.names(), ["celery", "mail"]);
        assert!(set.has("mail") && !set.has("mai"));
        let many = |count: usize| {
            let names: Vec<_> = (0..count).map(|n| n.to_string()).collect();
            QueueSet::parse(&names.join(","))
        };
        assert_eq!(many(QueueSet::MOST).unwrap().names().len(), QueueSet::MOST);
        assert_eq!(many(QueueSet::MOST + 1).unwrap_err().found, "33 names");
    }

    #[test]
    fn what_is_no_name_is_shown() {
        for (text, found) in [
            ("", "an empty name in ''"),
            ("a,,b", "an empty name in 'a,,b'"),
            ("a\nb", "'a\\nb'"),
        ] {
            assert_eq!(QueueSet::parse(text).unwrap_err().found, found);
        }
        assert!(QueueSet::parse(&"x".repeat(256)).is_err());
    }
}
