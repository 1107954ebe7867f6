//! A workflow as a tree in normal form.

mod read;
mod steer;

use celeriac_protocol::{ResultTuple, Signature, Table, Value};

use super::Kind;
use super::options::take_signatures;

/// A workflow in normal form: what was said of the whole stands where it counts.
///
/// - A chain holds no chain, no empty group, and no group with something behind it:
///   that is a chord.
/// - A group holds no group.
/// - Arguments stand with the tasks that get them, options with the tasks they steer.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    /// One task message.
    Task(Signature),
    /// Two steps at least.
    Chain(Vec<Tree>),
    /// Side by side.
    Group(Group),
    /// A group, then a body.
    Chord { header: Group, body: Box<Tree> },
}

/// The members of a group, and what the wire says of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    /// `task_id` (the group's own id), `group_id`, `group_index`, `chord`.
    pub(super) options: Table,
    pub(super) members: Vec<Tree>,
}

/// A part's place in a group or chord around it.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) group: Option<String>,
    pub(super) index: Option<u32>,
    pub(super) chord: Option<Value>,
}

impl Tree {
    /// Gives a part its place in what is around it: the part that ends last has it.
    pub(super) fn place(&mut self, place: &Place) {
        match self {
            Self::Task(task) => place.write(&mut task.options),
            Self::Chain(steps) => {
                if let Some(last) = steps.last_mut() {
                    last.place(place);
                }
            }
            Self::Group(group) => {
                place.write(&mut group.options);
                let inner = Place {
                    index: None,
                    ..place.clone()
                };
                group
                    .members
                    .iter_mut()
                    .for_each(|member| member.place(&inner));
            }
            Self::Chord { body, .. } => body.place(place),
        }
    }

    /// Counts the results that a chord around it waits for.
    pub(super) fn leaves(&self) -> u32 {
        match self {
            Self::Task(_) => 1,
            Self::Chain(steps) => steps.last().map_or(0, Self::leaves),
            Self::Group(group) => group.leaves(),
            Self::Chord { body, .. } => body.leaves(),
        }
    }

    /// Tells whether there is a chord anywhere in it.
    pub(super) fn has_chord(&self) -> bool {
        match self {
            Self::Task(task) => take_signatures(&mut task.options.clone(), "chain")
                .unwrap_or_default()
                .iter()
                .any(|step| Kind::of(step) == Kind::Chord),
            Self::Chain(parts) => parts.iter().any(Self::has_chord),
            Self::Group(group) => group.members.iter().any(Self::has_chord),
            Self::Chord { header, body } => !header.members.is_empty() || body.has_chord(),
        }
    }

    /// Returns the id whose result is the whole's.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Task(task) => task.task_id().unwrap_or_default(),
            Self::Chain(steps) => steps.last().map_or("", Self::id),
            Self::Group(group) => group.id(),
            Self::Chord { body, .. } => body.id(),
        }
    }

    /// Returns the whole's result; `parent` is the result before it.
    pub(super) fn result(&self, parent: Option<ResultTuple>) -> ResultTuple {
        match self {
            Self::Task(_) => ResultTuple::new(self.id()).with_parent(parent),
            Self::Chain(steps) => steps
                .iter()
                .fold(parent, |before, step| Some(step.result(before)))
                .unwrap_or_default(),
            Self::Group(group) => group.result(parent),
            Self::Chord { header, body } => {
                // The header of nothing leaves no trace.
                let empty = header.members.is_empty();
                let before = if empty {
                    parent
                } else {
                    Some(header.result(parent))
                };
                body.result(before)
            }
        }
    }

    /// Tells whether the whole ends in a group.
    pub(super) fn ends_in_group(&self) -> bool {
        match self {
            Self::Task(_) => false,
            Self::Chain(steps) => steps.last().is_some_and(Self::ends_in_group),
            Self::Group(_) => true,
            Self::Chord { body, .. } => body.ends_in_group(),
        }
    }
}

impl Group {
    pub(super) fn id(&self) -> &str {
        self.options
            .get("task_id")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn result(&self, parent: Option<ResultTuple>) -> ResultTuple {
        let members = self.members.iter().map(|member| member.result(None));
        ResultTuple::group(self.id(), members).with_parent(parent)
    }

    pub(super) fn leaves(&self) -> u32 {
        self.members
            .iter()
            .map(Tree::leaves)
            .fold(0, u32::saturating_add)
    }
}

impl Place {
    fn write(&self, options: &mut Table) {
        // What counts in a header counts in this one, whatever it was a part of before.
        let free = self.chord.is_some() || options.get("group_id").is_none_or(Value::is_null);
        if let (Some(group), true) = (&self.group, free) {
            options.insert("group_id", group.as_str());
        }
        if let Some(chord) = &self.chord {
            options.insert("chord", chord.clone());
        }
        if let Some(index) = self.index {
            options.insert("group_index", index);
        }
    }
}
