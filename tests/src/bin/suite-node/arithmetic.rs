//! Plain tasks: arguments in, a value or an error out.

use std::time::Duration;

use celeriac::{AppBuilder, TaskError, Value, task};

pub(crate) fn add_to(app: AppBuilder) -> AppBuilder {
    app.task(ping)
        .task(identity)
        .task(add)
        .task(mul)
        .task(add_not_typed)
        .task(add_ignore_result)
        .task(add_with_result)
        .task(tsum)
        .task(xsum)
        .task(delayed_sum)
        .task(write_to_file_and_return_int)
        .task(print_unicode)
        .task(return_exception)
        .task(replaced_with_me)
}

#[task(name = "celery.ping")]
async fn ping() -> &'static str {
    "pong"
}
