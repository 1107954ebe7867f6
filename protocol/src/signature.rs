//! A call as data, and what a message carries on to the next call.

use crate::value::{Table, Value};

/// A call as data: which task, which arguments, which options.
///
/// On the wire all six keys are always written; Celery's own worker fails on a
/// signature that lacks one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Signature {
    /// Which task.
    pub task: String,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments.
    pub kwargs: Table,
    /// Calling options: `task_id`, `queue`, `countdown`, `link`, ... A key with null
    /// counts as absent.
    pub options: Table,
    /// `chain`, `group`, `chord`, `map`, `starmap` or `chunks` for a canvas.
    pub subtask_type: Option<String>,
    /// Whether it refuses the previous result.
    pub immutable: bool,
    /// How many results a chord's header has; rarely present.
    pub chord_size: Option<u32>,
}

/// What a message carries on to the next call: the third element of its body.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Embed {
    /// Called with the result on success.
    pub callbacks: Option<Vec<Signature>>,
    /// Called with the id on failure.
    pub errbacks: Option<Vec<Signature>>,
    /// The rest of the chain, reversed: the next step is the last element.
    pub chain: Option<Vec<Signature>>,
    /// Called with the results of the whole group.
    pub chord: Option<Box<Signature>>,
}

impl Embed {
    /// Tells whether nothing follows, whatever the outcome.
    pub fn is_empty(&self) -> bool {
        let none = |list: &Option<Vec<Signature>>| list.as_ref().is_none_or(Vec::is_empty);
        none(&self.callbacks) && none(&self.errbacks) && none(&self.chain) && self.chord.is_none()
    }
}
