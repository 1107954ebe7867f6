//! From the command line to the command.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use celeriac::AppBuilder;

use crate::args::{Cli, Command};
use crate::command;
use crate::error::Error;
use crate::init;
use crate::logging;
use crate::output::Output;
use crate::panics;
use crate::settings::Settings;
use crate::stack;

/// Where commands look for the broker when nobody says: where Celery looks.
pub(crate) const DEFAULT_BROKER: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";

/// The file that is read when it is there.
const DEFAULT_FILE: &str = "celeriac.toml";

/// Adds a program's own tasks to an app.
pub(crate) type Tasks<'a> = &'a dyn Fn(AppBuilder) -> AppBuilder;

/// Runs the command line of this process with the tasks that `tasks` adds.
///
/// The stock binary's tasks are added too when `tasks` calls
/// [`crate::tasks::add`].
///
/// Exits with 0 when the command did its work, 1 when it failed, 64 when the command
/// line, environment or settings file is wrong, 69 when no node answered, 70 when a part of
/// the program failed, 75 when the outcome is open.
pub fn main(tasks: impl Fn(AppBuilder, &Settings) -> AppBuilder) -> ExitCode {
    // Before anything connects: the first use of TLS picks the process's one provider, and with
    // none installed it would panic. A second call in one process changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::parse_process() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            // The text goes to a terminal or a pipe; nothing helps if that is gone.
            let _ = error.print();
            return ExitCode::from(if usage { 64 } else { 0 });
        }
    };
    // A probe is started every few seconds, and connects to no broker.
    if !matches!(cli.command, Command::Probe(_))
        && let Err(error) = stack::ensure()
    {
        eprintln!("celeriac: cannot start with larger stacks, going on without: {error}");
    }
    let output = Output::new(cli.json);
    let ended = catch_unwind(AssertUnwindSafe(|| run(cli, output, &tasks)));
    let ended = ended.unwrap_or_else(|panic| {
        let panic = panics::message(&*panic);
        Err(Error::Fault(format!("the program panicked: {panic}")))
    });
    match ended {
        Ok(status) => status,
        Err(error) => {
            output.fail(&error);
            error.exit_code()
        }
    }
}

fn run(
    mut cli: Cli,
    output: Output,
    tasks: &dyn Fn(AppBuilder, &Settings) -> AppBuilder,
) -> Result<ExitCode, Error> {
    if let Command::Check(check) = &cli.command
        && check.print_schema
    {
        command::check::print_schema()?;
        return Ok(ExitCode::SUCCESS);
    }
    if output.is_json() {
        let format = cli.flags.log_format.get_or_insert_default();
        "json".clone_into(format);
    }
    let file = settings_file(cli.config.as_deref());
    let settings = Settings::resolve(&cli.flags, std::env::vars(), file.as_deref())?;
    let tasks = |builder| tasks(builder, &settings);
    let quiet = !matches!(
        cli.command,
        Command::Up(_) | Command::Node | Command::Supervisor | Command::Beat(_)
    );
    // A client says at its end what went wrong; every try on the way is for those who ask.
    logging::start(&settings, if quiet { "error" } else { "info" })?;
    panics::log();
    // A process that a node started for isolated tasks runs them, and nothing else. It has
    // the node's command line, so it builds the same app.
    if let Some(status) =
        celeriac_node::isolation::enter(|| command::worker(&settings, &tasks, None))
    {
        return Ok(status);
    }
    if !quiet && init::is_first() {
        return init::look_after_itself();
    }
    match cli.command {
        Command::Probe(ref args) => return command::probe::run(&settings, args, output),
        Command::Check(_) => {
            command::check::run(&settings, file.as_deref(), output)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::HashPassword => {
            command::hash_password::run(output)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Report => {
            command::report::run(&settings, output)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Completions { shell } => {
            command::completions::run(shell);
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    // Commands wait for servers and hand work to threads of their own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("celeriac")
        .enable_all()
        .build()
        .map_err(|error| Error::Failed(format!("cannot start the runtime: {error}")))?;
    let done = runtime.block_on(async {
        match cli.command {
            Command::Up(args) => command::up::run(&settings, &args, &tasks).await,
            Command::Node => command::node::run(&settings, &tasks).await,
            Command::Supervisor => command::supervisor::run(&settings, &tasks).await,
            Command::Beat(args) => command::supervisor::beat(&settings, args, &tasks).await,
            Command::Call(args) => command::call::run(&settings, *args, &tasks, output).await,
            Command::Result(args) => command::result::run(&settings, args, output).await,
            Command::Status(args) => command::status::run(&settings, args, output).await,
            Command::Queues(args) => command::queues::run(&settings, args, output).await,
            Command::Purge(args) => command::queues::purge(&settings, args, output).await,
            Command::Inspect(args) => {
                command::remote::run(&settings, command::remote::ASK, args, output).await
            }
            Command::Control(args) => {
                command::remote::run(&settings, command::remote::CHANGE, args, output).await
            }
            Command::Top(args) => command::top::run(&settings, args, output).await,
            Command::Events(args) => command::events::run(&settings, args, output).await,
            Command::Letters(args) => command::letters::run(&settings, args, output).await,
            Command::Schedules(args) => command::schedules::run(&settings, args, output).await,
            Command::Graph(args) => command::graph::run(&settings, args, output).await,
            Command::Migrate(args) => command::migrate::run(&settings, args, output).await,
            Command::Check(_)
            | Command::Probe(_)
            | Command::HashPassword
            | Command::Report
            | Command::Completions { .. } => Ok(()),
        }
    });
    // A thread that waits for a name server, or joins one that is blocked, is not waited for.
    runtime.shutdown_background();
    done.map(|()| ExitCode::SUCCESS)
}

fn settings_file(given: Option<&Path>) -> Option<PathBuf> {
    match given {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file()),
    }
}
