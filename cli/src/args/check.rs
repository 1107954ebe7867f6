//! The command line of `celeriac check`.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Print what can be set instead: every flag, variable and key of each command, what it
    /// serves, and how it ends. Reads no settings
    #[arg(long)]
    pub(crate) print_schema: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t = SchemaFormat::Json, requires = "print_schema")]
    pub(crate) format: SchemaFormat,
}

/// How what can be set is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaFormat {
    /// For programs
    Json,
    /// For people: docs/configuration.md
    Markdown,
}
