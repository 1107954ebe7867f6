//! What the binary can be told, as it says itself.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::OnceLock;

use celeriac_tests::servers::binary_folder;
use serde::Deserialize;

/// What `celeriac check --print-schema` prints, as far as it is compared.
#[derive(Debug, Deserialize)]
pub(crate) struct Schema {
    pub(crate) commands: BTreeMap<String, Described>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Described {
    #[serde(default)]
    pub(crate) aliases: Vec<String>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) listeners: Vec<Listener>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) flag: String,
    pub(crate) environment: Option<String>,
    pub(crate) file_environment: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Listener {
    pub(crate) setting: String,
    pub(crate) paths: Vec<String>,
}

impl Schema {
    /// Returns a command by its name or another name of it.
    pub(crate) fn command(&self, name: &str) -> Option<&Described> {
        let aliased = |described: &&Described| described.aliases.iter().any(|one| one == name);
        let by_name = self.commands.get(name);
        by_name.or_else(|| self.commands.values().find(aliased))
    }
}

impl Described {
    pub(crate) fn by_flag(&self, flag: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.flag == flag)
    }

    /// Returns the setting that a variable, or the variable of its file, sets.
    pub(crate) fn by_variable(&self, variable: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| {
            let names = [&setting.environment, &setting.file_environment];
            names.into_iter().flatten().any(|name| name == variable)
        })
    }
}

/// Returns the built binary.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(binary_folder().join("celeriac"));
    command.env_clear();
    command
}

/// Returns what the built binary says of itself.
pub(crate) fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let output = binary().args(["check", "--print-schema"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).unwrap_or_else(|error| {
            let complaint = String::from_utf8_lossy(&output.stderr);
            panic!("celeriac check --print-schema: {error}\n{complaint}")
        })
    })
}
