//! The command line of `celeriac schedules`.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Schedules {
    #[command(subcommand)]
    pub(crate) command: SchedulesCommand,
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

#[allow(clippy::large_enum_variant, reason = "made once for each process")]
#[derive(Debug, Subcommand)]
pub(crate) enum SchedulesCommand {
    /// List the schedules with their next and last runs
    List,
    /// Show all that is known of a schedule
    Show {
        /// Name of the schedule
        name: String,
    },
    /// Make a schedule
    Add(Add),
    /// Change fields of a schedule that was made here
    Edit(Edit),
    /// Send its tasks again
    Enable(Named),
    /// Keep it without sending its tasks
    Disable(Named),
    /// Send its task now, beside its ticks
    Run {
        /// Name of the schedule
        name: String,
    },
    /// Print when it runs next
    Next {
        /// Name of the schedule
        name: String,
        /// How many times to print
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
        count: u16,
    },
    /// Delete a schedule that was made here
    Remove {
        #[command(flatten)]
        named: Named,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Print the next times of a schedule, without a server
    Preview(Preview),
}

/// A schedule as it was read.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Name of the schedule
    pub(crate) name: String,
    /// Do nothing if its revision is another by now
    #[arg(long, value_name = "N")]
    pub(crate) revision: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Name of the schedule
    pub(crate) name: String,
    /// Name of the task
    pub(crate) task: String,
    #[command(flatten)]
    pub(crate) fields: Fields,
    /// Do not send its tasks yet
    #[arg(long)]
    pub(crate) disabled: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Edit {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Another task
    #[arg(long, value_name = "NAME")]
    pub(crate) task: Option<String>,
    #[command(flatten)]
    pub(crate) fields: Fields,
    /// Take a field away, such as queue. May be given often
    #[arg(long, value_name = "FIELD")]
    pub(crate) unset: Vec<String>,
}

/// The fields of an entry, as in the settings file.
#[derive(Debug, Args)]
pub(crate) struct Fields {
    #[command(flatten)]
    pub(crate) when: When,
    /// Positional arguments: a JSON list
    #[arg(short, long, value_name = "JSON")]
    pub(crate) args: Option<String>,
    /// Keyword arguments: a JSON object
    #[arg(short, long, value_name = "JSON")]
    pub(crate) kwargs: Option<String>,
    /// Queue to send it to [default: that of the first route that fits, else the default queue]
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// Drop the task when it has not started after this long
    #[arg(long, value_name = "DURATION")]
    pub(crate) expires: Option<String>,
    /// Send each tick up to so much later
    #[arg(long, value_name = "DURATION")]
    pub(crate) jitter: Option<String>,
    /// What becomes of ticks that nobody sent: skip, once or all(N) [default: once]
    #[arg(long, value_name = "POLICY")]
    pub(crate) misfire: Option<String>,
    /// Never send ticks that are older than this
    #[arg(long, value_name = "DURATION")]
    pub(crate) deadline: Option<String>,
    /// What people should know of it
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Any other field, such as priority=5; the value is JSON, or else text. May be given often
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    pub(crate) set: Vec<String>,
}

/// A schedule in its own words, or an entry of the settings file by name.
#[derive(Debug, Args)]
pub(crate) struct Preview {
    /// Name of an entry of the settings file
    #[arg(conflicts_with_all = ["every", "start", "crontab", "solar", "once", "zone"])]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) when: When,
    /// How many times to print
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) count: u16,
    /// Print those after this time, such as 2026-03-28T00:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) after: Option<String>,
}

/// When it runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "When it runs")]
pub(crate) struct When {
    /// Again and again after this long, such as 30s
    #[arg(long, value_name = "DURATION")]
    pub(crate) every: Option<String>,
    /// Time that --every counts from, such as 2026-01-05T09:00:00Z [default: 1970]
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<String>,
    /// A cron line of five fields, six with the second first, such as "0 3 * * mon-fri"
    #[arg(long, value_name = "LINE")]
    pub(crate) crontab: Option<String>,
    /// What the sun does: sunrise, solar_noon, sunset, dawn_civil, ...
    #[arg(
        long,
        value_name = "EVENT",
        requires = "latitude",
        requires = "longitude"
    )]
    pub(crate) solar: Option<String>,
    /// Degrees north of the place of --solar
    #[arg(
        long,
        value_name = "DEGREES",
        allow_negative_numbers = true,
        requires = "solar"
    )]
    pub(crate) latitude: Option<f64>,
    /// Degrees east of the place of --solar
    #[arg(
        long,
        value_name = "DEGREES",
        allow_negative_numbers = true,
        requires = "solar"
    )]
    pub(crate) longitude: Option<f64>,
    /// A single time, such as 2026-12-24T18:00:00
    #[arg(long, value_name = "TIME")]
    pub(crate) once: Option<String>,
    /// Time zone of --crontab and --once, such as Europe/Berlin [default: UTC]
    #[arg(long)]
    pub(crate) zone: Option<String>,
}
