//! The end of a chord whose body cannot run.

use std::time::SystemTime;

use celeriac::canvas::Kind;
use celeriac::producer::Lineage;
use celeriac::protocol::{Exception, Signature, State, Value};

use super::super::{Next, Planner};
use super::{Cause, End, errbacks_of, headers_of, inside, tell};
use crate::execution::traceback;

/// Why a chord's body cannot run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Broken {
    /// What the body and all behind it end with.
    pub(crate) why: Exception,
    /// What a member of the header ended with.
    pub(crate) cause: Option<Exception>,
    /// The error callbacks of a chord in the header that have heard of it.
    pub(crate) told: Vec<Value>,
}

impl From<Exception> for Broken {
    fn from(why: Exception) -> Self {
        Self {
            why,
            cause: None,
            told: Vec::new(),
        }
    }
}

/// The key, beside those of an exception, under which a failed chord tells the chord
/// around it which error callbacks were called. Python's workers do not read it.
pub(super) const TOLD: &str = "told";

impl Broken {
    /// Reads why a chord is broken from the entry of the header's member that failed.
    pub(in crate::execution::workflow) fn by(member: &str, result: &Value) -> Self {
        let cause = Exception::from_value(result).unwrap_or_default();
        let told = result.as_map().and_then(|fields| fields.get(TOLD));
        Self {
            why: Exception::chord_dependency(member, &cause),
            told: told
                .and_then(Value::as_array)
                .map(<[Value]>::to_vec)
                .unwrap_or_default(),
            cause: Some(cause),
        }
    }
}

/// Plans the end of a chord whose body cannot run.
///
/// The members of a group that starts the body fail one by one, with the error of the
/// header's member that failed; anything else fails as a whole, with a `ChordError`. As
/// from Celery.
pub(crate) fn on_chord_error(
    broken: &Broken,
    body: &Signature,
    lineage: &Lineage,
    now: SystemTime,
    plan: Planner<'_>,
) -> Next {
    let mut next = Next::default();
    let is_group = Kind::of(body) == Kind::Group;
    let (members, own) = match is_group {
        true => (inside(body, "tasks"), body.link_error().unwrap_or_default()),
        false => (first_header(body), Vec::new()),
    };
    let chord = Chord {
        broken,
        lineage,
        now,
        plan,
    };
    let cause = broken.cause.as_ref().unwrap_or(&broken.why);
    for member in &members {
        let mut errbacks = errbacks_of(member);
        errbacks.extend(own.iter().cloned());
        next.append(chord.fail(member, cause, errbacks, |end| {
            end.step(member, is_group, 0);
        }));
    }
    let errbacks = match is_group {
        true => Vec::new(),
        false => errbacks_of(body),
    };
    next.append(
        chord.fail(body, &broken.why, errbacks, |end| match is_group {
            true => end.rest(body.chain().unwrap_or_default(), true, 0),
            false => {
                end.header_ended = !members.is_empty();
                end.step(body, true, 0);
            }
        }),
    );
    next
}

/// Returns the header of the chord that a workflow starts with.
fn first_header(signature: &Signature) -> Vec<Signature> {
    match Kind::of(signature) {
        Kind::Task | Kind::Group => Vec::new(),
        Kind::Chain => inside(signature, "tasks")
            .first()
            .map(first_header)
            .unwrap_or_default(),
        Kind::Chord => inside(signature, "header"),
    }
}

/// A chord that is broken.
struct Chord<'a> {
    broken: &'a Broken,
    lineage: &'a Lineage,
    now: SystemTime,
    plan: Planner<'a>,
}

impl Chord<'_> {
    /// Plans the end of a part of its body: it never was a message, so it is told of with the
    /// headers that it would have had.
    fn fail(
        &self,
        part: &Signature,
        exception: &Exception,
        mut errbacks: Vec<Signature>,
        how: impl FnOnce(&mut End<'_>),
    ) -> Next {
        let mut next = Next::default();
        let text = traceback::text(&part.task, exception, &[]);
        let cause = Cause {
            state: &State::Failure,
            exception,
            traceback: Some(&text),
            now: self.now,
            reply_to: None,
        };
        let headers = headers_of(part, self.lineage);
        let mut told = self.broken.told.clone();
        errbacks.retain(|errback| {
            let errback = Value::from(errback.clone());
            let new = !told.contains(&errback);
            if new {
                told.push(errback);
            }
            new
        });
        let child = tell(errbacks, cause, &headers, self.plan, &mut next);
        let mut end = End::new(cause, &headers, &told);
        how(&mut end);
        let mut stores = end.next.stores.iter_mut();
        if let Some(store) = stores.find(|store| store.document.task_id == headers.id) {
            store.document.children = Some(child.into_iter().collect());
        }
        next.append(end.next);
        next
    }
}
