//! Gives what was said of a whole to the parts that it is meant for.

use celeriac_protocol::error::DecodeError;
use celeriac_protocol::{Signature, Table, Value};

use super::{Group, Place, Tree};
use crate::canvas::options::{append, merge, take, take_signatures, undelayed};

impl Tree {
    /// Gives what was said of a whole to the parts that it is meant for.
    pub(super) fn hand_down(&mut self, whole: Signature) -> Result<(), DecodeError> {
        let Signature {
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
            self.link(&callbacks);
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
    pub(in crate::canvas) fn prepend(&mut self, args: &[Value], kwargs: &Table) {
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
            Self::Task(task) => merge(&mut task.options, options),
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

    /// Calls something with the result of the whole. A group has none: its members call
    /// it, each with its own.
    fn link(&mut self, callbacks: &Value) {
        match self {
            Self::Task(task) => append(&mut task.options, "link", callbacks.clone()),
            Self::Chain(steps) => steps
                .iter_mut()
                .rev()
                .take(1)
                .for_each(|last| last.link(callbacks)),
            Self::Group(group) => group.members.iter_mut().for_each(|m| m.link(callbacks)),
            Self::Chord { body, .. } => body.link(callbacks),
        }
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

    /// Returns what is called when any part fails, whichever it is.
    fn errbacks(&self) -> Vec<Value> {
        match self {
            Self::Task(task) => match task.option("link_error") {
                Some(Value::Array(errbacks)) => errbacks.clone(),
                Some(one) => vec![one.clone()],
                None => Vec::new(),
            },
            Self::Chain(steps) => Self::errbacks_of_all(steps),
            Self::Group(group) => Self::errbacks_of_all(&group.members),
            Self::Chord { body, .. } => body.errbacks(),
        }
    }

    /// Returns what all of some parts call when they fail.
    pub(super) fn errbacks_of_all(parts: &[Self]) -> Vec<Value> {
        let mut parts = parts.iter().map(Self::errbacks);
        let mut all = parts.next().unwrap_or_default();
        for errbacks in parts {
            all.retain(|errback| errbacks.contains(errback));
        }
        all
    }

    /// Puts the rest of a chain, reversed as on the wire, behind this.
    pub(in crate::canvas) fn follow(
        &mut self,
        mut rest: Vec<Signature>,
    ) -> Result<(), DecodeError> {
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
}
