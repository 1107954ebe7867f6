//! From a workflow to the messages that start it: a pure function.

use celeriac_protocol::error::{DecodeError, Fault};
use celeriac_protocol::{Embed, Signature, Table, Value};

use super::Kind;

/// The messages that start a workflow.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Counters to be set up before anything is sent.
    pub joins: Vec<Join>,
    /// Task messages to be sent, in order.
    pub sends: Vec<Send>,
    /// The workflow's result as Celery writes it: `[[id, parent], children]`.
    pub result: Value,
    /// The id whose result is the workflow's.
    pub id: String,
    /// The ids whose results are the workflow's, when it is a group.
    pub members: Vec<String>,
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
}

/// Workflows deeper than this are refused.
const MAX_DEPTH: usize = 64;

/// Plans a workflow. `new_id` makes ids for what has none; `rest` is what follows it in
/// a surrounding chain, reversed as on the wire.
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
    let mut planner = Planner {
        plan: Plan::default(),
        reply_to,
        new_id,
    };
    let shape = planner.lower(signature, rest, 0)?;
    let Planner { mut plan, .. } = planner;
    plan.id = shape.id;
    plan.members = shape.members;
    plan.result = shape.tuple;
    Ok(plan)
}

struct Planner<'a> {
    plan: Plan,
    reply_to: Option<&'a str>,
    new_id: &'a mut dyn FnMut() -> String,
}

/// What a part of the workflow results in.
struct Shape {
    id: String,
    members: Vec<String>,
    tuple: Value,
    /// How many results a surrounding chord waits for.
    leaves: u32,
}

impl Shape {
    fn task(id: String) -> Self {
        Self {
            tuple: tuple(&id, Value::Null),
            id,
            members: Vec::new(),
            leaves: 1,
        }
    }
}

/// A result as Celery writes it: `[[id, null], children]`.
fn tuple(id: &str, children: Value) -> Value {
    Value::Array(vec![Value::Array(vec![id.into(), Value::Null]), children])
}

impl Planner<'_> {
    fn lower(
        &mut self,
        signature: Signature,
        rest: Option<Vec<Signature>>,
        depth: usize,
    ) -> Result<Shape, DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError::new(
                Fault::TooLarge,
                "workflow",
                format!("at most {MAX_DEPTH} levels"),
                "more",
            ));
        }
        match Kind::of(&signature) {
            Kind::Task => Ok(self.task(signature, rest)),
            Kind::Chain => self.chain(signature, rest, depth),
            Kind::Group => match rest {
                Some(mut rest) if !rest.is_empty() => {
                    // A group with something behind it is a chord.
                    let body = rest.pop().unwrap_or_default();
                    self.chord(signature, body, rest, depth)
                }
                rest => self.group(signature, rest, None, depth),
            },
            Kind::Chord => {
                let mut signature = signature;
                let header = member(&mut signature, "header")?;
                let mut header = match Kind::of(&header) {
                    Kind::Group => header,
                    _ => super::group([header]),
                };
                let mut body = member(&mut signature, "body")?;
                header
                    .args
                    .splice(0..0, std::mem::take(&mut signature.args));
                hand_down(&mut signature.options, &mut body.options);
                self.chord(header, body, rest.unwrap_or_default(), depth)
            }
        }
    }

    fn task(&mut self, mut signature: Signature, rest: Option<Vec<Signature>>) -> Shape {
        let id = self.freeze(&mut signature);
        let options = &mut signature.options;
        let own = take_list(options, "chain");
        // The chain is a stack: what a signature brings along runs before what
        // surrounds it, so it lies on top.
        let chain = match (rest, own) {
            (Some(mut rest), Some(own)) => {
                rest.extend(own);
                Some(rest)
            }
            (rest, own) => rest.or(own),
        };
        let embed = Embed {
            callbacks: take_list(options, "link"),
            errbacks: take_list(options, "link_error"),
            chain,
            chord: options
                .remove("chord")
                .and_then(|chord| Signature::from_value(chord).ok())
                .map(Box::new),
        };
        self.plan.sends.push(Send { signature, embed });
        Shape::task(id)
    }

    fn chain(
        &mut self,
        mut signature: Signature,
        rest: Option<Vec<Signature>>,
        depth: usize,
    ) -> Result<Shape, DecodeError> {
        let mut steps = members(&mut signature, "tasks")?;
        let (Some(first), outer) = (steps.first_mut(), &mut signature.options) else {
            return Err(wrong("chain", "at least one step", "none"));
        };
        first.args.splice(0..0, std::mem::take(&mut signature.args));
        if let Some(errbacks) = outer.remove("link_error") {
            for step in &mut steps {
                append(&mut step.options, "link_error", errbacks.clone());
            }
        }
        if let Some(last) = steps.last_mut() {
            hand_down(outer, &mut last.options);
        }
        for step in &mut steps {
            self.freeze_deep(step, depth + 1)?;
        }
        let last_id = steps.last().map(result_id).unwrap_or_default();
        let head = steps.remove(0);
        let mut stack = rest.unwrap_or_default();
        stack.extend(steps.into_iter().rev());
        let single = stack.is_empty();
        let shape = self.lower(head, Some(stack), depth + 1)?;
        Ok(if single { shape } else { Shape::task(last_id) })
    }

    fn group(
        &mut self,
        mut signature: Signature,
        rest: Option<Vec<Signature>>,
        chord: Option<&Value>,
        depth: usize,
    ) -> Result<Shape, DecodeError> {
        let id = self.freeze(&mut signature);
        let members = members(&mut signature, "tasks")?;
        let errbacks = signature.options.remove("link_error");
        let mut shape = Shape {
            id: id.clone(),
            members: Vec::new(),
            tuple: Value::Null,
            leaves: 0,
        };
        let mut tuples = Vec::with_capacity(members.len());
        for (index, mut member) in (0_u32..).zip(members) {
            if !member.immutable {
                member.args.splice(0..0, signature.args.iter().cloned());
            }
            member.options.insert("group_id", id.as_str());
            member.options.insert("group_index", index);
            if let Some(chord) = chord {
                member.options.insert("chord", chord.clone());
            }
            if let Some(errbacks) = &errbacks {
                append(&mut member.options, "link_error", errbacks.clone());
            }
            if let Some(countdown) = signature.options.get("countdown") {
                member.options.insert("countdown", countdown.clone());
            }
            let part = self.lower(member, rest.clone(), depth + 1)?;
            shape.leaves += part.leaves;
            shape.members.push(part.id);
            tuples.push(part.tuple);
        }
        shape.tuple = tuple(&id, Value::Array(tuples));
        Ok(shape)
    }

    fn chord(
        &mut self,
        mut header: Signature,
        mut body: Signature,
        rest: Vec<Signature>,
        depth: usize,
    ) -> Result<Shape, DecodeError> {
        if header
            .kwargs
            .get("tasks")
            .and_then(Value::as_array)
            .is_none_or(<[_]>::is_empty)
        {
            body.args.insert(0, Value::Array(Vec::new()));
            return self.lower(body, (!rest.is_empty()).then_some(rest), depth + 1);
        }
        let group = self.freeze(&mut header);
        self.freeze_deep(&mut body, depth + 1)?;
        body.options.insert("group_id", group.as_str());
        if !rest.is_empty() {
            let rest = rest.into_iter().map(Value::from).collect::<Vec<_>>();
            body.options.insert("chain", rest);
        }
        let id = result_id(&body);
        let chord = Value::from(body);
        let shape = self.group(header, None, Some(&chord), depth)?;
        self.plan.joins.push(Join {
            group,
            size: shape.leaves,
        });
        Ok(Shape::task(id))
    }

    /// Gives a signature its id and its way back; returns the id.
    fn freeze(&mut self, signature: &mut Signature) -> String {
        let id = match signature.options.get("task_id").and_then(Value::as_str) {
            Some(id) => id.to_owned(),
            None => {
                let id = (self.new_id)();
                signature.options.insert("task_id", id.as_str());
                id
            }
        };
        if let (Some(reply_to), None) = (self.reply_to, signature.options.get("reply_to")) {
            signature.options.insert("reply_to", reply_to);
        }
        id
    }

    /// Freezes a step that is sent later by somebody else, with all that is inside it,
    /// so that its caller knows the ids from the start.
    fn freeze_deep(&mut self, signature: &mut Signature, depth: usize) -> Result<(), DecodeError> {
        if depth > MAX_DEPTH {
            return Err(wrong("workflow", "at most 64 levels", "more"));
        }
        match Kind::of(signature) {
            Kind::Task => {}
            Kind::Chain | Kind::Group => {
                let mut inner = members(signature, "tasks")?;
                for step in &mut inner {
                    self.freeze_deep(step, depth + 1)?;
                }
                let inner = inner.into_iter().map(Value::from).collect::<Vec<_>>();
                signature.kwargs.insert("tasks", inner);
            }
            Kind::Chord => {
                for part in ["header", "body"] {
                    let mut inner = member(signature, part)?;
                    self.freeze_deep(&mut inner, depth + 1)?;
                    signature.kwargs.insert(part, Value::from(inner));
                }
            }
        }
        self.freeze(signature);
        Ok(())
    }
}

/// Returns the id whose result is that of a frozen workflow.
fn result_id(signature: &Signature) -> String {
    let last = match Kind::of(signature) {
        Kind::Chain => signature
            .kwargs
            .get("tasks")
            .and_then(Value::as_array)
            .and_then(<[_]>::last),
        Kind::Chord => signature.kwargs.get("body"),
        Kind::Task | Kind::Group => None,
    };
    match last.cloned().map(Signature::from_value) {
        Some(Ok(last)) => result_id(&last),
        _ => {
            let id = signature.options.get("task_id").and_then(Value::as_str);
            id.unwrap_or_default().to_owned()
        }
    }
}

/// Moves what belongs to the end of a workflow from the whole to its last part.
fn hand_down(whole: &mut Table, last: &mut Table) {
    for key in ["group_id", "group_index", "chord"] {
        if let Some(value) = whole.remove(key) {
            last.insert(key, value);
        }
    }
    for key in ["link", "link_error"] {
        if let Some(list) = whole.remove(key) {
            append(last, key, list);
        }
    }
}

/// Adds the elements of `list` to the list at `key`.
fn append(options: &mut Table, key: &str, list: Value) {
    let added = match list {
        Value::Array(items) => items,
        Value::Null => return,
        one => vec![one],
    };
    match options.get_mut(key) {
        Some(Value::Array(items)) => items.extend(added),
        _ => options.insert(key, added),
    }
}

fn take_list(options: &mut Table, key: &str) -> Option<Vec<Signature>> {
    let items = match options.remove(key)? {
        Value::Array(items) => items,
        Value::Null => return None,
        one => vec![one],
    };
    Some(
        items
            .into_iter()
            .filter_map(|item| Signature::from_value(item).ok())
            .collect(),
    )
}

fn member(signature: &mut Signature, key: &str) -> Result<Signature, DecodeError> {
    let value = signature.kwargs.remove(key).unwrap_or_default();
    Signature::from_value(value).map_err(|error| error.within(&signature.task))
}

fn members(signature: &mut Signature, key: &str) -> Result<Vec<Signature>, DecodeError> {
    match signature.kwargs.remove(key) {
        Some(Value::Array(items)) => items
            .into_iter()
            .map(|item| Signature::from_value(item).map_err(|error| error.within(&signature.task)))
            .collect(),
        other => Err(wrong(
            &signature.task,
            "a list of signatures",
            other.unwrap_or_default().kind(),
        )),
    }
}

fn wrong(place: &str, expected: &str, found: &str) -> DecodeError {
    DecodeError::new(Fault::Malformed, place, expected, found)
}
