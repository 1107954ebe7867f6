//! From the command line to the command.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use celeriac::AppBuilder;

use crate::args::{Cli, Command};
use crate::command;
use crate::ending::{self, Ending};
use crate::error::Error;
use crate::init;
use crate::logging;
use crate::output::Output;
use crate::panics;
use crate::settings::{Environment, Settings, SettingsFile};
use crate::stack;

/// Where commands look for the broker when nobody says: where Celery looks.
pub(crate) const DEFAULT_BROKER: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";

/// Adds a program's own tasks to an app.
pub(crate) type Tasks<'a> = &'a dyn Fn(AppBuilder) -> AppBuilder;

/// Runs the command line of this process with the tasks that `tasks` adds.
///
/// The stock binary's tasks are added too when `tasks` calls
/// [`crate::tasks::add`].
///
/// Exits with one of the statuses that `celeriac --help` and docs/configuration.md list: 0 when
/// the command did its work, 64 when the command line is wrong, 78 when the configuration is.
pub fn main(tasks: impl Fn(AppBuilder, &Settings) -> AppBuilder) -> ExitCode {
    // Before anything connects: the first use of TLS picks the process's one provider, and with
    // none installed it would panic. A second call in one process changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let line: Vec<_> = std::env::args_os().collect();
    let cli = match Cli::parse_line(&line) {
        Ok(cli) => cli,
        Err(error) => return ending::answer(&line, &error),
    };
    // A probe is started every few seconds, and connects to no broker.
    if !matches!(cli.command, Command::Probe(_))
        && let Err(error) = stack::ensure()
    {
        eprintln!("celeriac: cannot start with larger stacks, going on without: {error}");
    }
    let file = SettingsFile::find(cli.config.as_deref(), cli.names_config);
    let ending = Ending::of(&cli, file.as_ref());
    let ended = catch_unwind(AssertUnwindSafe(|| run(cli, file, &tasks)));
    let ended = ended.unwrap_or_else(|panic| {
        // The whole of it is in the log; the reason is one line.
        let panic = panics::message(&*panic).lines().next().unwrap_or_default();
        Err(Error::Fault(format!("the program panicked: {panic}")))
    });
    match ended {
        Ok(status) => status,
        Err(error) => ending.say(&error),
    }
}

fn run(
    mut cli: Cli,
    file: Option<SettingsFile>,
    tasks: &dyn Fn(AppBuilder, &Settings) -> AppBuilder,
) -> Result<ExitCode, Error> {
    let output = Output::new(cli.json);
    if let Command::Check(check) = &cli.command
        && check.print_schema
    {
        command::check::print_schema(check.format)?;
        return Ok(ExitCode::SUCCESS);
    }
    if output.is_json() {
        cli.flags.log_format = Some("json".into());
    }
    let environment = Environment::read(std::env::vars_os())?;
    let settings = Settings::resolve(&cli.flags, &environment, file.as_ref(), &cli.reader())?;
    let tasks = |builder| tasks(builder, &settings);
    // A client says at its end what went wrong; every try on the way is for those who ask.
    let runs_on = cli.runs_on();
    logging::start(&settings, if runs_on { "info" } else { "error" })?;
    panics::log();
    // A process that a node started for isolated tasks runs them, and nothing else. It has
    // the node's command line, so it builds the same app.
    if let Some(status) =
        celeriac_node::isolation::enter(|| command::worker(&settings, &tasks, None))
    {
        return Ok(status);
    }
    if runs_on && init::is_first() {
        return init::look_after_itself();
    }
    match cli.command {
        Command::Probe(ref args) => return command::probe::run(&settings, args, output),
        Command::Check(_) => {
            let path = file.as_ref().map(SettingsFile::path);
            command::check::run(&settings, path, output)?;
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
