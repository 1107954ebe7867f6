//! Headers that are joined, and chords that break.

use super::*;

fn joined(id: &str, state: State, result: Value) -> Joined {
    Joined {
        task_id: id.to_owned(),
        state,
        result,
    }
}

fn lineage() -> Lineage {
    Lineage {
        trace: None,
        root_id: Some("root".into()),
        parent_id: Some("me".into()),
    }
}

#[test]
fn a_joined_header_sends_its_body() {
    let all = vec![
        joined("a", State::Success, Value::Int(1)),
        joined("b", State::Success, Value::Int(2)),
    ];
    let body = call("body").with_option("chain", vec![Value::from(call("after"))]);
    let next = on_joined(
        "gid",
        Some(claim()),
        all,
        &body,
        &lineage(),
        UNIX_EPOCH,
        &planner,
    );
    let list = Value::Array(vec![Value::Int(1), Value::Int(2)]);
    assert_eq!(sends(&next.steps[0]), [("body".to_owned(), list, None)]);
    let Step::SendBody { plan, .. } = &next.steps[0] else {
        unreachable!()
    };
    assert_eq!(plan.sends[0].embed.chain.as_ref().unwrap().len(), 1);
    assert_eq!(next.steps.len(), 1);
}

#[test]
fn a_failed_header_fails_its_body_and_what_follows_it() {
    let error = Exception::python("ValueError", "boom").to_value();
    let all = vec![
        joined("a", State::Success, Value::Int(1)),
        joined("b", State::Failure, error),
    ];
    let body = call("body")
        .with_option("chain", vec![Value::from(call("after"))])
        .with_option("link_error", vec![Value::from(call("errback"))]);
    let next = on_joined(
        "gid",
        Some(claim()),
        all,
        &body,
        &lineage(),
        UNIX_EPOCH,
        &planner,
    );
    assert_eq!(stored(&next), ["body", "after"]);
    let exception = next.stores[0].document.exception().unwrap();
    assert_eq!(
        exception.repr(),
        r#"ChordError("Dependency b raised ValueError('boom')")"#
    );
    let Step::Tell { plan, .. } = &next.steps[0] else {
        panic!("the errback")
    };
    assert_eq!(plan.sends[0].signature.args, [Value::from("body")]);
    assert_eq!(next.steps[1], Step::BreakJoin("gid".to_owned()));
    // The error callback is a child of the body, as clients look for it.
    assert_eq!(
        next.stores[0].document.children,
        Some(vec![plan.result.without_parents().into()])
    );
    assert_eq!(
        next.stores[1].document.children,
        ResultDocument::new("", State::Failure, Value::Null).children
    );
}

fn broken() -> Broken {
    let error = Exception::python("ValueError", "boom");
    Broken::by("b", &error.to_value())
}

fn told(next: &Next) -> Vec<(String, Value)> {
    let sends = next.steps.iter().filter_map(|step| match step {
        Step::Tell { plan, .. } => Some(&plan.sends),
        _ => None,
    });
    let one = |send: &celeriac::canvas::plan::Send| {
        let first = send.signature.args.first().cloned();
        (send.signature.task.clone(), first.unwrap_or_default())
    };
    sends.flatten().map(one).collect()
}

/// Each member of a group as body fails with the header's own error and tells its own
/// error callbacks and the group's, each once.
#[test]
fn a_group_as_body_fails_member_by_member() {
    let errback = |name: &str| Value::from(Signature::new(name));
    let inner = chord(
        [call("header")],
        call("x").with_option("link_error", vec![errback("own")]),
    );
    let body = group([
        inner,
        call("y").with_option("link_error", vec![errback("own"), errback("both")]),
    ])
    .with_option("task_id", "group")
    .with_option("link_error", errback("both"))
    .with_option("chain", vec![Value::from(call("after"))]);
    let next = on_chord_error(&broken(), &body, &lineage(), UNIX_EPOCH, &planner);
    assert_eq!(stored(&next), ["header", "x", "y", "after"]);
    let kinds: Vec<_> = next
        .stores
        .iter()
        .map(|store| store.document.exception().unwrap().exc_type)
        .collect();
    assert_eq!(
        kinds,
        ["ValueError", "ValueError", "ValueError", "ChordError"]
    );
    assert_eq!(
        told(&next),
        [
            ("own".to_owned(), Value::from("x")),
            ("both".to_owned(), Value::from("x")),
            ("own".to_owned(), Value::from("y")),
            ("both".to_owned(), Value::from("y")),
        ]
    );
}

/// A chain as body tells its own error callbacks; those of its steps belong to the steps.
#[test]
fn a_group_as_body_fails_alike_with_steps_behind_it() {
    let inner = chord([call("x"), call("y")], call("z"));
    let body = chain([inner, call("after")]);
    let next = on_chord_error(&broken(), &body, &lineage(), UNIX_EPOCH, &planner);
    assert_eq!(stored(&next), ["x", "y", "z", "after"]);
    let ends = next.stores.iter().map(|store| store.document.exception());
    let kinds: Vec<_> = ends.map(|end| end.unwrap().exc_type).collect();
    assert_eq!(
        kinds,
        ["ValueError", "ValueError", "ChordError", "ChordError"]
    );
}

#[test]
fn a_chain_as_body_fails_as_a_whole() {
    let body = chain([
        call("x").with_option("link_error", Value::from(Signature::new("step"))),
        call("y"),
    ])
    .with_option("link_error", Value::from(Signature::new("whole")));
    let next = on_chord_error(&broken(), &body, &lineage(), UNIX_EPOCH, &planner);
    assert_eq!(stored(&next), ["x", "y"]);
    assert_eq!(told(&next), [("whole".to_owned(), Value::from("y"))]);
    let [first, last] = [0, 1].map(|at| next.stores[at].document.children.clone());
    assert_eq!(last.map(|children| children.len()), Some(1));
    assert_ne!(first.map(|children| children.len()), Some(1));
}

/// Guarantee S29: the failure of a chord in a header is the failure of the chord around
/// it; an error callback that both have is called once.
#[test]
fn a_broken_chord_breaks_the_one_around_it() {
    let errback = |name: &str| Value::from(Signature::new(name));
    let outer = call("outer").with_option("link_error", vec![errback("both"), errback("mine")]);
    let inner = call("inner")
        .with_option("group_id", "outer-gid")
        .with_option("group_index", 1)
        .with_option("chord", Value::from(outer))
        .with_option("link_error", vec![errback("both")]);
    let next = on_chord_error(&broken(), &inner, &lineage(), UNIX_EPOCH, &planner);
    assert_eq!(told(&next), [("both".to_owned(), Value::from("inner"))]);
    let Some(Step::Join { member, body, .. }) = next.steps.back() else {
        panic!("a join")
    };
    assert_eq!(
        (member.group.as_str(), member.index),
        ("outer-gid", Some(1))
    );
    let all = vec![
        joined("a", State::Success, Value::Int(1)),
        joined("inner", State::Failure, member.result.clone()),
    ];
    let next = on_joined(
        "outer-gid",
        Some(claim()),
        all,
        body,
        &lineage(),
        UNIX_EPOCH,
        &planner,
    );
    assert_eq!(told(&next), [("mine".to_owned(), Value::from("outer"))]);
    let exception = next.stores[0].document.exception().unwrap();
    assert!(
        exception
            .repr()
            .contains("Dependency inner raised ChordError("),
        "{exception:?}"
    );
}

/// Nobody waits for the header of a chord that never began; the body counts where it is.
#[test]
fn a_chord_that_never_begins_counts_once() {
    let outer = Value::from(call("outer"));
    let stale = |id: &str| call(id).with_option("chord", Value::from(call("body")));
    let body = call("body")
        .with_option("group_id", "outer-gid")
        .with_option("chord", outer);
    let embed = Embed {
        chain: Some(vec![chord([stale("h1"), stale("h2")], body)]),
        ..Embed::default()
    };
    let next = failure(embed);
    assert_eq!(stored(&next), ["h1", "h2", "body"]);
    assert_eq!(next.steps.len(), 1);
    assert!(matches!(&next.steps[0], Step::Join { member, .. } if member.task_id == "body"));
}
