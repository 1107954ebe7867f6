//! The tasks that every Celery worker has: clients and workers send them without saying
//! so, as parts of workflows.
//!
//! | task | what it does |
//! |---|---|
//! | `celery.map`, `celery.starmap` | runs a task of this node for each item |
//! | `celery.chunks` | sends a group of `celery.starmap` |
//! | `celery.accumulate` | returns its arguments; ends a task that became a group |
//! | `celery.group`, `celery.chord` | sends that workflow |
//! | `celery.chain` | fails: a chain never is a message |
//! | `celery.chord_unlock` | waits for a chord that its backend cannot count |
//! | `celery.backend_cleanup` | nothing: results here expire by themselves |

mod given;
mod items;
mod sending;
mod unlock;

use std::sync::{Arc, Weak};

use celeriac::broker::BoxFuture;
use celeriac::protocol::error::DecodeError;
use celeriac::protocol::{Parts, Value};
use celeriac::task::{
    Context, Execution, Handler, Parameter, Registry, TaskError, TaskOptions, TaskResult,
};

use self::given::Given;
use crate::shared::Shared;

/// A task of the node's own.
struct Builtin<F> {
    name: &'static str,
    options: TaskOptions,
    run: F,
}

impl<F> Handler for Builtin<F>
where
    F: Fn(Context, Given) -> BoxFuture<'static, TaskResult> + Send + Sync,
{
    fn name(&self) -> &str {
        self.name
    }

    fn options(&self) -> &TaskOptions {
        &self.options
    }

    fn parameters(&self) -> &[Parameter] {
        &[]
    }

    fn start(&self, context: Context, parts: Parts<'_>) -> Result<Execution, DecodeError> {
        let given = Given::read(self.name, parts)?;
        Ok(Execution::Async((self.run)(context, given)))
    }
}

/// A task that needs its node.
type WithNode = fn(Weak<Shared>, Context, Given) -> BoxFuture<'static, TaskResult>;

/// Returns the tasks that a node runs: the app's, and Celery's own where the app has none
/// of that name.
pub(crate) fn complete(mut tasks: Registry, shared: &Weak<Shared>) -> Registry {
    let options = TaskOptions::default;
    let mut add = |task: Arc<dyn Handler>| {
        if tasks.get(task.name()).is_none() {
            // It has a name, and nobody else has it.
            let _ = tasks.add_handler(task);
        }
    };
    let mut plain = |name, run: fn(Context, Given) -> BoxFuture<'static, TaskResult>| {
        add(Arc::new(Builtin {
            name,
            options: options(),
            run,
        }));
    };
    plain("celery.chunks", |context, given| {
        Box::pin(sending::chunks(context, given))
    });
    plain("celery.group", |context, given| {
        Box::pin(sending::group(context, given))
    });
    plain("celery.chord", |context, given| {
        Box::pin(sending::chord(context, given))
    });
    plain("celery.accumulate", |_, given| {
        Box::pin(async { accumulate(given) })
    });
    plain("celery.chain", |_, _| {
        Box::pin(async {
            let error = TaskError::python("NotImplementedError", "chain is not a real task");
            Err(error.permanent())
        })
    });
    plain("celery.backend_cleanup", |_, _| {
        Box::pin(async { Ok(Value::Null) })
    });
    let mut with_node = |name, options, run: WithNode| {
        let shared = Weak::clone(shared);
        add(Arc::new(Builtin {
            name,
            options,
            run: move |context, given| run(Weak::clone(&shared), context, given),
        }));
    };
    with_node("celery.map", options(), |shared, context, given| {
        Box::pin(items::map(shared, context, given))
    });
    with_node("celery.starmap", options(), |shared, context, given| {
        Box::pin(items::starmap(shared, context, given))
    });
    with_node(unlock::NAME, unlock::options(), |shared, context, given| {
        Box::pin(unlock::unlock(shared, context, given))
    });
    tasks
}

/// Returns its positional arguments, or the one at `index`.
fn accumulate(mut given: Given) -> TaskResult {
    let Some(index) = given.named::<i64>("index")? else {
        return Ok(Value::Array(given.rest()));
    };
    let mut values = given.rest();
    let count = values.len();
    // As in Python, negative ones count from the end.
    let at = match index < 0 {
        true => count.checked_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX)),
        false => usize::try_from(index).ok(),
    };
    match at.filter(|&at| at < count) {
        Some(at) => Ok(values.swap_remove(at)),
        None => Err(TaskError::python("IndexError", "tuple index out of range").permanent()),
    }
}

#[cfg(test)]
mod tests;
