//! Merges the layers and turns the whole into configurations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Map;

use super::environment::{self, Environment};
use super::people::{TokenTable, UserTable};
use super::tables::Tables;
use super::{Layer, SettingsFile, Source, secret};
use crate::error::Error;
use crate::units::parse_duration;

/// What somebody said of a setting.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// This.
    Text(String),
    /// What is in a file that the command does not need.
    Unread,
}

/// A value, and where it came from.
pub(super) type Said = (Value, Source);

/// Which settings a command reads, and which variables are its own.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// The settings; `None` for all.
    pub(crate) settings: Option<BTreeSet<String>>,
    /// Variables that are no settings.
    pub(crate) variables: BTreeSet<String>,
}

/// The merged settings: text by name, each with its source, and the tables of the file.
#[derive(Clone, Default)]
pub struct Settings {
    values: BTreeMap<String, Said>,
    service_links: Vec<String>,
    tables: Tables,
    users: Vec<UserTable>,
    api_tokens: Vec<TokenTable>,
}

impl Settings {
    /// Merges flags, environment and file, in this order of weight.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, a variable with our prefix is not known, or the file of
    /// a secret that the command reads cannot be used.
    pub(crate) fn resolve(
        flags: &Layer,
        environment: &Environment,
        file: Option<&SettingsFile>,
        reader: &Reader,
    ) -> Result<Self, Error> {
        let is_read = |name: &str| match &reader.settings {
            Some(settings) => settings.contains(name),
            None => true,
        };
        let mut further = reader.variables.clone();
        let mut settings = Self::default();
        if let Some(file) = file {
            file.read_into(&mut settings)?;
        }
        further.extend(settings.users.iter().filter_map(UserTable::variable));
        further.extend(settings.api_tokens.iter().filter_map(TokenTable::variable));
        settings.service_links = environment.check(&further)?;
        settings.values.extend(environment.said());
        settings.values.extend(environment.files(is_read)?);
        settings.values.extend(said(flags, || Source::Flag));
        for (name, (value, source)) in &mut settings.values {
            if *value == Value::Unread && is_read(name) {
                *value = Value::Text(environment::fetch(name, source)?);
            }
        }
        Ok(settings)
    }

    /// Reads the settings of an environment alone: no flags, no files.
    pub fn from_environment(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            values: Environment::from_iter(environment).said(),
            ..Self::default()
        }
    }

    /// Makes settings of flags alone.
    #[cfg(test)]
    pub(crate) fn of_flags(flags: &Layer) -> Self {
        Self {
            values: said(flags, || Source::Flag).into_iter().collect(),
            ..Self::default()
        }
    }

    /// Takes over what a settings file says.
    pub(super) fn take(&mut self, layer: &Layer, path: &Path) -> Result<(), String> {
        self.tables = Tables::read(layer)?;
        self.users.clone_from(&layer.user);
        self.api_tokens.clone_from(&layer.api_token);
        let source = || Source::File(path.to_owned());
        self.values.extend(said(layer, source));
        Ok(())
    }

    /// Returns the variables that Kubernetes made of Services whose names are like ours.
    pub(crate) fn service_links(&self) -> &[String] {
        &self.service_links
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
        match self.values.get(name) {
            Some((Value::Text(text), _)) => Some(text),
            _ => None,
        }
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
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        read(text)
            .map(Some)
            .map_err(|error| self.wrong(&[name], &error))
    }

    /// Returns where a setting came from.
    pub(super) fn source(&self, name: &str) -> Source {
        let found = self.values.get(name);
        found.map_or(Source::Default, |(_, source)| source.clone())
    }

    /// Returns every setting with its value, secrets masked, and source; those that
    /// nobody set have no value.
    pub fn table(&self) -> Vec<(String, Option<String>, Source)> {
        let row = |name: String| match self.values.get(&name) {
            None => (name, None, Source::Default),
            Some((value, source)) => {
                let shown = match value {
                    Value::Text(value) => secret::shown(&name, value),
                    Value::Unread => "**".to_owned(),
                };
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
fn said(layer: &Layer, source: impl Fn() -> Source) -> Vec<(String, Said)> {
    let said = |(name, value): (String, serde_json::Value)| {
        let text = Value::Text(value.as_str()?.to_owned());
        Some((name, (text, source())))
    };
    fields(layer).into_iter().filter_map(said).collect()
}

/// The names of all settings, in the order of the help text.
pub(crate) fn names() -> Vec<String> {
    fields(&Layer::default())
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

fn fields(layer: &Layer) -> Map<String, serde_json::Value> {
    match serde_json::to_value(layer) {
        Ok(serde_json::Value::Object(fields)) => fields,
        // A struct of optional texts is always an object.
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn resolve(flags: &Layer, pairs: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::resolve(flags, &environment(pairs), None, &Reader::default())
    }

    #[test]
    fn flags_beat_the_environment_and_ours_beats_celerys() {
        let flags = Layer {
            concurrency: Some("2".into()),
            ..Layer::default()
        };
        let pairs = [
            ("CELERIAC_CONCURRENCY", "9"),
            ("CELERY_BROKER_URL", "amqp://theirs"),
            ("CELERIAC_BROKER", "amqp://ours"),
            ("CELERY_RESULT_BACKEND", "rpc://"),
        ];
        let settings = resolve(&flags, &pairs).unwrap();
        assert_eq!(settings.text("concurrency"), Some("2"));
        assert_eq!(settings.text("broker"), Some("amqp://ours"));
        assert_eq!(settings.text("result_backend"), Some("rpc://"));
    }

    #[test]
    fn an_error_names_the_setting_and_where_it_came_from() {
        let settings = resolve(&Layer::default(), &[("CELERIAC_DRAIN_DEADLINE", "soon")]).unwrap();
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
        let settings = resolve(&flags, &[]).unwrap();
        let text = format!("{:?} {settings:?} {flags:?}", settings.table());
        assert!(!text.contains("secret") && !text.contains("hush"), "{text}");
        assert!(text.contains("user:**@host"), "{text}");
    }

    // S52: a command reads the secrets that it needs, and no others.
    #[test]
    fn the_file_of_a_secret_is_read_by_who_needs_it() {
        let path = std::env::temp_dir().join(format!("broker-{}", uuid::Uuid::new_v4()));
        std::fs::write(&path, "amqp://ann:hush@h:5672/\n").unwrap();
        let pairs = [
            ("CELERIAC_BROKER_FILE", path.to_str().unwrap()),
            ("CELERY_BROKER_URL", "amqp://theirs"),
            ("CELERIAC_TOKEN_FILE", "/no/such/token"),
        ];
        let reader = |names: &[&str]| Reader {
            settings: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            ..Reader::default()
        };
        let read = |flags: &Layer, names: &[&str]| {
            Settings::resolve(flags, &environment(&pairs), None, &reader(names))
        };
        let settings = read(&Layer::default(), &["broker"]).unwrap();
        assert_eq!(settings.text("broker"), Some("amqp://ann:hush@h:5672/"));
        assert_eq!(settings.text("token"), None);
        let shown = format!("{:?}", settings.table());
        assert!(!shown.contains("hush"), "{shown}");
        assert!(shown.contains("ann:**@h"), "{shown}");
        assert_eq!(
            settings.source("broker").to_string(),
            format!("file {} of CELERIAC_BROKER_FILE", path.display())
        );

        let missing = read(&Layer::default(), &["token"]).unwrap_err();
        assert!(matches!(missing, Error::Config(_)));
        assert_eq!(
            missing.to_string(),
            "setting token (environment CELERIAC_TOKEN_FILE): file /no/such/token cannot be \
             read: No such file or directory (os error 2)"
        );
        // A flag weighs more, and then the file is nobody's business.
        let flags = Layer {
            token: Some("0123456789abcdef".into()),
            ..Layer::default()
        };
        assert!(read(&flags, &["token"]).is_ok());
        std::fs::remove_file(&path).unwrap();

        let both = [("CELERIAC_TOKEN", "hush"), ("CELERIAC_TOKEN_FILE", "/x")];
        let error = resolve(&Layer::default(), &both).unwrap_err();
        assert!(matches!(error, Error::Config(_)));
        let error = error.to_string();
        assert!(
            error.contains("CELERIAC_TOKEN_FILE") && !error.contains("hush"),
            "{error}"
        );
    }
}
