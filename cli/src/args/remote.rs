//! The command lines of what talks to running nodes.

use std::time::Duration;

use clap::Args;

use crate::units::parse_duration;

/// `celeriac inspect` and `celeriac control`.
#[derive(Debug, Args)]
pub(crate) struct Remote {
    /// What to ask or do; --list shows what there is
    #[arg(required_unless_present = "list")]
    pub(crate) method: Option<String>,
    /// Its arguments
    #[arg(value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<String>,
    /// List what there is, with the arguments of each
    #[arg(long)]
    pub(crate) list: bool,
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// Send also what is not on the list, such as a command of your own: its arguments are
    /// then name=value, each value JSON or else a text
    #[arg(long)]
    pub(crate) any: bool,
}

/// Who is asked, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// How long to wait for answers
    #[arg(short, long, value_parser = parse_duration, default_value = "1s")]
    pub(crate) timeout: Duration,
    /// Only these nodes, separated by commas [default: all]
    #[arg(short, long, value_name = "NODES", value_delimiter = ',')]
    pub(crate) destination: Vec<String>,
}

/// `celeriac events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Print events, which is what this command does
    #[arg(short, long, hide = true)]
    pub(crate) dump: bool,
    /// Only events whose type matches: a topic such as task.# or worker.heartbeat
    #[arg(value_name = "PATTERN", default_value = "#")]
    pub(crate) pattern: String,
    /// Stop after so many events
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Stop after this long
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) time: Option<Duration>,
}

/// `celeriac top`.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// How often the picture is renewed
    #[arg(long, value_parser = parse_duration, default_value = "1s")]
    pub(crate) interval: Duration,
    /// Print one picture and end
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) api: super::Api,
}

/// `celeriac graph`.
#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// What to draw
    #[arg(value_enum, default_value_t = Drawing::Nodes)]
    pub(crate) what: Drawing,
    #[command(flatten)]
    pub(crate) asked: Asked,
}

/// What `celeriac graph` draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Drawing {
    /// The broker, its queues and who consumes them
    #[value(alias = "workers")]
    Nodes,
    /// The parts of a node and of a supervisor
    #[value(alias = "bootsteps")]
    Parts,
}

/// `celeriac migrate`.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Broker URL to take messages from
    pub(crate) source: String,
    /// Broker URL to bring them to
    pub(crate) destination: String,
    /// Stop after so many messages
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Stop when nothing came for this long
    #[arg(short, long, value_parser = parse_duration, default_value = "1s")]
    pub(crate) timeout: Duration,
    /// Take each message out of the source once the destination has it; without, all stay
    /// there as well
    #[arg(short, long)]
    pub(crate) ack_messages: bool,
    /// Only messages of these tasks, separated by commas
    #[arg(short = 'T', long, value_name = "TASKS", value_delimiter = ',')]
    pub(crate) tasks: Vec<String>,
    /// Go on for ever
    #[arg(short = 'F', long)]
    pub(crate) forever: bool,
}
