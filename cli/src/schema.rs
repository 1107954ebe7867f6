//! What there is to set, for programs: `celeriac check --print-schema`.
//!
//! It is read from what the program itself goes by: the definitions of the command line, the
//! table of secrets, the routers and the table of exit statuses.

mod markdown;

use std::collections::BTreeMap;

use clap::{Arg, Command};
use serde::Serialize;

use crate::args::Cli;
use crate::exit::Exit;
use crate::settings::{Kind, file_variable, is_secret};

/// Everything that can be set, by command.
#[derive(Debug, Serialize)]
pub(crate) struct Schema {
    version: &'static str,
    commands: BTreeMap<String, Described>,
    exit_codes: BTreeMap<u8, &'static str>,
}

/// One command.
#[derive(Debug, Serialize)]
struct Described {
    help: String,
    aliases: Vec<String>,
    settings: Vec<Setting>,
    listeners: Vec<Listener>,
}

/// One setting, or one flag of a command's own.
#[derive(Debug, Serialize)]
struct Setting {
    name: String,
    flag: String,
    short: Option<char>,
    environment: Option<String>,
    /// The variable that names a file with the value.
    file_environment: Option<String>,
    /// The key in a settings file.
    key: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
    /// As the help says it.
    default: Option<String>,
    values: Option<Vec<String>>,
    secret: bool,
    /// The heading of the help that it stands under.
    group: String,
    help: String,
}

/// What listens on the address that a setting names.
#[derive(Debug, Serialize)]
struct Listener {
    setting: &'static str,
    paths: Vec<String>,
}

impl Schema {
    /// Reads the schema of this program.
    pub(crate) fn new() -> Self {
        let mut commands = BTreeMap::new();
        let tree = Cli::tree();
        let known = tree.get_subcommands();
        for command in known.filter(|command| command.get_name() != "help") {
            describe(command, command.get_name().to_owned(), &mut commands);
        }
        let codes = Exit::ALL.map(|exit| (exit.number(), exit.meaning()));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commands,
            exit_codes: codes.into(),
        }
    }
}

fn describe(command: &Command, name: String, into: &mut BTreeMap<String, Described>) {
    for inner in command.get_subcommands() {
        if inner.get_name() != "help" {
            describe(inner, format!("{name} {}", inner.get_name()), into);
        }
    }
    let mut settings: Vec<_> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version"))
        .filter_map(|arg| setting(&name, arg))
        .collect();
    settings.sort_by(|one, other| one.name.cmp(&other.name));
    let help = command.get_about().map(ToString::to_string);
    let described = Described {
        help: help.unwrap_or_default(),
        aliases: command.get_all_aliases().map(str::to_owned).collect(),
        settings,
        listeners: listeners(&name),
    };
    into.insert(name, described);
}

/// Describes a flag; `None` for what has a place instead of a name.
fn setting(command: &str, arg: &Arg) -> Option<Setting> {
    let flag = format!("--{}", arg.get_long()?);
    let id = arg.get_id().as_str();
    let ours = Cli::is_setting(command, id);
    let own = arg.get_env().and_then(std::ffi::OsStr::to_str);
    let kind = Kind::of(arg);
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let (help, default) = match help.split_once(" [default: ") {
        Some((help, default)) => {
            let default = default.strip_suffix(']').unwrap_or(default).to_owned();
            (help.to_owned(), Some(default))
        }
        None => {
            let values = arg.get_default_values().iter();
            let values: Vec<_> = values.filter_map(|value| value.to_str()).collect();
            let some = matches!(kind, Kind::Switch) || values.is_empty();
            (help, (!some).then(|| values.join(",")))
        }
    };
    Some(Setting {
        name: id.to_owned(),
        flag,
        short: arg.get_short(),
        environment: match ours {
            true => Some(crate::settings::variable(id)),
            false => own.map(str::to_owned),
        },
        file_environment: file_variable(id).filter(|_| ours),
        key: ours.then(|| id.to_owned()),
        kind: kind.name(),
        default,
        values: kind.values().map(<[_]>::to_vec),
        secret: ours && is_secret(id),
        group: arg.get_help_heading().unwrap_or("Options").to_owned(),
        help,
    })
}

/// Says which settings of a command are addresses that it listens on, and what it serves there.
fn listeners(command: &str) -> Vec<Listener> {
    let node = || Listener {
        setting: "http",
        paths: celeriac_node::paths().map(str::to_owned).collect(),
    };
    let supervisor = || Listener {
        setting: "listen",
        paths: celeriac_supervisor::paths(),
    };
    // gRPC has no paths that somebody would write into a manifest.
    let scaler = || Listener {
        setting: "scaler_listen",
        paths: Vec::new(),
    };
    match command {
        "node" => vec![node()],
        "supervisor" | "beat" | "up" => vec![supervisor(), scaler()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn schema() -> Value {
        serde_json::to_value(Schema::new()).unwrap()
    }

    fn find(schema: &Value, command: &str, name: &str) -> Value {
        let settings = schema["commands"][command]["settings"].as_array().unwrap();
        let found = settings.iter().find(|setting| setting["name"] == name);
        found.cloned().unwrap_or(Value::Null)
    }

    #[test]
    fn a_setting_has_its_names_kind_and_default() {
        let schema = schema();
        let broker = find(&schema, "node", "broker");
        assert_eq!(broker["flag"], "--broker");
        assert_eq!(broker["short"], "b");
        assert_eq!(broker["environment"], "CELERIAC_BROKER");
        assert_eq!(broker["file_environment"], "CELERIAC_BROKER_FILE");
        assert_eq!(
            (&broker["type"], &broker["secret"]),
            (&json!("url"), &json!(true))
        );
        let drain = find(&schema, "node", "drain_deadline");
        assert_eq!(drain["type"], "duration");
        assert!(drain["default"].as_str().unwrap().contains("30s"));
        assert_eq!(drain["file_environment"], Value::Null);
        let election = find(&schema, "supervisor", "leader_election");
        assert_eq!(election["type"], "enum");
        assert_eq!(
            election["values"],
            json!(["auto", "broker", "lease", "none"])
        );
        let database = find(&schema, "node", "state_db");
        assert_eq!(database["flag"], "--statedb");
        assert_eq!(database["environment"], "CELERIAC_STATE_DB");
    }

    #[test]
    fn a_command_has_what_it_reads_and_no_more() {
        let schema = schema();
        assert_eq!(find(&schema, "node", "listen"), Value::Null);
        assert_eq!(find(&schema, "supervisor", "http"), Value::Null);
        let config = find(&schema, "node", "config");
        assert_eq!(
            (&config["environment"], &config["key"]),
            (&json!("CELERIAC_CONFIG"), &Value::Null)
        );
        let nodes = find(&schema, "up", "nodes");
        assert_eq!(
            (&nodes["type"], &nodes["default"]),
            (&json!("integer"), &json!("2"))
        );
        // `call` has options of the same names, which are of one task.
        assert_eq!(
            find(&schema, "call", "time_limit")["environment"],
            Value::Null
        );
        assert_ne!(find(&schema, "schedules add", "crontab"), Value::Null);
        assert_eq!(schema["commands"]["help"], Value::Null);
        assert_eq!(find(&schema, "probe", "broker"), Value::Null);
        assert_eq!(schema["commands"]["node"]["aliases"], json!(["worker"]));
        assert!(schema["exit_codes"]["78"].is_string());
    }

    #[test]
    fn what_listens_is_a_setting_and_serves_the_probes() {
        let schema = schema();
        for (command, described) in schema["commands"].as_object().unwrap() {
            for listener in described["listeners"].as_array().unwrap() {
                let setting = listener["setting"].as_str().unwrap();
                assert_eq!(find(&schema, command, setting)["type"], "address");
                let paths = listener["paths"].as_array().unwrap();
                let probes = paths.contains(&json!("/livez"));
                assert!(probes || setting == "scaler_listen", "{command}: {paths:?}");
            }
        }
        assert_eq!(
            schema["commands"]["node"]["listeners"][0]["setting"],
            "http"
        );
        let served = &schema["commands"]["supervisor"]["listeners"][0];
        assert!(served["paths"].as_array().unwrap().len() > 20);
    }
}
