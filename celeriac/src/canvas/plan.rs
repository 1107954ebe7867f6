//! From a workflow to the messages that start it: a pure function.

use celeriac_protocol::error::DecodeError;
use celeriac_protocol::{Embed, ResultTuple, Signature, Value};

use super::options::{take, take_signatures};
use super::tree::{Group, Place, Tree};

/// The messages that start a workflow.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Counters to be set up before anything is sent.
    pub joins: Vec<Join>,
    /// Whether there is a chord anywhere in it, now or later.
    pub has_chord: bool,
    /// Task messages to be sent, in order.
    pub sends: Vec<Send>,
    /// The workflow's result, with those of the steps before its last one.
    pub result: ResultTuple,
}

/// A plain task message: a call, and what it carries on.
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    /// The call; its options hold ids, group and routing.
    pub signature: Signature,
    /// What follows it.
    pub embed: Embed,
}

/// A chord to be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The group's id.
    pub group: String,
    /// How many results it waits for.
    pub size: u32,
    /// The header's result, when its list of results is not flat.
    pub header: Option<ResultTuple>,
}

/// Plans a workflow. `new_id` makes ids for what has none; `rest` is what follows it in
/// a surrounding chain, reversed as on the wire; `reply_to` is where results go.
///
/// Every part gets its id now, also what is sent later by somebody else, so that the
/// caller knows them from the start.
///
/// # Errors
///
/// When a canvas signature does not hold what its kind needs, or nests too deep.
pub fn plan(
    signature: Signature,
    rest: Option<Vec<Signature>>,
    reply_to: Option<&str>,
    new_id: &mut dyn FnMut() -> String,
) -> Result<Plan, DecodeError> {
    let mut tree = Tree::read(signature)?;
    freeze(&mut tree, reply_to, new_id);
    let mut plan = Plan {
        has_chord: tree.has_chord(),
        result: tree.result(None),
        ..Plan::default()
    };
    plan.lower(tree, rest)?;
    Ok(plan)
}

/// Gives every part its id, and every task its way back.
fn freeze(tree: &mut Tree, reply_to: Option<&str>, new_id: &mut dyn FnMut() -> String) {
    match tree {
        Tree::Task(task) => {
            if task.task_id().is_none() {
                task.options.insert("task_id", new_id());
            }
            if let (None, Some(reply_to)) = (task.reply_to(), reply_to) {
                task.options.insert("reply_to", reply_to);
            }
        }
        Tree::Chain(steps) => steps
            .iter_mut()
            .for_each(|step| freeze(step, reply_to, new_id)),
        Tree::Group(group) => freeze_group(group, reply_to, new_id),
        Tree::Chord { header, body } => {
            freeze_group(header, reply_to, new_id);
            freeze(body, reply_to, new_id);
        }
    }
}

fn freeze_group(group: &mut Group, reply_to: Option<&str>, new_id: &mut dyn FnMut() -> String) {
    if group.id().is_empty() {
        group.options.insert("task_id", new_id());
    }
    for (index, member) in (0_u32..).zip(&mut group.members) {
        member.place(&Place {
            index: Some(index),
            ..Place::default()
        });
        freeze(member, reply_to, new_id);
    }
}

impl Plan {
    fn lower(&mut self, tree: Tree, rest: Option<Vec<Signature>>) -> Result<(), DecodeError> {
        match tree {
            Tree::Task(task) => self.send(task, rest),
            Tree::Chain(mut steps) => {
                let head = steps.remove(0);
                let mut stack = rest.unwrap_or_default();
                stack.extend(steps.into_iter().rev().map(Signature::from));
                self.lower(head, Some(stack))?;
            }
            Tree::Group(group) => match rest {
                // A group with something behind it is a chord.
                Some(mut rest) if !rest.is_empty() => {
                    let body = Tree::read(rest.pop().unwrap_or_default())?;
                    self.has_chord = true;
                    self.chord(group, body, rest)?;
                }
                rest => self.group(group, rest, None)?,
            },
            Tree::Chord { header, body } => {
                self.chord(header, *body, rest.unwrap_or_default())?;
            }
        }
        Ok(())
    }

    fn send(&mut self, mut signature: Signature, rest: Option<Vec<Signature>>) {
        let options = &mut signature.options;
        let own = take_signatures(options, "chain");
        // A stack: what a signature brings along runs before what surrounds it.
        let chain = match (rest, own) {
            (Some(mut rest), Some(own)) => {
                rest.extend(own);
                Some(rest)
            }
            (rest, own) => rest.or(own),
        };
        let chord = take(options, "chord").and_then(|chord| Signature::from_value(chord).ok());
        let embed = Embed {
            callbacks: take_signatures(options, "link"),
            errbacks: take_signatures(options, "link_error"),
            chain,
            chord: chord.map(Box::new),
        };
        self.sends.push(Send { signature, embed });
    }

    fn group(
        &mut self,
        group: Group,
        rest: Option<Vec<Signature>>,
        chord: Option<&Value>,
    ) -> Result<(), DecodeError> {
        let id = group.id().to_owned();
        for (index, mut member) in (0_u32..).zip(group.members) {
            member.place(&Place {
                group: Some(id.clone()),
                index: Some(index),
                chord: chord.cloned(),
            });
            self.lower(member, rest.clone())?;
        }
        Ok(())
    }

    fn chord(
        &mut self,
        header: Group,
        mut body: Tree,
        rest: Vec<Signature>,
    ) -> Result<(), DecodeError> {
        let group = header.id().to_owned();
        body.place(&Place {
            group: Some(group.clone()),
            ..Place::default()
        });
        if !rest.is_empty() {
            body.follow(rest)?;
        }
        if header.members.is_empty() {
            body.prepend(
                &[Value::Array(Vec::new())],
                &celeriac_protocol::Table::new(),
            );
            return self.lower(body, None);
        }
        let size = header.leaves();
        let result = header.result(None).without_parents();
        let body = Value::from(Signature::from(body));
        self.group(header, None, Some(&body))?;
        self.joins.push(Join {
            group,
            size,
            header: result.is_nested().then_some(result),
        });
        Ok(())
    }
}
