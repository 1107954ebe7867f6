//! Runs the bodies of tasks, one after the other.

use std::panic::AssertUnwindSafe;

use celeriac::App;
use celeriac::protocol::task::{Limits, Protocol};
use celeriac::protocol::{DecodeError, Exception};
use celeriac::task::{Execution, TaskError};
use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use super::line::{Line, Started};
use crate::execution::code::text;
use crate::execution::trace;
use crate::isolation::frame::{Code, End, ToNode};
use crate::job;

/// Runs tasks until there are no more.
pub(super) async fn run_all(line: &Line, app: &App, mut runs: mpsc::Receiver<Started>) {
    while let Some(started) = runs.recv().await {
        let (run, context) = (started.run.run, started.context.clone());
        // It is a number: that can be written.
        let _ = line.say(&ToNode::Started(run));
        let code = run_one(app, started).await;
        let end = |code| {
            let children = context.children();
            ToNode::End(Box::new(End {
                run,
                code,
                children,
            }))
        };
        if let Err(error) = line.say(&end(code)) {
            let failed = TaskError::raise("kombu.exceptions", "EncodeError", error.to_string());
            // Nothing in it can fail to be written, unless the children did.
            let _ = line.say(&end(Code::Returned(Err(failed.permanent()))));
        }
    }
}

async fn run_one(app: &App, started: Started) -> Code {
    let code = match start(app, &started) {
        Ok(Ok(code)) => trace::within(code, &started.context),
        Ok(Err(ended)) => return ended,
        Err(error) => return Code::Unreadable(error),
    };
    match code {
        Execution::Async(code) => match AssertUnwindSafe(code).catch_unwind().await {
            Ok(result) => Code::Returned(result),
            Err(panic) => Code::Panicked(text(&*panic)),
        },
        Execution::Blocking(code) => match tokio::task::spawn_blocking(code).await {
            Ok(result) => Code::Returned(result),
            Err(error) => Code::Panicked(match error.try_into_panic() {
                Ok(panic) => text(&*panic),
                Err(error) => error.to_string(),
            }),
        },
    }
}

fn start(app: &App, started: &Started) -> Result<Result<Execution, Code>, DecodeError> {
    let Started { run, context } = started;
    let headers = &run.request.headers;
    let Some(handler) = app.registry().get(&headers.task) else {
        // The program builds another app when it is a child.
        let exception = Exception::not_registered(&headers.task);
        return Ok(Err(Code::Returned(Err(TaskError::Failure {
            exception,
            causes: Vec::new(),
            retryable: false,
        }))));
    };
    let limits = Limits { body: run.max_body };
    let protocol = match run.first_protocol {
        true => Protocol::V1,
        false => Protocol::V2,
    };
    let body = job::open(&run.request, protocol, run.body.clone(), &limits)?;
    if app.result_extended() {
        context.describe(Some(&body));
    }
    let mut parts = body.parts()?;
    if let Some(chord) = parts.embed.chord.take() {
        context.set_chord(chord);
    }
    let start = AssertUnwindSafe(|| handler.start(context.clone(), parts));
    match std::panic::catch_unwind(start) {
        Ok(started) => started.map(Ok),
        Err(panic) => Ok(Err(Code::Panicked(text(&*panic)))),
    }
}
