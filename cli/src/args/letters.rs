//! The command line of `celeriac letters`.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Letters {
    #[command(subcommand)]
    pub(crate) command: LettersCommand,
    /// The supervisor that keeps them
    #[arg(
        long = "api",
        env = "CELERIAC_API",
        value_name = "URL",
        global = true,
        default_value = "http://127.0.0.1:9595"
    )]
    pub(crate) url: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LettersCommand {
    /// List dead letters, those that died last first
    List(List),
    /// Show one dead letter with its message
    Show {
        /// Id of the letter
        id: String,
    },
    /// Send messages again: one, or all that match
    Replay(Replay),
    /// Discard letters: one, or all that match
    Discard(Discard),
}

/// Which letters.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    /// failed, rejected, crashed, undecodable, unknown-task, expired or overflowed
    #[arg(long, value_name = "WORD")]
    pub(crate) reason: Option<String>,
    /// Name of the task, with * and ?
    #[arg(long, value_name = "PATTERN")]
    pub(crate) name: Option<String>,
    /// Queue that the message came from
    #[arg(long, value_name = "QUEUE")]
    pub(crate) of_queue: Option<String>,
    /// Node that put it away
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// Id of the task
    #[arg(long, value_name = "ID")]
    pub(crate) task: Option<String>,
    /// A part of the error
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
    /// A part of the arguments
    #[arg(long, value_name = "TEXT")]
    pub(crate) arguments: Option<String>,
    /// Died at this time or later, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Died before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) which: Which,
    /// kept, replayed, discarded or all
    #[arg(long, default_value = "kept")]
    pub(crate) state: String,
    /// How many at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Id of the letter; without one all that match, of which one option is needed
    #[arg(conflicts_with = "Which")]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Other positional arguments, as a JSON array; needs an id
    #[arg(long, value_name = "JSON", requires = "id")]
    pub(crate) set_args: Option<String>,
    /// Other keyword arguments, as a JSON object; needs an id
    #[arg(long, value_name = "JSON", requires = "id")]
    pub(crate) set_kwargs: Option<String>,
    /// Another queue than the one that they came from
    #[arg(long, value_name = "QUEUE")]
    pub(crate) to: Option<String>,
    /// Run them under new ids
    #[arg(long)]
    pub(crate) new_id: bool,
    /// Keep their times (eta), and when they expire
    #[arg(long)]
    pub(crate) keep_times: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Discard {
    /// Id of the letter; without one all that match, of which one option is needed
    #[arg(conflicts_with = "Which")]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}
