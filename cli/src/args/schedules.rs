//! The command line of `celeriac schedules`.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Schedules {
    #[command(subcommand)]
    pub(crate) command: SchedulesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SchedulesCommand {
    /// Print the next times of a schedule, without a server
    Preview(Preview),
}

/// A schedule in its own words, or an entry of the settings file by name.
#[derive(Debug, Args)]
pub(crate) struct Preview {
    /// Name of an entry of the settings file
    pub(crate) name: Option<String>,
    /// Again and again after this long, such as 30s
    #[arg(long, value_name = "DURATION", conflicts_with = "name")]
    pub(crate) every: Option<String>,
    /// A cron line of five fields, six with the second first, such as "0 3 * * mon-fri"
    #[arg(long, value_name = "LINE", conflicts_with = "name")]
    pub(crate) crontab: Option<String>,
    /// What the sun does: sunrise, solar_noon, sunset, dawn_civil, ...
    #[arg(
        long,
        value_name = "EVENT",
        conflicts_with = "name",
        requires = "latitude",
        requires = "longitude"
    )]
    pub(crate) solar: Option<String>,
    /// Degrees north of the place of --solar
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true)]
    pub(crate) latitude: Option<f64>,
    /// Degrees east of the place of --solar
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true)]
    pub(crate) longitude: Option<f64>,
    /// A single time, such as 2026-12-24T18:00:00
    #[arg(long, value_name = "TIME", conflicts_with = "name")]
    pub(crate) once: Option<String>,
    /// Time zone of --crontab and --once, such as Europe/Berlin [default: UTC]
    #[arg(long, conflicts_with = "name")]
    pub(crate) zone: Option<String>,
    /// How many times to print
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) count: u16,
    /// Print those after this time, such as 2026-03-28T00:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) after: Option<String>,
}
