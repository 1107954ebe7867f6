//! Workflows: chains, groups and chords of calls.
//!
//! A workflow is a [`Signature`] like any call, so workflows nest. Sending one
//! [plans](plan) it first: which plain task messages go out now, and what each of
//! them carries on to the next.
//!
//! # Example
//!
//! ```
//! use celeriac::{App, Call, canvas::group, task};
//!
//! #[task]
//! async fn square(x: i64) -> i64 {
//!     x * x
//! }
//!
//! #[task]
//! async fn sum(numbers: Vec<i64>) -> i64 {
//!     numbers.iter().sum()
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> celeriac::Result<()> {
//! # let app = App::builder("demo").backend("memory://").build()?;
//! // A chain: each step gets the result of the one before.
//! let fourth_power = square.call(3).then(square.partial()).send(&app).await?;
//!
//! // A group, whose result is a list.
//! let squares: Call<Vec<i64>> = group((1..=10).map(|x| square.call(x))).into();
//!
//! // A group with something behind it is a chord.
//! let total = squares.then(sum.partial()).send(&app).await?;
//! # Ok(())
//! # }
//! ```
//!
//! | to | see |
//! |---|---|
//! | put calls one after another | [`Call::then`](crate::Call::then), [`chain`] |
//! | run them side by side | [`group`] |
//! | go on when all are done | [`Call::then`](crate::Call::then) after a group, [`chord`] |
//! | call one task for many items | [`map`], [`starmap`], [`chunks`] |
//! | react to success or failure | [`Call::link`](crate::Call::link), [`Call::link_error`](crate::Call::link_error) |
//! | mark all parts of a workflow | [`Signature::stamp`], [`Signature::stamped`] with a [`StampingVisitor`] |
//! | add arguments and options to data | [`Signature::partial`] |

mod ending;
mod options;
pub mod plan;
mod tree;

use std::num::NonZeroUsize;

use celeriac_protocol::error::EncodeError;
pub use celeriac_protocol::signature::{Restamp, StampingVisitor};
use celeriac_protocol::{Signature, Table, Value};

pub use self::ending::ends_in_group;
pub use self::plan::Plan;

/// Makes a chain: each step gets the result of the one before as its first argument.
///
/// As Celery's own: among its steps an empty group is left out, and a group of one is its
/// one member, so that what comes next gets one value. To go on with a list whatever the
/// number of members, use [`then`] or a [`chord`].
pub fn chain(steps: impl IntoIterator<Item = impl Into<Signature>>) -> Signature {
    of_list("chain", steps)
}

/// Makes a group: all members run side by side.
pub fn group(members: impl IntoIterator<Item = impl Into<Signature>>) -> Signature {
    of_list("group", members)
}

/// Makes a chord: the body gets the list of the header's results.
///
/// Needs a result backend that can join, such as Redis.
pub fn chord(
    header: impl IntoIterator<Item = impl Into<Signature>>,
    body: impl Into<Signature>,
) -> Signature {
    let (header, body) = (group(header), body.into());
    let mut chord = canvas("chord");
    inherit_fault(&mut chord, &header);
    inherit_fault(&mut chord, &body);
    chord.kwargs.insert("kwargs", Table::new());
    chord.kwargs.insert("header", Value::from(header));
    chord.kwargs.insert("body", Value::from(body));
    chord
}

/// Calls a task for each of `items` in turn, inside one message: its result is the list
/// of results. Each item is one argument.
///
/// The worker that gets it must have the task. One item that fails fails all.
///
/// ```
/// use celeriac::{Call, canvas::map, task};
///
/// #[task]
/// async fn square(x: i64) -> i64 {
///     x * x
/// }
///
/// let squares: Call<Vec<i64>> = map(square.partial(), 1..=3).into();
/// ```
pub fn map(
    task: impl Into<Signature>,
    items: impl IntoIterator<Item = impl Into<Value>>,
) -> Signature {
    let items = items.into_iter().map(Into::into).collect();
    over("celery.map", task.into(), items)
}

/// Calls a task for each of `items` in turn, inside one message, as [`map`] does. Each
/// item is a list of arguments.
pub fn starmap(
    task: impl Into<Signature>,
    items: impl IntoIterator<Item = impl Into<Vec<Value>>>,
) -> Signature {
    let items = items.into_iter().map(|item| Value::Array(item.into()));
    over("celery.starmap", task.into(), items.collect())
}

/// Makes a group of [`starmap`]s over at most `size` items each: large numbers of small
/// calls cost a message per chunk. The result is a list of lists.
pub fn chunks(
    task: impl Into<Signature>,
    items: impl IntoIterator<Item = impl Into<Vec<Value>>>,
    size: NonZeroUsize,
) -> Signature {
    let task = task.into();
    let items: Vec<Vec<Value>> = items.into_iter().map(Into::into).collect();
    group(
        items
            .chunks(size.get())
            .map(|chunk| starmap(task.clone(), chunk.to_vec())),
    )
}

/// A task over items; it has its arguments.
fn over(name: &str, task: Signature, items: Vec<Value>) -> Signature {
    let mut call = Signature::new(name).immutable();
    inherit_fault(&mut call, &task);
    call.kwarg("task", Value::from(task)).kwarg("it", items)
}

/// Puts a step behind a workflow, as [`Call::then`](crate::Call::then) does: behind a
/// group it gets the list of all results, and a group as step has a list of results,
/// whatever the number of members. A [`chain`] instead leaves out groups of none and one.
pub fn then(first: impl Into<Signature>, next: impl Into<Signature>) -> Signature {
    let (first, next) = (first.into(), whole(next.into()));
    if Kind::of(&first) != Kind::Group || members(&first).len() > 1 {
        return chain([first, next]);
    }
    let mut chord = chord(Vec::<Signature>::new(), next);
    inherit_fault(&mut chord, &first);
    chord.kwargs.insert("header", Value::from(first));
    chord
}

/// Keeps a group of one a group among the steps of a chain: an empty group beside its
/// member makes them two, and vanishes when the group is sent.
fn whole(mut step: Signature) -> Signature {
    if Kind::of(&step) == Kind::Group
        && let Some(Value::Array(members)) = step.kwargs.get_mut("tasks")
        && members.len() == 1
    {
        members.push(group(Vec::<Signature>::new()).into());
    }
    step
}

/// Returns what a group has as members, unread.
fn members(group: &Signature) -> &[Value] {
    group
        .kwargs
        .get("tasks")
        .and_then(Value::as_array)
        .unwrap_or_default()
}

/// The kinds of signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One task message. `map`, `starmap` and `chunks` are such: a worker runs them.
    Task,
    /// One after another.
    Chain,
    /// Side by side.
    Group,
    /// A group, then a body.
    Chord,
}

impl Kind {
    /// Returns the kind of a signature.
    pub fn of(signature: &Signature) -> Self {
        match signature.subtask_type.as_deref() {
            Some("chain") => Self::Chain,
            Some("group") => Self::Group,
            Some("chord") => Self::Chord,
            _ => Self::Task,
        }
    }
}

/// Puts a result before the arguments of what comes next, unless that is immutable.
#[must_use]
pub fn with_previous(mut signature: Signature, result: Value) -> Signature {
    if !signature.immutable {
        signature.args.insert(0, result);
    }
    signature
}

fn of_list(kind: &str, parts: impl IntoIterator<Item = impl Into<Signature>>) -> Signature {
    let mut whole = canvas(kind);
    let mut list = Vec::new();
    for part in parts {
        let part = part.into();
        inherit_fault(&mut whole, &part);
        list.push(Value::from(part));
    }
    whole.kwargs.insert("tasks", list);
    whole
}

fn canvas(kind: &str) -> Signature {
    Signature {
        task: format!("celery.{kind}"),
        subtask_type: Some(kind.to_owned()),
        ..Signature::default()
    }
}

/// The option that says why a signature cannot be sent. It never reaches the wire:
/// whoever holds a spoiled part is spoiled too, and a spoiled whole is not sent.
const FAULT: &str = "encode_error";

/// Marks a signature that lost an argument; the first reason stays.
pub(crate) fn spoil(signature: &mut Signature, error: &EncodeError) {
    if signature.options.get(FAULT).is_none() {
        signature.options.insert(FAULT, error.reason.as_str());
    }
}

/// Marks a whole as its part is marked.
pub(crate) fn inherit_fault(whole: &mut Signature, part: &Signature) {
    if let Some(error) = fault(part) {
        spoil(whole, &error);
    }
}

/// Returns why a signature cannot be sent.
pub(crate) fn fault(signature: &Signature) -> Option<EncodeError> {
    let reason = signature.options.get(FAULT)?.as_str()?;
    Some(EncodeError::new(
        format!("call of {}", signature.task),
        reason,
    ))
}
