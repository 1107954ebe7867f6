//! What runs in a task's place: a pure function.

use celeriac::canvas::{Kind, ends_in_group, then};
use celeriac::protocol::{Embed, Exception, Properties, Signature, TaskHeaders, Value};

use super::workflow::stamped;

/// Makes the workflow that runs in a task's place, and what follows it in the task's
/// chain: the task's id, its place in group and chord, its callbacks and errbacks go over.
///
/// # Errors
///
/// The exception that the task fails with when it cannot be replaced by this.
pub(crate) fn replacement(
    with: Signature,
    embed: Embed,
    headers: &TaskHeaders,
    properties: &Properties,
) -> Result<(Signature, Option<Vec<Signature>>), Exception> {
    let refuse = |reason: &str| {
        Err(Exception::new(
            "celery.exceptions",
            "ImproperlyConfigured",
            [reason.into()],
        ))
    };
    if with.option("chord").is_some() {
        return refuse("a signature that replaces a task must not be part of a chord");
    }
    let steps = || with.kwargs.get("tasks").map_or(&[][..], items);
    if Kind::of(&with) == Kind::Chain && steps().is_empty() {
        return refuse("Cannot replace with an empty chain");
    }
    let nesting = headers.replaced_task_nesting.saturating_add(1);
    // One id has one result: what ends in many is collected.
    let with = match ends_in_group(&with) {
        true => {
            let accumulate = Signature::new("celery.accumulate").kwarg("index", 0);
            then(with, accumulate)
        }
        false => with,
    };
    let mut with = stamped(with, headers);
    let reply_to = properties.reply_to.as_deref();
    adapt(&mut with, nesting, reply_to, true, 0);
    let options = &mut with.options;
    options.insert("task_id", headers.id.as_str());
    if let Some(group) = &headers.group {
        options.insert("group_id", group.as_str());
        options.insert("group_index", headers.group_index);
    }
    if let Some(body) = embed.chord {
        options.insert("chord", Value::from(*body));
    }
    append(&mut with, "link", embed.callbacks);
    append(&mut with, "link_error", embed.errbacks);
    let rest = embed.chain.map(|steps| {
        let marked = |step: Signature| step.with_option("replaced_task_nesting", nesting);
        steps.into_iter().map(marked).collect()
    });
    Ok((with, rest))
}

/// Deeper workflows are refused when they are planned.
const MAX_DEPTH: usize = 64;

/// Tells each task of a workflow how often it replaced another and who waits for the
/// result. The one that ends it must not have an id of its own.
fn adapt(part: &mut Signature, nesting: u32, reply_to: Option<&str>, ends: bool, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    if ends {
        part.options.remove("task_id");
    }
    let kind = Kind::of(part);
    let mut inside = |key: &str, ends: bool| {
        let adapted = |value: Value, ends: bool| match Signature::from_value(value.clone()) {
            Ok(mut inner) => {
                adapt(&mut inner, nesting, reply_to, ends, depth + 1);
                Value::from(inner)
            }
            // The planner says what is wrong with it.
            Err(_) => value,
        };
        match part.kwargs.remove(key) {
            Some(Value::Array(items)) => {
                let last = items.len().saturating_sub(1);
                let items = items.into_iter().enumerate();
                let items = items.map(|(at, item)| adapted(item, ends && at == last));
                part.kwargs.insert(key, items.collect::<Vec<_>>());
            }
            Some(one) => part.kwargs.insert(key, adapted(one, ends)),
            None => {}
        }
    };
    match kind {
        Kind::Chain => inside("tasks", ends),
        Kind::Group => inside("tasks", false),
        Kind::Chord => {
            inside("header", false);
            inside("body", ends);
        }
        Kind::Task => {
            part.options.insert("replaced_task_nesting", nesting);
            if let (None, Some(reply_to)) = (part.reply_to(), reply_to) {
                part.options.insert("reply_to", reply_to);
            }
        }
    }
}

fn append(to: &mut Signature, key: &str, more: Option<Vec<Signature>>) {
    let Some(more) = more.filter(|more| !more.is_empty()) else {
        return;
    };
    let mut all = match to.options.remove(key) {
        Some(Value::Array(items)) => items,
        None | Some(Value::Null) => Vec::new(),
        Some(one) => vec![one],
    };
    all.extend(more.into_iter().map(Value::from));
    to.options.insert(key, all);
}

fn items(list: &Value) -> &[Value] {
    match list {
        Value::Array(items) => items,
        _ => &[],
    }
}

#[cfg(test)]
mod tests;
