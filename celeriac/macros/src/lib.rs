//! The `#[task]` attribute of `celeriac`, which re-exports it; nobody needs this crate
//! by itself.

mod duration;
mod expand;
mod function;
mod options;

use proc_macro::TokenStream;

/// Makes a task of a function.
///
/// An `async fn` runs on the asynchronous runtime and must not block; a plain `fn` runs
/// on a thread from a bounded pool and may.
///
/// The function becomes a value of its own name that implements `celeriac::Task`, with
///
/// - `add.call(2, 3)`: a call to send, with the function's own parameters;
/// - `add.partial()`: a call without arguments, to be given some or none: a step of a
///   chain, a callback, or a call that leaves parameters with a default out;
/// - `add::run(2, 3)`: the function itself, for tests and for code that wants no message.
///
/// That value is a unit struct, whose name a local variable or parameter in the same
/// scope cannot take.
///
/// # Parameters
///
/// | parameter | in a call |
/// |---|---|
/// | `ctx: Context` or `ctx: &Context`, the first | not part of it; the node passes it |
/// | `x: T` | must be there; `T` is read with serde |
/// | `x: Option<T>` | may be left out or null |
/// | `#[default(expr)] x: T` | may be left out; `expr` is then evaluated |
/// | `x: &str`, `x: &[T]`, `x: &T` | read as `String`, `Vec<T>`, `T` and lent |
/// | `#[args] rest: Vec<T>` | every further positional argument, as Python's `*args`; given with `.arg(...)`; parameters after it are given by name |
/// | `#[kwargs] rest: T` | every other keyword argument, as Python's `**kwargs`, in a map or struct; given with `.kwarg(...)`; the last |
///
/// # Result
///
/// A plain value or `Result<T, E>` where `E` converts into `TaskError`, as every
/// `std::error::Error` does. A type whose last path segment is `Result` counts as one.
///
/// # Options
///
/// Durations are texts with units (`"500ms"`, `"10s"`, `"1m30s"`, `"2h"`, `"1d"`) or
/// whole seconds. An option that is a truth value may be written without `= true`.
///
/// | option | example | when absent |
/// |---|---|---|
/// | `name` | `"demo.add"` | the function's name |
/// | `queue` | `"fast"` | by the app's routes |
/// | `priority` | `5` | none |
/// | `max_retries` | `5`, `"forever"` | 3 |
/// | `retry_delay` | `"10s"` | 180 s |
/// | `backoff` | `"2s"`, `"2s..10m"` | errors are not retried by themselves |
/// | `retry_for` | `retry_for(OSError, ConnectionError)` | errors are not retried by themselves |
/// | `dont_retry_for` | `dont_retry_for(PermissionError)` | none |
/// | `jitter` | `false` | `true`, where there is a backoff |
/// | `soft_time_limit`, `time_limit` | `"30s"` | none |
/// | `acks_late` | `false` | `true` |
/// | `acks_on_failure` | `false` | `true` |
/// | `dead_letter` | `false` | `true`: the message of a run that failed for good is kept |
/// | `isolated` | | `false`: it runs in the node's own process |
/// | `reject_on_worker_lost` | | `false`: a run whose process died has failed |
/// | `rate_limit` | `"10/s"`, `"100/m"`, `"1000/h"`, `"0.5/m"` | none |
/// | `ignore_result` | | `false` |
/// | `store_errors_even_if_ignored` | | `false` |
/// | `track_started` | | `false` |
/// | `expires` | `"1h"` | never |
/// | `errback` | | `false`; its first parameter is then a `celeriac::task::Failure` |
/// | `hooks` | `Audit::default()` | none; an expression that implements `celeriac::task::Hooks` |
///
/// # Isolation
///
/// An `isolated` task runs in a child process of the node, made of the same program: its
/// time limits and a terminating revoke end it whatever it does, and a crash or an abort
/// ends that process and nothing else. So does a lack of memory, unless the container is
/// set to die as a whole (guide to tasks, "A process of its own"). Arguments, results, calls and
/// states travel through the node, so a run costs some tens of microseconds more, and an
/// integer of more than 64 bits is no result. Programs that are not made with
/// `celeriac_cli::main` call `celeriac_node::isolation::enter` first in their `main`.
#[proc_macro_attribute]
pub fn task(options: TokenStream, function: TokenStream) -> TokenStream {
    expand::task(options.into(), function.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
