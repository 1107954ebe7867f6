//! The worker that Celery's own integration suite runs against: the tasks of its
//! `t/integration/tasks.py`, by name and with the same behaviour.
//!
//! Written with nothing but the public crates, as any worker is.

mod errors;
mod plain;
mod records;

use std::process::ExitCode;

fn main() -> ExitCode {
    celeriac_cli::main(|app, _settings| {
        let app = plain::add_to(app);
        let app = errors::add_to(app);
        records::add_to(app)
    })
}
