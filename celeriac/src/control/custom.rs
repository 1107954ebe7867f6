//! Remote control commands that a program adds to its nodes.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use celeriac_protocol::{Exception, Table, Value};

use crate::app::App;
use crate::broker::BoxFuture;
use crate::error::{Error, Result};

/// What a command of a program's own is called with.
#[derive(Debug, Clone)]
pub struct Invocation {
    app: App,
    node: String,
    arguments: Table,
}

impl Invocation {
    /// Makes an invocation; nodes do this.
    pub const fn new(app: App, node: String, arguments: Table) -> Self {
        Self {
            app,
            node,
            arguments,
        }
    }

    /// Returns the app, such as to send tasks or other commands.
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// Returns the name of the node that was asked.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Returns the arguments by name.
    pub const fn arguments(&self) -> &Table {
        &self.arguments
    }

    /// Returns an argument that is a text.
    ///
    /// # Errors
    ///
    /// The `TypeError` that a caller gets as the answer when it is absent or no text.
    pub fn text(&self, name: &str) -> std::result::Result<&str, Exception> {
        let value = self.arguments.get(name);
        value.and_then(Value::as_str).ok_or_else(|| {
            Exception::python("TypeError", format!("{name}: expected a text, found none"))
        })
    }
}

/// What a command answers: a value, or the exception whose text the caller gets.
pub type Answer = std::result::Result<Value, Exception>;

/// The code of a command.
type Run = dyn Fn(Invocation) -> BoxFuture<'static, Answer> + Send + Sync;

/// The commands that a program adds to its nodes, by name.
#[derive(Clone, Default)]
pub struct Commands(BTreeMap<String, Arc<Run>>);

impl Commands {
    pub(crate) fn add<F, R>(&mut self, name: String, run: F) -> Result<()>
    where
        F: Fn(Invocation) -> R + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        if name.is_empty() || self.0.contains_key(&name) {
            let found = format!("{name:?}, which is empty or there already");
            return Err(Error::invalid(
                "control command",
                "a name of its own",
                found,
            ));
        }
        let run: Arc<Run> = Arc::new(move |invocation| Box::pin(run(invocation)));
        self.0.insert(name, run);
        Ok(())
    }

    /// Starts a command, if there is one of that name; nodes do this.
    pub fn start(&self, name: &str, invocation: Invocation) -> Option<BoxFuture<'static, Answer>> {
        self.0.get(name).map(|run| run(invocation))
    }

    /// Tells whether there is a command of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
