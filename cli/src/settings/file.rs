//! The settings file.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Layer, Settings};
use crate::error::Error;

/// The file that is read when it is there and nobody names one.
const DEFAULT: &str = "celeriac.toml";

/// A settings file, not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettingsFile {
    path: PathBuf,
    /// Whether the command line names it.
    by_flag: bool,
}

impl SettingsFile {
    /// Finds the settings file: the one that is named, or else the one in the working
    /// directory if it is there.
    pub(crate) fn find(named: Option<&Path>, by_flag: bool) -> Option<Self> {
        let found = match named {
            Some(path) => path.to_owned(),
            None => PathBuf::from(DEFAULT),
        };
        (named.is_some() || found.is_file()).then_some(Self {
            path: found,
            by_flag,
        })
    }

    /// Returns where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what it says of one setting, if that can be read, whatever else it says.
    pub(crate) fn peek(&self, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(&self.path).ok()?;
        let table: toml::Table = text.parse().ok()?;
        Some(table.get(name)?.as_str()?.to_owned())
    }

    /// Reads it into settings.
    ///
    /// # Errors
    ///
    /// Names the file, and the line that is wrong.
    pub(super) fn read_into(&self, settings: &mut Settings) -> Result<(), Error> {
        let text = std::fs::read_to_string(&self.path).map_err(|error| {
            let text = self.named(&error);
            // Whoever wrote its name is who must act.
            match self.by_flag {
                true => Error::Usage(text),
                false => Error::Config(text),
            }
        })?;
        let wrong = |error: &dyn fmt::Display| Error::Config(self.named(error));
        let layer: Layer = toml::from_str(&text).map_err(|error| {
            // The error itself would show the line, and with it what secret is in it.
            let before = error
                .span()
                .map_or("", |span| text.get(..span.start).unwrap_or(""));
            let line = before.matches('\n').count() + 1;
            wrong(&format!("line {line}: {}", error.message()))
        })?;
        settings
            .take(&layer, &self.path)
            .map_err(|error| wrong(&error))
    }

    fn named(&self, error: &dyn fmt::Display) -> String {
        format!("settings file {}: {error}", self.path.display())
    }
}
