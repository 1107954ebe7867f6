//! The form of a chord's results: a pure function.

use std::collections::HashMap;

use celeriac_protocol::{Exception, ResultTuple, State, Value};

use super::Joined;

/// Puts the results of a header's tasks into the form of the header: a member that is a
/// group becomes one result, the list of its members' values, or its first failure.
///
/// A task that is not among the results counts as failed: its place cannot be left out.
pub fn in_form_of(header: &ResultTuple, results: Vec<Joined>) -> Vec<Joined> {
    let by_id: HashMap<String, Joined> = results
        .into_iter()
        .map(|joined| (joined.task_id.clone(), joined))
        .collect();
    let members = header.children.iter().flatten();
    members.map(|member| one(member, &by_id)).collect()
}

fn one(result: &ResultTuple, by_id: &HashMap<String, Joined>) -> Joined {
    let Some(members) = &result.children else {
        // One task may stand in a header twice.
        let joined = by_id.get(&result.id).cloned();
        return joined.unwrap_or_else(|| missing(&result.id));
    };
    let mut values = Vec::with_capacity(members.len());
    let mut failed = None;
    for member in members {
        let joined = one(member, by_id);
        match joined.state {
            State::Success => values.push(joined.result),
            _ => failed = failed.or(Some(joined)),
        }
    }
    failed.unwrap_or_else(|| Joined {
        task_id: result.id.clone(),
        state: State::Success,
        result: Value::Array(values),
    })
}

fn missing(id: &str) -> Joined {
    let why = Exception::chord_error(&format!("no result of {id} among those of the header"));
    Joined {
        task_id: id.to_owned(),
        state: State::Failure,
        result: why.to_value(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(id: &str, state: State) -> Joined {
        Joined {
            task_id: id.to_owned(),
            state,
            result: id.into(),
        }
    }

    fn header() -> ResultTuple {
        let inner = ResultTuple::group("h", ["b", "c"].map(ResultTuple::new));
        ResultTuple::group("g", [inner, ResultTuple::new("a")])
    }

    #[test]
    fn a_group_among_the_members_becomes_a_list() {
        let results = ["a", "c", "b", "added"].map(|id| joined(id, State::Success));
        let shaped = in_form_of(&header(), results.into());
        assert_eq!(shaped.len(), 2);
        assert_eq!(shaped[0].result, Value::Array(vec!["b".into(), "c".into()]));
        assert_eq!(shaped[1].result, "a".into());
    }

    #[test]
    fn a_task_that_is_there_twice_has_two_results() {
        let header = ResultTuple::group("g", ["a", "a"].map(ResultTuple::new));
        let shaped = in_form_of(&header, vec![joined("a", State::Success)]);
        assert_eq!(
            shaped,
            [joined("a", State::Success), joined("a", State::Success)]
        );
    }

    #[test]
    fn a_failure_stands_for_its_group_and_nothing_is_left_out() {
        let results = vec![
            joined("a", State::Success),
            joined("b", State::Success),
            joined("c", State::Failure),
        ];
        let shaped = in_form_of(&header(), results);
        assert_eq!(
            (shaped[0].task_id.as_str(), &shaped[0].state),
            ("c", &State::Failure)
        );

        let shaped = in_form_of(
            &header(),
            vec![joined("b", State::Success), joined("c", State::Success)],
        );
        assert_eq!(
            (shaped[1].task_id.as_str(), &shaped[1].state),
            ("a", &State::Failure)
        );
    }
}
