//! The table of commands: which function answers which method.

use std::sync::Arc;

use celeriac::protocol::control::{self, Request};
use celeriac::protocol::{Exception, Value, repr};

use super::arguments::Arguments;
use super::{control as change, inspect, report, revoke, stats};
use crate::shared::Shared;

/// What a command answers: a payload, or nothing at all.
pub(super) type Answer = Result<Option<Value>, Exception>;

/// A command: the arguments it cannot do without, and the function that does it.
///
/// A command decides and returns; what has to wait for a server is started and goes on
/// by itself, so that no command keeps another from its answer.
pub(super) struct Command {
    required: &'static [&'static str],
    run: fn(&Arc<Shared>, Arguments<'_>) -> Answer,
}

const fn command(
    required: &'static [&'static str],
    run: fn(&Arc<Shared>, Arguments<'_>) -> Answer,
) -> Command {
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
        "conf" | "dump_conf" => command(&[], report::conf),
        "report" => command(&[], report::report),
        "revoke" => command(&["task_id"], revoke::revoke),
        "terminate" => command(&["signal", "task_id"], revoke::terminate),
        "revoke_by_stamped_headers" => command(&["headers"], revoke::by_stamps),
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
        "shutdown" => command(&[], change::shutdown),
        "election" => command(&[], change::election),
        _ => return None,
    })
}

/// Does what a request asks and returns the payload of the reply, if one is due.
pub(super) fn run(shared: &Arc<Shared>, request: &Request) -> Option<Value> {
    let answer = match find(&request.method) {
        Some(command) => Arguments::of(request, command.required)
            .and_then(|arguments| (command.run)(shared, arguments)),
        None => Err(Exception::python("KeyError", request.method.as_str())),
    };
    answer.unwrap_or_else(|error| Some(control::error(repr::exception(&error))))
}
