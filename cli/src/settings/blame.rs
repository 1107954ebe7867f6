//! From what a component cannot use to the setting that says so.

use std::fmt::Display;

use super::secret::{is_url, shown};
use super::{Settings, Source};
use crate::error::Error;

/// What components call what they cannot use, and the settings that it comes from.
const PARTS: [(&str, &[&str]); 21] = [
    ("broker url", &["broker"]),
    ("result backend url", &["result_backend"]),
    ("queue max priority", &["queue_max_priority"]),
    ("node name", &["hostname"]),
    ("queue", &["queues", "default_queue"]),
    ("queues", &["queues", "default_queue"]),
    ("concurrency", &["concurrency"]),
    ("autoscale", &["autoscale"]),
    ("prefetch", &["prefetch"]),
    ("time limits", &["soft_time_limit", "time_limit"]),
    ("time limit", &["soft_time_limit", "time_limit"]),
    ("max deliveries", &["max_deliveries"]),
    ("max body", &["max_body"]),
    ("isolation, processes", &["child_processes"]),
    ("isolation, tasks per process", &["max_tasks_per_child"]),
    (
        "isolation, memory per process",
        &["max_memory_per_child", "memory_limit_per_child"],
    ),
    // What the supervisor's configuration calls otherwise than its settings, or what follows
    // from two of them.
    ("url", &["advertise"]),
    ("lease", &["lease", "leader_election"]),
    ("group_roles", &["group_roles", "trusted_header"]),
    ("trusted_proxies", &["trusted_proxies", "trusted_header"]),
    ("groups_header", &["groups_header", "group_roles"]),
];

impl Settings {
    /// Refuses settings: says which, where each came from, and why.
    ///
    /// It is the command line's fault if all of those that somebody set are flags, and else
    /// the configuration's.
    pub(crate) fn wrong(&self, names: &[&str], reason: &dyn Display) -> Error {
        let named = names.iter().map(|name| (*name, self.source(name)));
        let set: Vec<_> = named
            .filter(|(_, source)| *source != Source::Default)
            .collect();
        let by_flags = !set.is_empty() && set.iter().all(|(_, source)| *source == Source::Flag);
        let each: Vec<_> = set
            .iter()
            .map(|(name, source)| format!("{name} ({source})"))
            .collect();
        let text = match each.as_slice() {
            [] => format!("setting {}", names.first().unwrap_or(&"")),
            [one] => format!("setting {one}"),
            several => format!("settings {}", several.join(" and ")),
        };
        let mut reason = reason.to_string();
        if set
            .iter()
            .any(|(name, source)| self.is_hidden(name, source))
            && let Some((expected, _)) = reason.split_once(", found ")
        {
            reason = format!("{expected}, found something else");
        }
        let text = format!("{text}: {reason}");
        match by_flags {
            true => Error::Usage(text),
            false => Error::Config(text),
        }
    }

    /// Tells whether nothing of a URL may be shown: it is from a file with a secret, or nobody
    /// knows where its password is. Who reads other secrets tells nothing of them.
    fn is_hidden(&self, name: &str, source: &Source) -> bool {
        let hidden = |text: &str| shown(name, text).ends_with("**");
        let text = self.text(name).unwrap_or_default();
        is_url(name) && (matches!(source, Source::Secret { .. }) || hidden(text))
    }

    /// Refuses what the parts of an app or a node refuse, by the setting it comes from.
    pub(crate) fn blame(&self, error: celeriac::Error) -> Error {
        let celeriac::Error::Invalid {
            what,
            expected,
            found,
        } = &error
        else {
            return error.into();
        };
        // `broker url, heartbeat` is a part of the broker's URL.
        let mut parts = PARTS.iter().filter_map(|(part, settings)| {
            let detail = what.strip_prefix(part)?;
            let detail = match detail.strip_prefix(", ") {
                Some(detail) => format!("{detail}: "),
                None if detail.is_empty() => String::new(),
                None => return None,
            };
            Some((detail, settings))
        });
        match parts.next() {
            Some((detail, settings)) => self.wrong(
                settings,
                &format!("{detail}expected {expected}, found {found}"),
            ),
            None => error.into(),
        }
    }

    /// Refuses what a supervisor's configuration refuses, by the setting it comes from.
    pub(crate) fn blame_supervisor(&self, error: celeriac_supervisor::Error) -> Error {
        let celeriac_supervisor::Error::Config {
            setting,
            expected,
            found,
        } = &error
        else {
            return error.into();
        };
        let reason = format!("expected {expected}, found {found}");
        let known = PARTS.iter().find(|(part, _)| part == setting);
        match known {
            Some((_, settings)) => self.wrong(settings, &reason),
            None => self.wrong(&[*setting], &reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::{Environment, Layer, Reader, Settings, names};

    use super::*;

    fn settings(flags: &Layer, pairs: &[(&str, &str)]) -> Settings {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = pairs.iter().map(owned).collect::<Environment>();
        Settings::resolve(flags, &environment, None, &Reader::default()).unwrap()
    }

    #[test]
    fn every_part_leads_to_settings() {
        let known = names();
        for (part, settings) in PARTS {
            for name in settings {
                assert!(known.iter().any(|known| known == name), "{part}: {name}");
            }
        }
    }

    // S52: who made the mistake is told by the status.
    #[test]
    fn a_flag_is_the_command_lines_fault_and_the_rest_the_configurations() {
        let flags = Layer {
            time_limit: Some("5s".into()),
            ..Layer::default()
        };
        let invalid = || {
            let what = "time limits";
            celeriac::Error::invalid(what, "a soft limit below the hard one", "9s and 5s")
        };
        let both = settings(&flags, &[("CELERIAC_SOFT_TIME_LIMIT", "9s")]).blame(invalid());
        assert!(matches!(both, Error::Config(_)), "{both:?}");
        assert_eq!(
            both.to_string(),
            "settings soft_time_limit (environment CELERIAC_SOFT_TIME_LIMIT) and time_limit \
             (flag): expected a soft limit below the hard one, found 9s and 5s"
        );
        let flag = settings(&flags, &[]).blame(invalid());
        assert!(matches!(flag, Error::Usage(_)), "{flag:?}");
        // What no setting says is the program's own, or an argument.
        let other = settings(&flags, &[]).blame(celeriac::Error::invalid("task name", "a", "b"));
        assert!(matches!(other, Error::Usage(_)), "{other:?}");
    }

    #[test]
    fn no_part_of_a_malformed_url_is_shown() {
        for url in [
            "amqp//ann:hush@h",
            "hush",
            "amqp://ann:12/hush@h",
            "amqp://ann:1/2%zzhush@h",
            "amqp://ann:hush@h:port",
            "amqp://ann:12?hush@h",
            "mysql://ann:hush@h",
        ] {
            for name in [
                "broker",
                "result_backend",
                "management_url",
                "store",
                "smtp",
            ] {
                let variable = crate::settings::variable(name);
                let settings = settings(&Layer::default(), &[(&variable, url)]);
                let shown = format!("{settings:?}");
                assert!(
                    !shown.contains("hush") || name == "store",
                    "{name}: {shown}"
                );
                let Err(error) = crate::command::check::checked(&settings) else {
                    continue;
                };
                let error = error.to_string();
                assert!(!error.contains("hush"), "{name}: {error}");
                assert!(error.contains(&variable), "{error}");
            }
        }
    }
}
