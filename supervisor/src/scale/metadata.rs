//! What a ScaledObject's trigger says, read and checked.

use std::collections::HashMap;
use std::fmt;

use super::QueueSet;
use crate::cluster::cut;

/// What a ScaledObject's trigger asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trigger {
    pub(super) queues: QueueSet,
    pub(super) metric: Metric,
    /// What the metric shall be; of tasks, for each node.
    pub(super) target: Option<f64>,
    /// More tasks than that wake a fleet that is at zero.
    pub(super) activation: f64,
}

/// What to scale by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    Tasks,
    Load,
    OldestAge,
}

/// A field of the metadata that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    field: String,
    expected: String,
    found: String,
}

const QUEUES: &str = "queues";
const METRIC: &str = "metric";
const TARGET: &str = "target";
const ACTIVATION: &str = "activationTarget";
const FIELDS: [&str; 4] = [QUEUES, METRIC, TARGET, ACTIVATION];
/// The largest number that is believed.
const LARGEST: f64 = 1e9;

impl Trigger {
    pub(super) fn read(metadata: &HashMap<String, String>) -> Result<Self, Wrong> {
        // KEDA adds fields of its own, so only what looks like one of ours is refused.
        let mut unknown: Vec<_> = metadata
            .keys()
            .filter(|key| !FIELDS.contains(&key.as_str()))
            .collect();
        unknown.sort_unstable();
        for key in unknown {
            if let Some(field) = FIELDS.into_iter().find(|field| resembles(key, field)) {
                return Err(Wrong::new(key, field, "an unknown field"));
            }
        }
        let text = |field: &str| metadata.get(field).map(|text| text.trim());
        let queues = text(QUEUES)
            .ok_or_else(|| Wrong::new(QUEUES, "names of queues such as celery,mail", "none"))?;
        let queues = QueueSet::parse(queues)
            .map_err(|wrong| Wrong::new(QUEUES, wrong.expected, wrong.found))?;
        let metric = match text(METRIC) {
            None | Some("tasks") => Metric::Tasks,
            Some("load") => Metric::Load,
            Some("oldest_age") => Metric::OldestAge,
            Some(other) => {
                let expected = "tasks, load or oldest_age";
                return Err(Wrong::new(METRIC, expected, quoted(other)));
            }
        };
        let number = |field, least: &str, takes: fn(f64) -> bool| {
            let read = |text: &str| {
                let number = text.parse().ok().filter(|n| takes(*n) && *n <= LARGEST);
                let expected = format!("a number {least} up to 1000000000, in quotes");
                number.ok_or_else(|| Wrong::new(field, expected, quoted(text)))
            };
            text(field).map(read).transpose()
        };
        let target = number(TARGET, "above 0", |n| n > 0.0)?;
        if metric != Metric::Tasks && target.is_none() {
            let expected = match metric {
                Metric::Load => {
                    "the load that nodes shall have, such as \"1\", because metric is load"
                }
                _ => "seconds such as \"30\", because metric is oldest_age",
            };
            return Err(Wrong::new(TARGET, expected, "none"));
        }
        let activation = number(ACTIVATION, "from 0", |n| n >= 0.0)?;
        Ok(Self {
            queues,
            metric,
            target,
            activation: activation.unwrap_or(0.0),
        })
    }
}

impl Metric {
    /// Names the metric in KEDA's answers.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tasks => "celeriac-tasks",
            Self::Load => "celeriac-load",
            Self::OldestAge => "celeriac-oldest-age",
        }
    }

    /// Returns a number of this metric in whole steps, for a KEDA that reads whole numbers
    /// alone: of a load, thousandths.
    pub(super) fn whole(self, number: f64) -> i64 {
        let steps = match self {
            Self::Load => 1_000.0,
            Self::Tasks | Self::OldestAge => 1.0,
        };
        // What is too large becomes the largest.
        (number * steps).ceil() as i64
    }
}

impl Wrong {
    pub(super) fn new(field: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            field: cut(field, 100),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// Nobody said how many tasks a node shall have, and no node said how many it runs.
    pub(super) fn no_target() -> Self {
        let expected = "how many tasks each node shall have, because no node of these queues has \
                        said how many it runs at once";
        Self::new(TARGET, expected, "none")
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            expected,
            found,
        } = self;
        write!(f, "metadata.{field}: expected {expected}, found {found}")
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", cut(text, 100).escape_debug())
}

/// Tells whether a name is another one with a slip in it: other letters' case, a stroke, or
/// one or two letters.
fn resembles(name: &str, field: &str) -> bool {
    let plain = |text: &str| -> Vec<char> {
        let letters = text.chars().take(40).filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    let (name, field) = (plain(name), plain(field));
    let most = if field.len() > 6 { 2 } else { 1 };
    distance(&name, &field) <= most
}

/// Counts the letters to insert, leave out or replace.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<_> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(fields: &[(&str, &str)]) -> Result<Trigger, String> {
        let own = |(field, text): &(&str, &str)| ((*field).to_owned(), (*text).to_owned());
        let metadata = fields.iter().map(own).collect();
        Trigger::read(&metadata).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let keda = ("scalerAddress", "celeriac-supervisor.celeriac:9596");
        let trigger = read(&[("queues", "mail,celery"), keda, ("tlsCertFile", "")]).unwrap();
        assert_eq!(trigger.queues.names(), ["celery", "mail"]);
        assert_eq!((trigger.metric, trigger.target), (Metric::Tasks, None));
        assert_eq!(trigger.activation, 0.0);
        let fields = [
            ("queues", "a"),
            ("metric", "load"),
            ("target", "0.8"),
            ("activationTarget", "5"),
        ];
        let trigger = read(&fields).unwrap();
        assert_eq!((trigger.metric, trigger.target), (Metric::Load, Some(0.8)));
        assert_eq!((trigger.activation, trigger.metric.whole(0.8)), (5.0, 800));
    }

    #[test]
    fn what_is_wrong_names_its_field() {
        let wrong = |field: (&str, &str), text: &str| {
            let fields = [("queues", "a"), field];
            let found = read(&fields).unwrap_err();
            assert!(found.starts_with(text), "{found}");
        };
        assert!(
            read(&[])
                .unwrap_err()
                .starts_with("metadata.queues: expected names")
        );
        wrong(
            ("queues", "a,,b"),
            "metadata.queues: expected 1 to 32 names",
        );
        wrong(
            ("metric", "cpu"),
            "metadata.metric: expected tasks, load or oldest_age, found 'cpu'",
        );
        wrong(("metric", "load"), "metadata.target: expected the load");
        wrong(
            ("metric", "oldest_age"),
            "metadata.target: expected seconds",
        );
        for target in ["0", "-1", "nan", "inf", "1e10", "", "many"] {
            wrong(
                ("target", target),
                "metadata.target: expected a number above 0",
            );
        }
        wrong(
            ("activationTarget", "-1"),
            "metadata.activationTarget: expected a number from 0",
        );
        for slip in [
            "queue",
            "Queues",
            "activationtarget",
            "activation_target",
            "targt",
            "metrics",
        ] {
            wrong((slip, "1"), &format!("metadata.{slip}: expected "));
        }
    }
}
