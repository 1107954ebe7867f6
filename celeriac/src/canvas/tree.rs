//! A workflow as a tree in normal form.

use celeriac_protocol::error::{DecodeError, Fault};
use celeriac_protocol::{Signature, Table, Value};

use super::Kind;
use super::options::{append, take, take_signatures, undelayed};

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

/// Workflows deeper than this are refused.
const MAX_DEPTH: usize = 64;

impl Tree {
    /// Reads a signature of any kind.
    ///
    /// # Errors
    ///
    /// When it does not hold what its kind needs, or nests too deep.
    pub(super) fn read(signature: Signature) -> Result<Self, DecodeError> {
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
                Self::chain(list("celery.chain", steps, depth)?)?
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
                    members: flat(list("celery.group", tasks, depth)?),
                })
            }
            Kind::Chord => {
                let header = take(&mut signature.kwargs, "header").unwrap_or_default();
                let mut header = match header {
                    header @ Value::Array(_) => Group {
                        members: flat(list("celery.chord, header", header, depth)?),
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

    /// Puts steps one after another.
    pub(super) fn chain(steps: Vec<Self>) -> Result<Self, DecodeError> {
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

    /// Gives what was said of a whole to the parts that it is meant for.
    fn hand_down(&mut self, whole: Signature) -> Result<(), DecodeError> {
        let Signature {
            task,
            args,
            kwargs,
            mut options,
            immutable,
            ..
        } = whole;
        // `tasks`, `header` and `body` are taken; what is left is for the first task.
        self.prepend(&args, &kwargs);
        if let Some(id) = take(&mut options, "task_id") {
            self.name(id);
        }
        if immutable {
            self.make_immutable();
        }
        let place = Place {
            group: take(&mut options, "group_id").and_then(|id| id.as_str().map(str::to_owned)),
            index: take(&mut options, "group_index")
                .and_then(|index| u32::try_from(index.as_i64()?).ok()),
            chord: take(&mut options, "chord"),
        };
        self.place(&place);
        if let Some(callbacks) = take(&mut options, "link") {
            self.link(&task, callbacks)?;
        }
        if let Some(errbacks) = take(&mut options, "link_error") {
            self.link_error(&errbacks);
        }
        if let Some(rest) = take_signatures(&mut options, "chain").filter(|rest| !rest.is_empty()) {
            self.follow(rest)?;
        }
        for key in ["reply_to", "root_id", "parent_id", "add_to_parent"] {
            options.remove(key);
        }
        self.steer(&options);
        Ok(())
    }

    /// Puts arguments before those of the tasks that start first.
    pub(super) fn prepend(&mut self, args: &[Value], kwargs: &Table) {
        match self {
            Self::Task(task) if task.immutable => {}
            Self::Task(task) => {
                task.args.splice(0..0, args.iter().cloned());
                for (key, value) in kwargs.iter() {
                    task.kwargs.insert(key, value.clone());
                }
            }
            _ => self.first(&mut |first| first.prepend(args, kwargs)),
        }
    }

    /// Gives an id to the part whose result is the whole's, unless it has one.
    fn name(&mut self, id: Value) {
        match self {
            Self::Task(Signature { options, .. }) | Self::Group(Group { options, .. }) => {
                if options.get("task_id").is_none_or(Value::is_null) {
                    options.insert("task_id", id);
                }
            }
            Self::Chain(steps) => {
                if let Some(last) = steps.last_mut() {
                    last.name(id);
                }
            }
            Self::Chord { body, .. } => body.name(id),
        }
    }

    fn make_immutable(&mut self) {
        match self {
            Self::Task(task) => task.immutable = true,
            _ => self.first(&mut Self::make_immutable),
        }
    }

    /// Sets options of the tasks that start first; a chord's body gets them too,
    /// unless they delay.
    fn steer(&mut self, options: &Table) {
        match self {
            Self::Task(task) => {
                for (key, value) in options.iter() {
                    task.options.insert(key, value.clone());
                }
            }
            Self::Chord { header, body } => {
                header
                    .members
                    .iter_mut()
                    .for_each(|member| member.steer(options));
                body.steer(&undelayed(options));
            }
            _ => self.first(&mut |first| first.steer(options)),
        }
    }

    fn first(&mut self, then: &mut dyn FnMut(&mut Self)) {
        match self {
            Self::Task(_) => {}
            Self::Chain(steps) => steps.iter_mut().take(1).for_each(then),
            Self::Group(group) | Self::Chord { header: group, .. } => {
                group.members.iter_mut().for_each(then);
            }
        }
    }

    /// Calls something with the result of the whole.
    fn link(&mut self, whole: &str, callbacks: Value) -> Result<(), DecodeError> {
        match self {
            Self::Task(task) => append(&mut task.options, "link", callbacks),
            Self::Chain(steps) => {
                if let Some(last) = steps.last_mut() {
                    last.link(whole, callbacks)?;
                }
            }
            Self::Group(_) => {
                let expected = "no link on a group: put a step behind it instead";
                return Err(malformed(whole, expected, "link"));
            }
            Self::Chord { body, .. } => body.link(whole, callbacks)?,
        }
        Ok(())
    }

    /// Calls something when any part fails; a chord's body speaks for its header.
    fn link_error(&mut self, errbacks: &Value) {
        match self {
            Self::Task(task) => append(&mut task.options, "link_error", errbacks.clone()),
            Self::Chain(steps) => steps.iter_mut().for_each(|step| step.link_error(errbacks)),
            Self::Group(group) => group
                .members
                .iter_mut()
                .for_each(|m| m.link_error(errbacks)),
            Self::Chord { body, .. } => body.link_error(errbacks),
        }
    }

    /// Puts the rest of a chain, reversed as on the wire, behind this.
    pub(super) fn follow(&mut self, mut rest: Vec<Signature>) -> Result<(), DecodeError> {
        match self {
            Self::Task(task) => {
                // A stack: what the task brings along runs first, so it lies on top.
                rest.extend(take_signatures(&mut task.options, "chain").unwrap_or_default());
                task.options.insert(
                    "chain",
                    rest.into_iter().map(Value::from).collect::<Vec<_>>(),
                );
            }
            whole => {
                let mut steps = vec![std::mem::replace(whole, Self::Chain(Vec::new()))];
                for step in rest.into_iter().rev() {
                    steps.push(Self::read(step)?);
                }
                *whole = Self::chain(steps)?;
            }
        }
        Ok(())
    }

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
            Self::Chord { header, .. } => !header.members.is_empty(),
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

    /// Returns the ids whose results are the whole's, when it ends in a group.
    pub(super) fn members(&self) -> Option<Vec<String>> {
        match self {
            Self::Task(_) => None,
            Self::Chain(steps) => steps.last().and_then(Self::members),
            Self::Group(group) => Some(
                group
                    .members
                    .iter()
                    .map(|member| member.id().to_owned())
                    .collect(),
            ),
            Self::Chord { body, .. } => body.members(),
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

    pub(super) fn leaves(&self) -> u32 {
        self.members
            .iter()
            .map(Tree::leaves)
            .fold(0, u32::saturating_add)
    }
}

impl Place {
    fn write(&self, options: &mut Table) {
        if let (Some(group), true) = (
            &self.group,
            options.get("group_id").is_none_or(Value::is_null),
        ) {
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

/// Adds a step; what follows a group is the body of a chord.
fn push(mut steps: Vec<Tree>, next: Tree) -> Result<Vec<Tree>, DecodeError> {
    let last = match steps.pop() {
        Some(Tree::Group(header)) => Tree::Chord {
            header,
            body: Box::new(next),
        },
        Some(Tree::Chord { header, body }) if body.members().is_some() => {
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

fn list(place: &str, value: Value, depth: usize) -> Result<Vec<Tree>, DecodeError> {
    match value {
        Value::Array(items) => items
            .into_iter()
            .map(|item| Tree::one(place, item, depth))
            .collect(),
        other => Err(malformed(place, "a list of signatures", other.kind())),
    }
}

fn malformed(place: &str, expected: &str, found: &str) -> DecodeError {
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
                let id = steps.last().map_or("", Tree::id).to_owned();
                let mut chain = super::canvas("chain");
                chain.kwargs.insert("tasks", values(steps));
                chain.options.insert("task_id", id);
                chain
            }
            Tree::Group(Group { options, members }) => {
                let mut group = super::canvas("group");
                group.kwargs.insert("tasks", values(members));
                group.options = options;
                group
            }
            Tree::Chord { header, body } => {
                let mut chord = super::canvas("chord");
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
