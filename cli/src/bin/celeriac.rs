//! The stock `celeriac` binary: the whole command line with the built-in tasks.

use std::process::ExitCode;

/// Messages are freed on other threads than they were made on; the system's allocator
/// pays for that with locks and, over days, with memory that it never gives back. A
/// library leaves this choice to the program, so it is made here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    celeriac_cli::main(celeriac_cli::tasks::add)
}
