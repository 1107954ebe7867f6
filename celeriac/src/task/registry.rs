//! The tasks of an app, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use celeriac_protocol::Parts;
use celeriac_protocol::error::DecodeError;

use super::{Context, Erased, Execution, Parameter, Task, TaskOptions};
use crate::error::{Error, Result};

/// A task with its types erased: what a node runs.
pub trait Handler: Send + Sync {
    /// Returns the name that messages carry.
    fn name(&self) -> &str;

    /// Returns what it does when nobody says otherwise.
    fn options(&self) -> &TaskOptions;

    /// Returns its parameters in order.
    fn parameters(&self) -> &[Parameter];

    /// Decodes the arguments and returns the code to run.
    ///
    /// # Errors
    ///
    /// When the arguments are not those of the task. Nothing has run.
    fn start(&self, context: Context, parts: Parts<'_>) -> Result<Execution, DecodeError>;
}

/// The tasks of an app, by name. Two tasks of one name are an error, not a choice.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<String, Arc<dyn Handler>>);

impl Registry {
    /// Adds a task.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the name is taken or empty.
    pub fn add(&mut self, task: impl Task) -> Result<()> {
        let options = task.options();
        self.add_handler(Arc::new(Erased { task, options }))
    }

    /// Adds a handler made by hand.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the name is taken or empty.
    pub fn add_handler(&mut self, handler: Arc<dyn Handler>) -> Result<()> {
        let name = handler.name().to_owned();
        if name.is_empty() {
            return Err(Error::invalid("task name", "a name", "nothing"));
        }
        if self.0.contains_key(&name) {
            return Err(Error::invalid(
                "task name",
                "a name of its own",
                format!("{name} twice"),
            ));
        }
        self.0.insert(name, handler);
        Ok(())
    }

    /// Returns the task of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Handler>> {
        self.0.get(name)
    }

    /// Returns all tasks, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Handler>> {
        self.0.values()
    }

    /// Returns the number of tasks.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there is no task.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
