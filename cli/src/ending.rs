//! How a process says why it ends.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::args::Cli;
use crate::error::Error;
use crate::exit::Exit;
use crate::logging;
use crate::output::Output;
use crate::settings::{SettingsFile, variable};

/// How a process says why it ends: in one line, the last of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In words.
    Words,
    /// As a JSON object with the field `error`, which is how commands answer programs.
    Object,
    /// As the last line of a log of JSON.
    LogLine,
}

impl Ending {
    /// Tells how a command says it.
    pub(crate) fn of(cli: &Cli, file: Option<&SettingsFile>) -> Self {
        let said = || std::env::var(variable("log_format")).ok();
        let flag = cli.flags.log_format.as_deref().map(str::to_owned);
        let format = flag.or_else(said);
        let format = format.or_else(|| file?.peek("log_format"));
        Self::choose(cli.json, cli.runs_on(), format.as_deref() == Some("json"))
    }

    /// Guesses how a command says it whose line cannot be read.
    fn guess(line: &[OsString]) -> Self {
        let words: Vec<_> = line.iter().filter_map(|word| word.to_str()).collect();
        let json = words.iter().any(|word| matches!(*word, "-j" | "--json"));
        let runs_on = words.iter().any(|word| Cli::is_long_running(word));
        let said = || std::env::var(variable("log_format")).ok();
        let flag = words.iter().enumerate().find_map(|(at, word)| {
            let rest = word.strip_prefix("--log-format")?;
            let apart = || words.get(at + 1).map(|next| (*next).to_owned());
            rest.strip_prefix('=').map(str::to_owned).or_else(apart)
        });
        let format = flag.or_else(said);
        Self::choose(json, runs_on, format.as_deref() == Some("json"))
    }

    const fn choose(json: bool, runs_on: bool, log: bool) -> Self {
        match (json, log) {
            // `--json` is for the answers of commands that end; the others log JSON.
            (true, _) if runs_on => Self::LogLine,
            (true, _) => Self::Object,
            (false, true) => Self::LogLine,
            (false, false) => Self::Words,
        }
    }

    /// Says why the process ends, and returns its status.
    pub(crate) fn say(self, error: &Error) -> ExitCode {
        let exit = error.exit();
        let mut text = error.to_string();
        // What was never started has one line; what a task raised may have more.
        if matches!(exit, Exit::Usage | Exit::Config) {
            text = joined(&text);
        }
        match self {
            Self::Words => Output::new(false).fail(&text),
            Self::Object => Output::new(true).fail(&text),
            Self::LogLine => logging::last_line(&text, exit),
        }
        exit.into()
    }
}

/// Answers a command line that asks for help, or cannot be read.
pub(crate) fn answer(line: &[OsString], error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || std::io::stderr().is_terminal() {
        // The text goes to a terminal or a pipe; nothing helps if that is gone.
        let _ = error.print();
        let exit = if error.use_stderr() {
            Exit::Usage
        } else {
            Exit::Done
        };
        return exit.into();
    }
    Ending::guess(line).say(&Error::Usage(one_line(error)))
}

/// Says in one line what is wrong with a command line, and what to do. The help that stands
/// around it on a terminal would hide the reason from who reads the end of a log.
fn one_line(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "command line: expected a command, found none; --help lists them".to_owned();
    }
    let text = error.to_string();
    let parts = text
        .split("\n\n")
        .map(|part| joined(part.trim_start_matches("error: ")));
    let told = parts.filter(|part| {
        !part.is_empty() && !part.starts_with("Usage:") && !part.starts_with("For more information")
    });
    let told: Vec<_> = told
        .map(|part| part.trim_start_matches("tip: ").to_owned())
        .collect();
    format!("command line: {}; see --help", told.join("; "))
}

/// Joins the lines of a text.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn refused(line: &str) -> String {
        let words = line.split(' ').map(OsString::from);
        one_line(&Cli::parse_line(words).unwrap_err())
    }

    #[test]
    fn a_wrong_command_line_is_told_in_one_line() {
        let found = refused("celeriac node --concurency 3");
        assert!(
            found.contains("unexpected argument '--concurency' found"),
            "{found}"
        );
        assert!(found.contains("'--concurrency'"), "{found}");
        assert!(!found.contains('\n') && !found.contains("Usage"), "{found}");
        assert!(refused("celeriac nod").contains("unrecognized subcommand 'nod'"));
        assert!(refused("celeriac").contains("expected a command"));
        assert!(refused("celeriac up --nodes many").contains("many"));
    }

    #[test]
    fn who_asks_for_json_gets_it_of_a_line_that_cannot_be_read_too() {
        let guess = |line: &str| {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            Ending::guess(&words)
        };
        assert_eq!(guess("celeriac node --nope"), Ending::Words);
        assert_eq!(
            guess("celeriac node --nope --log-format json"),
            Ending::LogLine
        );
        assert_eq!(
            guess("celeriac --log-format=json node --nope"),
            Ending::LogLine
        );
        assert_eq!(guess("celeriac node -j --nope"), Ending::LogLine);
        assert_eq!(guess("celeriac status -j --nope"), Ending::Object);
    }
}
