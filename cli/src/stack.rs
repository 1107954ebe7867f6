//! Room for the deepest message.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Where the standard library looks for the stack size of new threads.
const VARIABLE: &str = "RUST_MIN_STACK";

/// Enough for the deepest header table that fits into a frame. Address space, not
/// memory: what is not used is never touched.
const SIZE: &str = "67108864";

/// Runs this program again, in this process, with larger stacks for new threads, unless
/// the environment names a size already.
///
/// The AMQP client reads nested header tables by recursion on a thread of its own, whose
/// stack only the environment can enlarge. Without this one message of some kilobytes
/// would end a node, and after its redelivery the next.
///
/// # Errors
///
/// When the program cannot be started again; this one can go on.
pub(crate) fn ensure() -> io::Result<()> {
    if std::env::var_os(VARIABLE).is_some() {
        return Ok(());
    }
    let mut words = std::env::args_os();
    let mut again = Command::new(std::env::current_exe()?);
    if let Some(name) = words.next() {
        again.arg0(name);
    }
    // Returns only when it failed.
    Err(again.args(words).env(VARIABLE, SIZE).exec())
}
