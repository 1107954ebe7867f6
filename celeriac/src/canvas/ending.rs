//! What a workflow ends in.

use celeriac_protocol::{Signature, Value};

use super::Kind;

/// Tells whether a workflow ends in a group: its result is many results.
///
/// # Example
///
/// ```
/// use celeriac::canvas::{chain, ends_in_group, group};
/// use celeriac::Signature;
///
/// let add = || Signature::new("demo.add");
/// assert!(ends_in_group(&chain([add(), group([add(), add()])])));
/// assert!(!ends_in_group(&chain([group([add()]), add()])));
/// ```
pub fn ends_in_group(signature: &Signature) -> bool {
    match Kind::of(signature) {
        Kind::Task => false,
        Kind::Group => true,
        Kind::Chain => last_step(signature.kwargs.get("tasks")).is_some_and(value_ends_in_group),
        Kind::Chord => signature
            .kwargs
            .get("body")
            .is_some_and(value_ends_in_group),
    }
}

/// As [`ends_in_group`], of a signature that nobody has read yet.
fn value_ends_in_group(signature: &Value) -> bool {
    // A loop: what is nested deeper than anybody may nest is refused when it is planned.
    let mut present = Some(signature);
    while let Some(map) = present.and_then(Value::as_map) {
        let kwargs = map.get("kwargs").and_then(Value::as_map);
        present = match map.get("subtask_type").and_then(Value::as_str) {
            Some("group") => return true,
            Some("chain") => last_step(kwargs.and_then(|kwargs| kwargs.get("tasks"))),
            Some("chord") => kwargs.and_then(|kwargs| kwargs.get("body")),
            _ => None,
        };
    }
    false
}

fn last_step(steps: Option<&Value>) -> Option<&Value> {
    match steps {
        Some(Value::Array(steps)) => steps.last(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canvas::{chain, chord, group};

    #[test]
    fn what_comes_last_decides() {
        let task = || Signature::new("t");
        let pair = || group([task(), task()]);
        for (signature, is_group) in [
            (task(), false),
            (pair(), true),
            (chain([task(), pair()]), true),
            (chain([pair(), task()]), false),
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
