//! The table of commands: which function answers which method.

use std::sync::Arc;
use std::time::Duration;

use celeriac::broker::BoxFuture;
use celeriac::control::Invocation;
use celeriac::protocol::control::{self, Request};
use celeriac::protocol::{Exception, Value, repr};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use super::arguments::Arguments;
use super::{control as change, inspect, memory, report, revoke, stats};
use crate::shared::Shared;

/// What a command answers: a payload, or nothing at all.
pub(super) type Answer = Result<Option<Value>, Exception>;

/// A command: the arguments it cannot do without, and the function that does it.
struct Command {
    required: &'static [&'static str],
    run: Run,
}

/// How a command is done.
enum Run {
    /// It decides and returns.
    Now(fn(&Arc<Shared>, Arguments<'_>) -> Answer),
    /// It decides at once, and answers when a server has done its part.
    Later(fn(&Arc<Shared>, Arguments<'_>) -> Result<Later<Answer>, Exception>),
}

/// What goes on by itself, so that no command keeps another from its answer.
pub(super) type Later<T> = BoxFuture<'static, T>;

/// The payload of a reply, if one is due: now, or when the rest is done, with its place
/// among those that are being done.
pub(super) enum Reply {
    Now(Option<Value>),
    Later(Later<Option<Value>>, OwnedSemaphorePermit),
}

/// Ends somebody's code whose time is over.
struct Ends(AbortHandle);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long a command may take in all.
const PATIENCE: Duration = Duration::from_secs(60);

const fn command(
    required: &'static [&'static str],
    run: fn(&Arc<Shared>, Arguments<'_>) -> Answer,
) -> Command {
    let run = Run::Now(run);
    Command { required, run }
}

const fn later(
    required: &'static [&'static str],
    run: fn(&Arc<Shared>, Arguments<'_>) -> Result<Later<Answer>, Exception>,
) -> Command {
    let run = Run::Later(run);
    Command { required, run }
}

/// Returns the command of a method. The `dump_` names are what old clients call.
fn find(method: &str) -> Option<Command> {
    Some(match method {
        "ping" => command(&[], inspect::ping),
        "clock" => command(&[], inspect::clock),
        "active" | "dump_active" => command(&[], inspect::active),
        "reserved" | "dump_reserved" => command(&[], inspect::reserved),
        "scheduled" | "dump_schedule" => command(&[], inspect::scheduled),
        "query_task" => command(&["ids"], inspect::query_task),
        "revoked" | "dump_revoked" => command(&[], inspect::revoked),
        "registered" | "dump_tasks" => command(&[], inspect::registered),
        "active_queues" => command(&[], inspect::active_queues),
        "hello" => command(&["from_node"], inspect::hello),
        "stats" => command(&[], stats::stats),
        "memsample" => command(&[], memory::sample),
        "memdump" => command(&[], memory::dump),
        "objgraph" => command(&[], memory::graph),
        "conf" | "dump_conf" => command(&[], report::conf),
        "report" => command(&[], report::report),
        "revoke" => later(&["task_id"], revoke::revoke),
        "terminate" => later(&["signal", "task_id"], revoke::terminate),
        "revoke_by_stamped_headers" => later(&["headers"], revoke::by_stamps),
        control::QUARANTINE => command(&["ids", "reason"], change::quarantine),
        "rate_limit" => command(&["task_name", "rate_limit"], change::rate_limit),
        "time_limit" => command(&[], change::time_limit),
        "add_consumer" => command(&["queue"], change::add_consumer),
        "cancel_consumer" => command(&["queue"], change::cancel_consumer),
        "pool_grow" => command(&[], change::pool_grow),
        "pool_shrink" => command(&[], change::pool_shrink),
        "pool_restart" => command(&[], change::pool_restart),
        "autoscale" => command(&[], change::autoscale),
        "enable_events" => command(&[], change::enable_events),
        "disable_events" => command(&[], change::disable_events),
        "heartbeat" => command(&[], change::heartbeat),
        "drain" => command(&[], change::drain),
        "heartbeat_interval" => command(&["seconds"], change::heartbeat_interval),
        "shutdown" => command(&[], change::shutdown),
        "election" => command(&[], change::election),
        _ => return None,
    })
}

/// Does what a request asks. A program's own commands go before those of every node.
///
/// What takes longer needs a place among `slow`. Without one somebody's code does not
/// start; a command of the node's is done here, and its caller is told that nobody waits
/// for the rest.
pub(super) fn run(shared: &Arc<Shared>, request: &Request, slow: &Arc<Semaphore>) -> Reply {
    let commands = shared.app.commands();
    let method = &*request.method;
    let place = || Arc::clone(slow).try_acquire_owned();
    if commands.contains(method) {
        let Ok(place) = place() else {
            let text = format!("{method}: too many commands are being done; try again");
            return now(Err(Exception::python("RuntimeError", text)));
        };
        let (app, node) = (shared.app.clone(), shared.name().to_owned());
        let invocation = Invocation::new(app, node, request.arguments.clone());
        if let Some(answer) = commands.start(method, invocation) {
            // Somebody's code: it runs where tasks do.
            let work = shared.work.spawn(answer);
            let ends = Ends(work.abort_handle());
            return wait(method, place, async move {
                let _ends = ends;
                work.await
                    .unwrap_or_else(|error| {
                        Err(Exception::python("RuntimeError", error.to_string()))
                    })
                    .map(Some)
            });
        }
    }
    let Some(command) = find(method) else {
        return now(Err(Exception::python("KeyError", method)));
    };
    let arguments = match Arguments::of(request, command.required) {
        Ok(arguments) => arguments,
        Err(error) => return now(Err(error)),
    };
    match command.run {
        Run::Now(run) => now(run(shared, arguments)),
        Run::Later(run) => match run(shared, arguments) {
            Ok(answer) => match place() {
                Ok(place) => wait(method, place, answer),
                Err(_) => {
                    let text = format!(
                        "{method} is done in this node, but too many commands wait for a server: it may not be stored"
                    );
                    now(Err(Exception::python("RuntimeError", text)))
                }
            },
            Err(error) => now(Err(error)),
        },
    }
}

fn now(answer: Answer) -> Reply {
    Reply::Now(payload(answer))
}

fn wait(
    method: &str,
    place: OwnedSemaphorePermit,
    answer: impl Future<Output = Answer> + Send + 'static,
) -> Reply {
    let method = method.to_owned();
    let payload = Box::pin(async move {
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        payload(answer.unwrap_or_else(|_| {
            let text = format!("{method} took more than {} s", PATIENCE.as_secs());
            Err(Exception::python("TimeoutError", text))
        }))
    });
    Reply::Later(payload, place)
}

fn payload(answer: Answer) -> Option<Value> {
    answer.unwrap_or_else(|error| Some(control::error(repr::exception(&error))))
}
