//! From signatures to a tree and back.

use celeriac_protocol::error::{DecodeError, Fault};
use celeriac_protocol::{Signature, Table, Value};

use super::{Group, Tree};
use crate::canvas::options::take;
use crate::canvas::{Kind, canvas, whole};

/// Workflows deeper than this are refused.
const MAX_DEPTH: usize = 64;

impl Tree {
    /// Reads a signature of any kind.
    ///
    /// # Errors
    ///
    /// When it does not hold what its kind needs, or nests too deep.
    pub(in crate::canvas) fn read(signature: Signature) -> Result<Self, DecodeError> {
        Self::at_depth(signature, 0)
    }

    fn at_depth(mut signature: Signature, depth: usize) -> Result<Self, DecodeError> {
        if depth > MAX_DEPTH {
            let expected = format!("at most {MAX_DEPTH} levels");
            return Err(DecodeError::new(
                Fault::TooLarge,
                "workflow",
                expected,
                "more",
            ));
        }
        let mut tree = match Kind::of(&signature) {
            Kind::Task => return Ok(Self::Task(signature)),
            Kind::Chain => {
                let steps = take(&mut signature.kwargs, "tasks").unwrap_or_default();
                Self::chain(list("celery.chain", steps, |step| Self::step(step, depth))?)?
            }
            Kind::Group => {
                let tasks = take(&mut signature.kwargs, "tasks").unwrap_or_default();
                let options = &mut signature.options;
                let own = ["task_id", "group_id", "group_index", "chord"];
                Self::Group(Group {
                    options: own
                        .into_iter()
                        .filter_map(|key| Some((key.to_owned(), take(options, key)?)))
                        .collect(),
                    members: flat(members("celery.group", tasks, depth)?),
                })
            }
            Kind::Chord => {
                let header = take(&mut signature.kwargs, "header").unwrap_or_default();
                let mut header = match header {
                    header @ Value::Array(_) => Group {
                        members: flat(members("celery.chord, header", header, depth)?),
                        ..Group::default()
                    },
                    one => match Self::one("celery.chord, header", one, depth)? {
                        Self::Group(header) => header,
                        one => Group {
                            members: vec![one],
                            ..Group::default()
                        },
                    },
                };
                if !header.id().is_empty() {
                    // The chord of a frozen header bears the header's id.
                    signature.options.remove("task_id");
                }
                let body = take(&mut signature.kwargs, "body").unwrap_or_default();
                let body = Self::one("celery.chord, body", body, depth)?;
                if let Some(Value::Map(kwargs)) = take(&mut signature.kwargs, "kwargs") {
                    header
                        .members
                        .iter_mut()
                        .for_each(|member| member.prepend(&[], &kwargs));
                }
                Self::Chord {
                    header,
                    body: Box::new(body),
                }
            }
        };
        tree.hand_down(signature)?;
        Ok(tree)
    }

    fn one(place: &str, value: Value, depth: usize) -> Result<Self, DecodeError> {
        let signature = Signature::from_value(value).map_err(|error| error.within(place))?;
        Self::at_depth(signature, depth + 1)
    }

    /// Reads a step of a chain. A group of one is its member there, as from Celery, whose
    /// clients know the member's id and not the group's.
    fn step(value: Value, depth: usize) -> Result<Self, DecodeError> {
        let place = "celery.chain";
        let mut step = Signature::from_value(value).map_err(|error| error.within(place))?;
        let is_group = Kind::of(&step) == Kind::Group;
        let lone = match step.kwargs.get_mut("tasks") {
            Some(Value::Array(members)) if is_group && members.len() == 1 => members.pop(),
            _ => None,
        };
        let Some(member) = lone else {
            return Self::at_depth(step, depth + 1);
        };
        let mut member = Self::step(member, depth + 1)?;
        step.kwargs.remove("tasks");
        step.options.remove("task_id");
        member.hand_down(step)?;
        Ok(member)
    }

    /// Puts steps one after another.
    pub(in crate::canvas) fn chain(steps: Vec<Self>) -> Result<Self, DecodeError> {
        let mut flat = Vec::with_capacity(steps.len());
        for step in steps {
            match step {
                Self::Chain(inner) => flat.extend(inner),
                step => flat.push(step),
            }
        }
        let empty = |step: &Self| matches!(step, Self::Group(group) if group.members.is_empty());
        let nothing = flat.iter().find(|step| empty(step)).cloned();
        flat.retain(|step| !empty(step));
        let mut folded: Vec<Self> = Vec::with_capacity(flat.len());
        for step in flat {
            folded = push(folded, step)?;
        }
        match folded.len() {
            0 => nothing.ok_or_else(|| malformed("celery.chain", "at least one step", "none")),
            1 => Ok(folded.remove(0)),
            _ => Ok(Self::Chain(folded)),
        }
    }
}

/// Adds a step; what follows a group is the body of a chord.
fn push(mut steps: Vec<Tree>, next: Tree) -> Result<Vec<Tree>, DecodeError> {
    let last = match steps.pop() {
        Some(Tree::Group(header)) => Tree::Chord {
            header,
            body: Box::new(next),
        },
        Some(Tree::Chord { header, body }) if body.ends_in_group() => {
            let body = Tree::chain(vec![*body, next])?;
            Tree::Chord {
                header,
                body: Box::new(body),
            }
        }
        previous => {
            steps.extend(previous);
            next
        }
    };
    steps.push(last);
    Ok(steps)
}

/// Members of groups among the members become members.
fn flat(members: Vec<Tree>) -> Vec<Tree> {
    let mut all = Vec::with_capacity(members.len());
    for member in members {
        match member {
            Tree::Group(group) => all.extend(group.members),
            member => all.push(member),
        }
    }
    all
}

fn members(place: &str, value: Value, depth: usize) -> Result<Vec<Tree>, DecodeError> {
    list(place, value, |member| Tree::one(place, member, depth))
}

fn list(
    place: &str,
    value: Value,
    read: impl Fn(Value) -> Result<Tree, DecodeError>,
) -> Result<Vec<Tree>, DecodeError> {
    match value {
        Value::Array(items) => items
            .into_iter()
            .filter(|item| !is_empty_chain(item))
            .map(read)
            .collect(),
        other => Err(malformed(place, "a list of signatures", other.kind())),
    }
}

/// Tells whether something is a chain of nothing, which vanishes wherever it stands.
fn is_empty_chain(value: &Value) -> bool {
    fn field<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
        value.as_map()?.get(key)
    }
    let is_chain = field(value, "subtask_type").and_then(Value::as_str) == Some("chain");
    let tasks = field(value, "kwargs").and_then(|kwargs| field(kwargs, "tasks"));
    is_chain && matches!(tasks, Some(Value::Array(tasks)) if tasks.is_empty())
}

pub(super) fn malformed(place: &str, expected: &str, found: &str) -> DecodeError {
    DecodeError::new(Fault::Malformed, place, expected, found)
}

/// The form on the wire, for what is sent later by somebody else.
impl From<Tree> for Signature {
    fn from(tree: Tree) -> Self {
        let values = |parts: Vec<Tree>| {
            Value::Array(
                parts
                    .into_iter()
                    .map(|part| Value::from(Self::from(part)))
                    .collect(),
            )
        };
        match tree {
            Tree::Task(task) => task,
            Tree::Chain(steps) => {
                let mut chain = canvas("chain");
                let id = steps.last().map_or("", Tree::id);
                chain.options.insert("task_id", id);
                // Who hears of the failure of any step hears of it when none can start.
                let errbacks = Tree::errbacks_of_all(&steps);
                if !errbacks.is_empty() {
                    chain.options.insert("link_error", errbacks);
                }
                let steps = steps.into_iter().map(|step| whole(step.into()));
                let steps: Vec<_> = steps.map(Value::from).collect();
                chain.kwargs.insert("tasks", steps);
                chain
            }
            Tree::Group(Group { options, members }) => {
                let mut group = canvas("group");
                group.kwargs.insert("tasks", values(members));
                group.options = options;
                group
            }
            Tree::Chord { header, body } => {
                let mut chord = canvas("chord");
                chord.options.insert("task_id", header.id());
                chord.kwargs.insert("kwargs", Table::new());
                chord
                    .kwargs
                    .insert("header", Value::from(Self::from(Tree::Group(header))));
                chord.kwargs.insert("body", Value::from(Self::from(*body)));
                chord
            }
        }
    }
}
