//! The stock `celeriac` binary: the whole command line with the built-in tasks.

use std::process::ExitCode;

fn main() -> ExitCode {
    celeriac_cli::main(celeriac_cli::tasks::add)
}
