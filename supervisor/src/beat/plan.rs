//! Which entries there are, and where each one comes from.

use std::collections::BTreeMap;

use celeriac::Entry;

/// An entry with where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    pub(crate) entry: Entry,
    pub(crate) origin: Origin,
    /// Counts the edits; 0 for one that nobody edited.
    pub(crate) revision: i64,
}

/// Where an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The configuration or the program: only its switch can be edited.
    Config,
    /// The API: stored, and edited there.
    Api,
}

impl Origin {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Api => "api",
        }
    }
}

/// What is stored of an entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) name: String,
    /// The whole entry; `None` for the switch of one that comes from elsewhere.
    pub(crate) entry: Option<Entry>,
    /// Says whether it is sent, over what the entry says.
    pub(crate) enabled: Option<bool>,
    pub(crate) revision: i64,
}

impl Planned {
    /// Returns what of the entry decides which ticks it has: with another shape it begins
    /// anew.
    pub(crate) fn shape(&self) -> String {
        let on = if self.entry.enabled { "on" } else { "off" };
        // A schedule always has a form; without it the text is as good.
        let form = serde_json::to_string(&self.entry.schedule);
        format!(
            "{on} {}",
            form.unwrap_or_else(|_| self.entry.schedule.to_string())
        )
    }
}

/// Puts together what the program brings and what is stored. An entry of the program hides
/// a stored one of its name.
pub(crate) fn merge(configured: &[Entry], stored: Vec<Stored>) -> Vec<Planned> {
    let mut plan: BTreeMap<String, Planned> = configured
        .iter()
        .map(|entry| {
            let planned = Planned {
                entry: entry.clone(),
                origin: Origin::Config,
                revision: 0,
            };
            (entry.name.clone(), planned)
        })
        .collect();
    for Stored {
        name,
        entry,
        enabled,
        revision,
    } in stored
    {
        match (plan.get_mut(&name), entry) {
            (Some(planned), hidden) => {
                if hidden.is_some() {
                    tracing::warn!(
                        name,
                        "a stored schedule is hidden by one of the configuration"
                    );
                }
                planned.revision = revision;
                planned.entry.enabled = enabled.unwrap_or(planned.entry.enabled);
            }
            (None, Some(mut entry)) => {
                entry.enabled = enabled.unwrap_or(entry.enabled);
                let origin = Origin::Api;
                plan.insert(
                    name,
                    Planned {
                        entry,
                        origin,
                        revision,
                    },
                );
            }
            // The switch of an entry that the configuration has no more.
            (None, None) => {}
        }
    }
    plan.into_values().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn entry(name: &str) -> Entry {
        Entry::crontab("0 3 * * *", "task").unwrap().named(name)
    }

    fn stored(name: &str, entry: Option<Entry>, enabled: Option<bool>) -> Stored {
        Stored {
            name: name.to_owned(),
            entry,
            enabled,
            revision: 7,
        }
    }

    #[test]
    fn the_configuration_comes_first_and_its_switch_is_stored() {
        let rows = vec![
            stored("own", Some(entry("own").arg(1)), None),
            stored("off", None, Some(false)),
            stored("both", Some(entry("both").arg(1)), None),
            stored("gone", None, Some(false)),
        ];
        let plan = merge(&[entry("off"), entry("both"), entry("plain")], rows);
        let facts = |planned: &Planned| {
            (
                planned.entry.name.clone(),
                planned.origin,
                planned.entry.enabled,
                planned.entry.args.len(),
            )
        };
        let found: Vec<_> = plan.iter().map(facts).collect();
        let expected = [
            ("both", Origin::Config, true, 0),
            ("off", Origin::Config, false, 0),
            ("own", Origin::Api, true, 1),
            ("plain", Origin::Config, true, 0),
        ];
        assert_eq!(found, expected.map(|(n, o, e, a)| (n.to_owned(), o, e, a)));
    }

    #[test]
    fn only_what_decides_about_ticks_changes_the_shape() {
        let planned = |entry: Entry| Planned {
            entry,
            origin: Origin::Api,
            revision: 1,
        };
        let shape = planned(entry("a")).shape();
        assert_eq!(planned(entry("a").arg(1).queue("q")).shape(), shape);
        assert_ne!(planned(entry("a").disabled()).shape(), shape);
        let elsewhere = entry("a").zone("Asia/Tokyo").unwrap();
        assert_ne!(planned(elsewhere).shape(), shape);
    }
}
