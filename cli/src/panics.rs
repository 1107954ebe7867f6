//! Panics as lines of the log.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

/// Has panics of every thread written as lines of the log: in JSON a plain text among them
/// would be lost to who reads it.
pub(crate) fn log() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let at = panic.location().map(ToString::to_string);
        // Only where RUST_BACKTRACE asks for it.
        let trace = Backtrace::capture();
        let trace = (trace.status() == BacktraceStatus::Captured).then_some(trace);
        tracing::error!(
            thread,
            at,
            backtrace = trace.map(tracing::field::display),
            "panicked: {}",
            message(panic.payload())
        );
    }));
}

/// Returns what a panic says.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}
