//! The command line.

mod call;
mod check;
mod letters;
mod remote;
mod schedules;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

pub(crate) use self::call::Call;
pub(crate) use self::check::{Check, SchemaFormat};
pub(crate) use self::letters::{Discard, Letters, LettersCommand, List, Replay, Which};
pub(crate) use self::remote::{Asked, Drawing, Events, Graph, Migrate, Remote, Top};
pub(crate) use self::schedules::{
    Add, Edit, Fields, Named, Preview, Schedules, SchedulesCommand, When,
};
use crate::exit::Exit;
use crate::settings::{Layer, Reader, Text};
use crate::units::parse_duration;

/// Celeriac: a worker cluster that speaks Celery.
#[derive(Debug, Parser)]
#[command(
    name = "celeriac",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) flags: Layer,

    /// The name of the command.
    #[arg(skip)]
    name: String,

    /// Whether a flag names the settings file.
    #[arg(skip)]
    pub(crate) names_config: bool,

    /// Settings file in TOML [default: celeriac.toml if it is there]
    #[arg(long, global = true, env = "CELERIAC_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print JSON for programs, errors too; what runs on logs JSON
    #[arg(short = 'j', long, global = true)]
    pub(crate) json: bool,
}

/// Which commands show the settings of which heading. Every command takes every
/// setting, so that an alias or a script may set all; its help shows those it reads.
const SHOWN: [(&str, &[&str]); 5] = [
    ("Node", &["node", "up", "check"]),
    ("Supervisor", &["supervisor", "beat", "up", "check"]),
    ("Stopping", &["node", "supervisor", "beat", "up", "check"]),
    ("Built-in tasks", &["node", "up", "check"]),
    ("Traces", &["node", "supervisor", "up", "check"]),
];

/// The settings that `probe` reads.
const PROBED: [&str; 2] = ["http", "listen"];

/// What flags mean to `call` that are settings of nodes to other commands, under the names
/// that Celery has for both.
const CALL: [(&str, &str); 2] = [
    (
        "time_limit",
        "Stop it after this long [default: the task's own limit]",
    ),
    (
        "soft_time_limit",
        "Ask it to stop after this long, at most the time limit [default: the task's own]",
    ),
];

/// What help texts say of settings.
const FORMS: &str = "Every setting is also a variable, such as CELERIAC_DRAIN_DEADLINE for \
                     --drain-deadline, and a key of the settings file, drain_deadline. One that \
                     may hold a secret can come from a file: CELERIAC_BROKER_FILE=/run/secrets/broker.";

/// What --token is to commands that go through a supervisor.
const TOKEN: &str = "Token that the supervisor of --api knows [default: none]";

fn limit(flag: &str, said: Option<Text>) -> Result<Option<Duration>, clap::Error> {
    let parsed = said.map(|text| {
        parse_duration(&text).map_err(|error| {
            let text = format!("{flag}: {error}\n");
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, text)
        })
    });
    parsed.transpose()
}

impl Cli {
    /// Parses a command line, the name of the program first.
    pub(crate) fn parse_line(
        line: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let matches = Self::tree().try_get_matches_from(line)?;
        let mut cli = Self::from_arg_matches(&matches)?;
        cli.name = matches.subcommand_name().unwrap_or_default().to_owned();
        cli.names_config = matches.value_source("config") == Some(ValueSource::CommandLine);
        if let Command::Call(call) = &mut cli.command {
            call.time.time_limit = limit("--time-limit", cli.flags.time_limit.take())?;
            call.time.soft_time_limit =
                limit("--soft-time-limit", cli.flags.soft_time_limit.take())?;
        }
        Ok(cli)
    }

    /// Tells whether a command runs until it is told to end.
    pub(crate) fn is_long_running(command: &str) -> bool {
        matches!(command, "node" | "worker" | "supervisor" | "beat" | "up")
    }

    /// Tells whether this command runs until it is told to end.
    pub(crate) fn runs_on(&self) -> bool {
        Self::is_long_running(&self.name)
    }

    /// Returns which settings this command reads, and the variables that are no settings.
    pub(crate) fn reader(&self) -> Reader {
        let tree = Self::tree();
        let variables = tree.get_subcommands().flat_map(|command| {
            let own = command.get_arguments().filter_map(|arg| arg.get_env());
            own.filter_map(|name| name.to_str().map(str::to_owned))
        });
        let command = tree.find_subcommand(&self.name);
        let arguments = command.into_iter().flat_map(clap::Command::get_arguments);
        let shown = arguments.filter(|arg| !arg.is_hide_set());
        let shown = shown.map(|arg| arg.get_id().to_string());
        Reader {
            settings: match &*self.name {
                // What it does without --api is what a supervisor does.
                "top" => None,
                "probe" => Some(PROBED.map(str::to_owned).into()),
                // A report of what is wrong must not fail by it.
                "report" => Some(BTreeSet::new()),
                name => Some(shown.filter(|id| Self::is_setting(name, id)).collect()),
            },
            variables: variables.collect(),
        }
    }

    /// Tells whether a flag of a command is a setting, and no flag of the command's own.
    pub(crate) fn is_setting(command: &str, id: &str) -> bool {
        let own = command == "call" && CALL.iter().any(|(name, _)| *name == id);
        !own && crate::settings::names().iter().any(|name| name == id)
    }

    /// Returns the whole command line, with the help of each command as it is shown.
    pub(crate) fn tree() -> clap::Command {
        // Every command takes every setting; they reach the subcommands only when the tree
        // is built.
        let mut tree = Self::command().mut_args(|arg| arg.global(true));
        let codes = Exit::ALL.map(|exit| format!("  {:<3} {}", exit.number(), exit.meaning()));
        tree = tree.after_help(format!("{FORMS}\n\nExit codes:\n{}", codes.join("\n")));
        tree.build();
        for command in tree.get_subcommands_mut() {
            let name = command.get_name().to_owned();
            let shown = |heading: &str| {
                SHOWN
                    .iter()
                    .all(|(of, commands)| *of != heading || commands.contains(&&*name))
            };
            let asks = command
                .get_arguments()
                .any(|arg| arg.get_long() == Some("api"));
            let adapt = |arg: clap::Arg| {
                if asks && arg.get_id() == "token" {
                    return arg.help_heading(None).help(TOKEN);
                }
                let own = CALL
                    .iter()
                    .find(|(id, _)| name == "call" && arg.get_id() == id);
                if let Some((_, help)) = own {
                    return arg.help_heading("When it runs").help(help);
                }
                let probed = PROBED.contains(&arg.get_id().as_str());
                let hide = arg.get_help_heading().is_some_and(|heading| match &*name {
                    "probe" => !probed,
                    _ => !shown(heading),
                });
                arg.hide(hide)
            };
            *command = std::mem::take(command).mut_args(adapt);
            // Commands of a command show what it shows.
            for inner in command.get_subcommands_mut() {
                *inner = std::mem::take(inner).mut_args(adapt);
            }
            if shown("Node") || shown("Supervisor") {
                *command = std::mem::take(command).after_help(FORMS);
            }
        }
        tree
    }
}

#[allow(clippy::large_enum_variant, reason = "made once for each process")]
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole cluster in this process: supervisor, nodes and an embedded broker
    Up(Up),
    /// Run a worker node
    #[command(visible_alias = "worker")]
    Node,
    /// Run the supervisor: health, metrics, API and pages
    Supervisor,
    /// Send the tasks of schedules, as the supervisor does, without the rest
    Beat(Beat),
    /// Call a task by name
    Call(Box<Call>),
    /// Show the result of a task
    Result(ResultOf),
    /// List the nodes that answer
    Status(Status),
    /// Ask nodes about themselves
    Inspect(Remote),
    /// Make nodes do something
    Control(Remote),
    /// Watch nodes, queues and tasks in the terminal, and steer them
    Top(Top),
    /// Print what happens in the cluster, as it happens
    Events(Events),
    /// Draw the cluster for Graphviz
    Graph(Graph),
    /// Show how many messages wait in queues
    Queues(Queues),
    /// Drop all waiting messages of queues
    Purge(Purge),
    /// Look at dead letters, send them again, discard them
    Letters(Letters),
    /// Show and change when tasks run by themselves
    Schedules(Schedules),
    /// Bring messages from one broker to another
    Migrate(Migrate),
    /// Print the hash of a password, for [[user]] in the settings file: typed, or from a pipe
    HashPassword,
    /// Print what belongs into a bug report
    Report,
    /// Print the completion script of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Ask the node or supervisor on this machine how it is, for health checks of images
    /// without a shell: status 0 for yes, 1 for no, 69 when nobody answers
    Probe(Probe),
    /// Print the effective settings, secrets masked, and check them
    Check(Check),
}

#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// What to ask
    #[arg(value_enum)]
    pub(crate) what: Asking,
    /// Ask the supervisor, at --listen [default: at whichever address is set, --http first]
    #[arg(long)]
    pub(crate) supervisor: bool,
    /// How long the answer may take
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "1s")]
    pub(crate) timeout: Duration,
}

/// What a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Asking {
    /// Whether every loop of the process turns
    Live,
    /// Whether it takes tasks, or hears events
    Ready,
    /// Whether it did so once
    Started,
}

impl Asking {
    /// Returns the word for yes.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Ready => "ready",
            Self::Started => "started",
        }
    }

    /// Returns where it is asked.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Live => "/livez",
            Self::Ready => "/readyz",
            Self::Started => "/startupz",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Beat {
    /// File that keeps what was sent, in place of --store
    #[arg(short = 's', long, value_name = "FILE")]
    pub(crate) schedule: Option<String>,
    /// Longest sleep between looks at the schedules, 1s or more: it never sleeps longer than 1s
    #[arg(long, value_name = "SECONDS", value_parser = parse_duration)]
    pub(crate) max_interval: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// How many nodes to run
    #[arg(
        long, value_name = "N", default_value_t = 2,
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    pub(crate) nodes: u16,
}

#[derive(Debug, Args)]
pub(crate) struct ResultOf {
    /// Id of the task
    pub(crate) id: String,
    /// Wait until it is ready, this long at most
    #[arg(
        long, value_name = "DURATION", value_parser = parse_duration, num_args = 0..=1,
        default_missing_value = "60s", require_equals = true
    )]
    pub(crate) wait: Option<Duration>,
    #[command(flatten)]
    pub(crate) api: Api,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) asked: Asked,
    #[command(flatten)]
    pub(crate) api: Api,
}

#[derive(Debug, Args)]
pub(crate) struct Queues {
    /// Names of queues [default: those of the settings]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) api: Api,
}

#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// Names of queues [default: those of the settings]
    pub(crate) names: Vec<String>,
    /// All but these, separated by commas
    #[arg(short = 'X', long, value_name = "QUEUES", value_delimiter = ',')]
    pub(crate) exclude_queues: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// Commands that can go through a supervisor instead of the broker.
#[derive(Debug, Args)]
pub(crate) struct Api {
    /// Go through a supervisor's API, such as http://127.0.0.1:9595; the only way to a
    /// cluster on an embedded broker
    #[arg(long = "api", env = "CELERIAC_API", value_name = "URL")]
    pub(crate) url: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_shows_the_settings_that_the_command_reads() {
        let help = |name: &str| {
            let mut tree = Cli::tree();
            tree.find_subcommand_mut(name)
                .unwrap()
                .render_long_help()
                .to_string()
        };
        assert!(help("node").contains("--concurrency"));
        assert!(help("call").contains("--broker"));
        assert!(!help("call").contains("--concurrency"));
        assert!(help("call").contains("the task's own limit"));
        assert!(!help("node").contains("the task's own limit"));
        assert!(!help("supervisor").contains("--smtp"));
        assert!(help("status").contains("--token"));
        assert!(help("node").contains("CELERIAC_DRAIN_DEADLINE"));
        let whole = Cli::tree().render_help().to_string();
        assert!(
            whole.contains("  78 ") && whole.contains("the settings file"),
            "{whole}"
        );
    }

    #[test]
    fn a_node_is_started_like_a_celery_worker() {
        let cli = Cli::parse_line([
            "celeriac",
            "node",
            "-b",
            "amqp://h",
            "-r",
            "rpc://",
            "-Q",
            "a,b",
            "-c",
            "4",
            "-n",
            "w@h",
            "-l",
            "info",
            "--prefetch",
            "100",
            "-E",
        ])
        .unwrap();
        assert_eq!(cli.flags.queues.as_deref(), Some("a,b"));
        assert_eq!(cli.flags.events.as_deref(), Some("true"));
        assert_eq!(cli.flags.prefetch.as_deref(), Some("100"));
    }
}
