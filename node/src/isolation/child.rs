//! The child's side: runs the bodies of isolated tasks.

mod backend;
mod body;
mod broker;
mod line;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;

use celeriac::App;
use tokio::runtime::{Builder, Handle};

use self::backend::NodeBackend;
use self::broker::NodeBroker;
use self::line::Line;
use super::VARIABLE;
use super::frame::{ToNode, VERSION};

/// The stack of a thread that runs tasks, in bytes: as in a node.
const STACK: usize = 2 * 1024 * 1024;

/// Tells whether a node started this process to run isolated tasks.
pub fn is_child() -> bool {
    marked().is_some_and(|node| comes_from(std::io::stdin(), &node))
}

/// Tells whether a node started this process, or a process that started it: whether it
/// may be a child, but no node.
pub(crate) fn is_marked() -> bool {
    marked().is_some()
}

fn marked() -> Option<OsString> {
    std::env::var_os(VARIABLE)
}

/// Tells whether this is one end of a line that the node made. It is as long as the
/// process has it, the node may be gone by then; what a child starts inherits the
/// variable, and has no line.
fn comes_from(input: impl AsFd, node: &OsStr) -> bool {
    // Anything but a connected socket has no peer.
    let connected = rustix::net::getpeername(&input).is_ok();
    #[cfg(target_os = "linux")]
    {
        let made_by = rustix::net::sockopt::socket_peercred(&input);
        let made_by = made_by.map(|by| OsString::from(by.pid.as_raw_nonzero().to_string()));
        connected && made_by.is_ok_and(|by| by == node)
    }
    #[cfg(not(target_os = "linux"))]
    {
        // No system call tells it everywhere.
        let _ = node;
        connected
    }
}

/// Runs isolated tasks when a node started this process to do so, and returns the status
/// to end with when there are no more; returns `None` at once in any other process.
///
/// A program that runs a [`Node`](crate::Node) with isolated tasks calls this first in
/// its `main`, with the way to build the same app: the same tasks under the same names.
/// The broker and backend of that app are not used; what a task sends and stores goes
/// through the node that started the process. `celeriac_cli::main` does all this.
///
/// Call it outside of any asynchronous runtime: in a plain `fn main`.
///
/// # Example
///
/// ```
/// use celeriac::{App, task};
/// use celeriac_node::isolation;
///
/// #[task(isolated, time_limit = "10s")]
/// fn crunch(n: u64) -> u64 {
///     (0..n).sum()
/// }
///
/// fn app() -> celeriac::Result<App> {
///     App::builder("demo").task(crunch).build()
/// }
///
/// fn main() -> std::process::ExitCode {
///     if let Some(status) = isolation::enter(app) {
///         return status;
///     }
///     // Here the program goes on: it builds the app and runs its node.
///     std::process::ExitCode::SUCCESS
/// }
/// ```
#[must_use = "a process that has run isolated tasks ends with this status"]
pub fn enter<E: std::fmt::Display>(app: impl FnOnce() -> Result<App, E>) -> Option<ExitCode> {
    if !is_child() {
        return None;
    }
    Some(match serve(app) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("celeriac: cannot run isolated tasks: {reason}");
            ExitCode::from(70)
        }
    })
}

fn serve<E: std::fmt::Display>(app: impl FnOnce() -> Result<App, E>) -> Result<(), String> {
    if Handle::try_current().is_ok() {
        return Err(
            "expected celeriac_node::isolation::enter outside of a runtime, found it inside; \
             call it in a plain main, before the runtime starts"
                .to_owned(),
        );
    }
    let stream = stream().map_err(|error| format!("expected a line to the node: {error}"))?;
    volunteer();
    let (line, welcome) = Line::open(stream).map_err(|error| error.to_string())?;
    if welcome.version != VERSION {
        let found = welcome.version;
        return Err(format!(
            "expected a node that speaks version {VERSION}, found {found}"
        ));
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("celeriac-isolated")
        .thread_stack_size(STACK)
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let inside = runtime.enter();
    let app = match app() {
        Ok(app) => app,
        Err(error) => {
            let _ = line.say(&ToNode::Broken(format!("cannot build the app: {error}")));
            return Err(error.to_string());
        }
    };
    let broker = NodeBroker::new(Arc::clone(&line), &welcome);
    let backend = NodeBackend::new(Arc::clone(&line), &welcome);
    let waiters = backend.waiters();
    let app = app.on(Arc::new(broker), Arc::new(backend));
    let runs = line
        .listen(app.clone(), waiters)
        .map_err(|error| error.to_string())?;
    line.beat(welcome.beat).map_err(|error| error.to_string())?;
    line.say(&ToNode::Hello { version: VERSION })
        .map_err(|error| error.to_string())?;
    runtime.block_on(body::run_all(&line, &app, runs));
    drop(inside);
    // What tasks left running ends with the process.
    runtime.shutdown_background();
    Ok(())
}

/// Has the system end this process rather than its node when it lacks memory; what tasks
/// start inherits it.
fn volunteer() {
    const FILE: &str = "/proc/self/oom_score_adj";
    let present = std::fs::read_to_string(FILE).ok();
    let Some(present) = present.and_then(|text| text.trim().parse::<i32>().ok()) else {
        return;
    };
    // Raising it takes no privilege. Where it cannot be, the system picks as it likes.
    let _ = std::fs::write(FILE, present.saturating_add(500).min(1000).to_string());
}

/// Takes standard input, which is the line to the node, away from the tasks.
fn stream() -> std::io::Result<UnixStream> {
    let stream = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    // Anything but a connected socket has no such address.
    stream.peer_addr()?;
    stream.set_nonblocking(false)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_line_is_told_from_any_other_input() {
        let own = OsString::from(std::process::id().to_string());
        let (line, node) = UnixStream::pair().unwrap();
        assert!(comes_from(&line, &own));
        assert!(!comes_from(File::open("/dev/null").unwrap(), &own));
        // Who made it can be gone.
        drop(node);
        assert!(comes_from(&line, &own));
        #[cfg(target_os = "linux")]
        assert!(!comes_from(&line, OsStr::new("1")));
    }
}
