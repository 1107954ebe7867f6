//! The worker that Celery's own integration suite runs against: the tasks of its
//! `t/integration/tasks.py`, by name and with the same behaviour.
//!
//! Written with nothing but the public crates, as any worker is.
#![allow(
    clippy::disallowed_names,
    reason = "the suite's tasks name their parameters foo and bar, and are called by keyword"
)]

mod errbacks;
mod errors;
mod plain;
mod records;
mod requests;
mod retries;
mod signatures;
mod workflows;

use std::process::ExitCode;

fn main() -> ExitCode {
    celeriac_cli::main(|app, _settings| {
        let app = plain::add_to(app);
        let app = errbacks::add_to(app);
        let app = errors::add_to(app);
        let app = records::add_to(app);
        let app = requests::add_to(app);
        let app = retries::add_to(app);
        let app = signatures::add_to(app);
        workflows::add_to(app)
    })
}
