//! What a workflow ends in.

use celeriac_protocol::{Signature, Value};

use super::Kind;

/// Tells whether a workflow ends in a group: its result is many results. A group of one
/// is its member where it is a step of a chain.
///
/// # Example
///
/// ```
/// use celeriac::canvas::{chain, ends_in_group, group};
/// use celeriac::Signature;
///
/// let add = || Signature::new("demo.add");
/// assert!(ends_in_group(&chain([add(), group([add(), add()])])));
/// assert!(!ends_in_group(&chain([group([add(), add()]), add()])));
/// assert!(!ends_in_group(&chain([add(), group([add()])])));
/// ```
pub fn ends_in_group(signature: &Signature) -> bool {
    let kwargs = &signature.kwargs;
    let (mut present, mut step) = match Kind::of(signature) {
        Kind::Task => return false,
        Kind::Group => return true,
        Kind::Chain => (last(kwargs.get("tasks")), true),
        Kind::Chord => (kwargs.get("body"), false),
    };
    // A loop: what is nested deeper than anybody may nest is refused when it is planned.
    while let Some(map) = present.and_then(Value::as_map) {
        let kwargs = map.get("kwargs").and_then(Value::as_map);
        let inside = |key: &str| kwargs.and_then(|kwargs| kwargs.get(key));
        (present, step) = match map.get("subtask_type").and_then(Value::as_str) {
            Some("group") => match inside("tasks") {
                Some(Value::Array(members)) if step && members.len() == 1 => {
                    (members.first(), true)
                }
                _ => return true,
            },
            Some("chain") => (last(inside("tasks")), true),
            Some("chord") => (inside("body"), false),
            _ => (None, false),
        };
    }
    false
}

fn last(steps: Option<&Value>) -> Option<&Value> {
    steps.and_then(Value::as_array)?.last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canvas::{chain, chord, group, then};

    #[test]
    fn what_comes_last_decides() {
        let task = || Signature::new("t");
        let pair = || group([task(), task()]);
        for (signature, is_group) in [
            (task(), false),
            (pair(), true),
            (chain([task(), pair()]), true),
            (chain([pair(), task()]), false),
            (chain([task(), group([task()])]), false),
            (chain([group([group([task()])])]), false),
            (chain([task(), group([pair()])]), true),
            (then(task(), group([task()])), true),
            (chord([task()], group([task()])), true),
            (chord([task()], pair()), true),
            (chord([pair()], task()), false),
            (
                chain([task(), chord([task()], chain([task(), pair()]))]),
                true,
            ),
        ] {
            assert_eq!(ends_in_group(&signature), is_group, "{signature:?}");
        }
    }
}
