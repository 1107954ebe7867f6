//! Merges the layers and turns the whole into configurations.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};

use super::people::{TokenTable, UserTable};
use super::tables::Tables;
use super::{Layer, secret};
use crate::error::Error;
use crate::units::parse_duration;

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A flag of the command line.
    Flag,
    /// An environment variable of that name.
    Environment(String),
    /// A settings file.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The merged settings: text by name, each with its source, and the tables of the file.
#[derive(Clone, Default)]
pub struct Settings {
    values: BTreeMap<String, (String, Source)>,
    tables: Tables,
    users: Vec<UserTable>,
    api_tokens: Vec<TokenTable>,
}

/// The names of others for settings of ours: of Celery, and of OpenTelemetry. Of two for one
/// setting the latter weighs more.
const OTHER_NAMES: [(&str, &str); 14] = [
    ("CELERY_BROKER_URL", "broker"),
    ("CELERY_RESULT_BACKEND", "result_backend"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "otlp_traces_endpoint"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "otlp_headers"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "otlp_headers"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "otlp_timeout"),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "otlp_timeout"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "otlp_protocol"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "otlp_protocol"),
    ("OTEL_SERVICE_NAME", "service_name"),
    ("OTEL_RESOURCE_ATTRIBUTES", "resource_attributes"),
    ("OTEL_TRACES_SAMPLER", "traces_sampler"),
    ("OTEL_TRACES_SAMPLER_ARG", "traces_sampler_arg"),
];

impl Settings {
    /// Merges flags, environment and file, in this order of weight.
    pub(crate) fn resolve(
        flags: &Layer,
        environment: impl IntoIterator<Item = (String, String)>,
        file: Option<&Path>,
    ) -> Result<Self, Error> {
        let Some(path) = file else {
            return Ok(Self::merge(flags, environment, None));
        };
        let wrong = |error: &dyn fmt::Display| {
            Error::Usage(format!("settings file {}: {error}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        let layer: Layer = toml::from_str(&text).map_err(|error| {
            // The error itself would show the line, and with it what secret is in it.
            let before = error
                .span()
                .map_or("", |span| text.get(..span.start).unwrap_or(""));
            let line = before.matches('\n').count() + 1;
            wrong(&format!("line {line}: {}", error.message()))
        })?;
        let tables = Tables::read(&layer).map_err(|error| wrong(&error))?;
        Ok(Self {
            tables,
            users: layer.user.clone(),
            api_tokens: layer.api_token.clone(),
            ..Self::merge(flags, environment, Some((path, &layer)))
        })
    }

    /// Reads the settings of an environment alone: no flags, no file.
    pub fn from_environment(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        Self::merge(&Layer::default(), environment, None)
    }

    fn merge(
        flags: &Layer,
        environment: impl IntoIterator<Item = (String, String)>,
        file: Option<(&Path, &Layer)>,
    ) -> Self {
        let mut merged = BTreeMap::new();
        if let Some((path, layer)) = file {
            for (name, value) in said(layer) {
                merged.insert(name, (value, Source::File(path.to_owned())));
            }
        }
        let known = names();
        let mut from_others = BTreeMap::new();
        for (variable, value) in environment {
            let mut others = OTHER_NAMES.iter().enumerate();
            let other = others.find(|(_, (theirs, _))| *theirs == variable);
            if let Some((weight, (_, name))) = other {
                // OpenTelemetry: an empty one is as if it was not there.
                let before = from_others.get(*name);
                if !value.is_empty() && before.is_none_or(|(other, _)| *other < weight) {
                    let entry = (value, Source::Environment(variable));
                    from_others.insert((*name).to_owned(), (weight, entry));
                }
            } else if let Some(name) = variable.strip_prefix("CELERIAC_") {
                let name = name.to_ascii_lowercase();
                if known.contains(&name) {
                    merged.insert(name, (value, Source::Environment(variable)));
                }
            }
        }
        for (name, (_, entry)) in from_others {
            // Our own name weighs more than theirs.
            let ours = merged
                .get(&name)
                .is_some_and(|(_, s)| matches!(s, Source::Environment(_)));
            if !ours {
                merged.insert(name, entry);
            }
        }
        for (name, value) in said(flags) {
            merged.insert(name, (value, Source::Flag));
        }
        Self {
            values: merged,
            ..Self::default()
        }
    }

    /// Returns the queues and routes of the settings file.
    pub(crate) const fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Returns the people of the settings file.
    pub(crate) fn users(&self) -> &[UserTable] {
        &self.users
    }

    /// Returns the programs of the settings file.
    pub(crate) fn api_tokens(&self) -> &[TokenTable] {
        &self.api_tokens
    }

    /// Returns a setting as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.as_str())
    }

    /// Parses a setting; `None` when nobody said anything.
    pub(crate) fn parse<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Error> {
        self.with(name, |text| {
            text.trim()
                .parse()
                .map_err(|_| format!("expected {expected}, found {text:?}"))
        })
    }

    /// Parses a duration.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, Error> {
        self.with(name, parse_duration)
    }

    /// Parses a flag.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        self.with(name, |text| {
            match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(true),
                "false" | "0" | "no" | "off" => Ok(false),
                _ => Err(format!("expected true or false, found {text:?}")),
            }
        })
    }

    /// Splits a list at commas.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<String>> {
        let items = self
            .text(name)?
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        Some(items.map(str::to_owned).collect())
    }

    /// Reads a setting by a function whose error becomes one that names the source.
    pub(crate) fn with<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        let Some((text, source)) = self.values.get(name) else {
            return Ok(None);
        };
        read(text)
            .map(Some)
            .map_err(|error| Error::Usage(format!("setting {name} ({source}): {error}")))
    }

    /// Returns every setting with its value, secrets masked, and source; those that
    /// nobody set have no value.
    pub fn table(&self) -> Vec<(String, Option<String>, Source)> {
        let row = |name: String| match self.values.get(&name) {
            None => (name, None, Source::Default),
            Some((value, source)) => {
                let shown = secret::shown(&name, value);
                (name, Some(shown), source.clone())
            }
        };
        names().into_iter().map(row).collect()
    }
}

/// Shows every setting, secrets masked.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.table().into_iter();
        let set = set.filter_map(|(name, value, _)| Some((name, value?)));
        f.debug_map().entries(set).finish()
    }
}

/// What a layer says, by name.
fn said(layer: &Layer) -> Vec<(String, String)> {
    fields(layer)
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
        .collect()
}

/// The names of all settings, in the order of the help text.
pub(crate) fn names() -> Vec<String> {
    fields(&Layer::default())
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

fn fields(layer: &Layer) -> Map<String, Value> {
    match serde_json::to_value(layer) {
        Ok(Value::Object(fields)) => fields,
        // A struct of optional texts is always an object.
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn flags_beat_the_environment_and_ours_beats_celerys() {
        let flags = Layer {
            concurrency: Some("2".into()),
            ..Layer::default()
        };
        let environment = environment(&[
            ("CELERIAC_CONCURRENCY", "9"),
            ("CELERY_BROKER_URL", "amqp://theirs"),
            ("CELERIAC_BROKER", "amqp://ours"),
            ("CELERY_RESULT_BACKEND", "rpc://"),
            ("CELERIAC_UNKNOWN", "x"),
        ]);
        for order in [environment.clone(), environment.into_iter().rev().collect()] {
            let settings = Settings::resolve(&flags, order, None).unwrap();
            assert_eq!(settings.text("concurrency"), Some("2"));
            assert_eq!(settings.text("broker"), Some("amqp://ours"));
            assert_eq!(settings.text("result_backend"), Some("rpc://"));
        }
    }

    #[test]
    fn an_error_names_the_setting_and_where_it_came_from() {
        let environment = environment(&[("CELERIAC_DRAIN_DEADLINE", "soon")]);
        let settings = Settings::resolve(&Layer::default(), environment, None).unwrap();
        assert_eq!(
            settings.duration("drain_deadline").unwrap_err().to_string(),
            "setting drain_deadline (environment CELERIAC_DRAIN_DEADLINE): expected a unit among \
             ms, s, m, h, d, found \"soon\""
        );
    }

    #[test]
    fn secrets_are_masked() {
        let flags = Layer {
            broker: Some("amqp://user:secret@host/".into()),
            token: Some("hush".into()),
            ..Layer::default()
        };
        let settings = Settings::resolve(&flags, [], None).unwrap();
        let text = format!("{:?} {settings:?} {flags:?}", settings.table());
        assert!(!text.contains("secret") && !text.contains("hush"), "{text}");
        assert!(text.contains("user:**@host"), "{text}");
    }
}
