#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::UNIX_EPOCH;

use celeriac::canvas::chain;
use celeriac::canvas::plan::plan;

use super::*;

fn call(id: &str) -> Signature {
    Signature::new("t").with_option("task_id", id)
}

fn headers() -> TaskHeaders {
    TaskHeaders {
        id: "me".into(),
        root_id: Some("root".into()),
        group: Some("gid".into()),
        group_index: Some(2),
        ..TaskHeaders::default()
    }
}

fn planner(signature: Signature, rest: Option<Vec<Signature>>) -> Result<Plan> {
    Ok(plan(signature, rest, None, &mut || "new".to_owned())?)
}

fn success(embed: Embed) -> Next {
    on_success(&Value::Int(7), embed, &headers(), &planner).unwrap()
}

fn failure(embed: Embed) -> Next {
    let exception = Exception::python("ValueError", "boom");
    let cause = Cause {
        state: &State::Failure,
        exception: &exception,
        traceback: Some("tb\n"),
        now: UNIX_EPOCH,
        reply_to: Some("mine"),
    };
    on_failure(cause, embed, &headers(), &planner)
}

/// The plain calls of a step, as (id, first argument, group).
fn sends(step: &Step) -> Vec<(String, Value, Option<String>)> {
    let Step::Send { plan, lineage } = step else {
        panic!("a send, not {step:?}")
    };
    assert_eq!(lineage.root_id.as_deref(), Some("root"));
    assert_eq!(lineage.parent_id.as_deref(), Some("me"));
    let send = |send: &celeriac::canvas::plan::Send| {
        let signature = &send.signature;
        let first = signature.args.first().cloned().unwrap_or_default();
        let group = signature.group_id().map(str::to_owned);
        (signature.task_id().unwrap().to_owned(), first, group)
    };
    plan.sends.iter().map(send).collect()
}

fn stored(next: &Next) -> Vec<&str> {
    next.stores
        .iter()
        .map(|store| store.document.task_id.as_str())
        .collect()
}

#[test]
fn one_callback_goes_plainly_two_as_a_group() {
    let embed = Embed {
        callbacks: Some(vec![call("a")]),
        ..Embed::default()
    };
    assert_eq!(
        sends(&success(embed).steps[0]),
        [("a".to_owned(), Value::Int(7), None)]
    );
    let embed = Embed {
        callbacks: Some(vec![call("a"), call("b")]),
        ..Embed::default()
    };
    let next = success(embed);
    assert_eq!(next.steps.len(), 1);
    let group = Some("new".to_owned());
    assert_eq!(
        sends(&next.steps[0]),
        [
            ("a".to_owned(), Value::Int(7), group.clone()),
            ("b".to_owned(), Value::Int(7), group)
        ]
    );
}

#[test]
fn the_chain_is_a_stack_and_its_rest_goes_on() {
    let embed = Embed {
        chain: Some(vec![call("last"), call("next")]),
        ..Embed::default()
    };
    let next = success(embed);
    assert_eq!(sends(&next.steps[0])[0].0, "next");
    let Step::Send { plan, .. } = &next.steps[0] else {
        unreachable!()
    };
    let rest = plan.sends[0].embed.chain.as_ref().unwrap();
    assert_eq!(
        rest.iter()
            .map(|step| step.task_id().unwrap())
            .collect::<Vec<_>>(),
        ["last"]
    );
    assert_eq!(next.children.len(), 1);
    let end = Embed {
        chain: Some(Vec::new()),
        ..Embed::default()
    };
    assert!(success(end).steps.is_empty());
}

#[test]
fn a_member_of_a_header_is_counted_whatever_its_end() {
    let embed = || Embed {
        chord: Some(Box::new(call("body"))),
        ..Embed::default()
    };
    for (next, state) in [
        (success(embed()), State::Success),
        (failure(embed()), State::Failure),
    ] {
        let Step::Join { member, body, .. } = &next.steps[0] else {
            panic!("a join")
        };
        assert_eq!(
            (member.group.as_str(), member.index, &member.state),
            ("gid", Some(2), &state)
        );
        assert_eq!(body.task_id(), Some("body"));
    }
}

#[test]
fn a_failure_ends_the_rest_of_the_chain_and_all_inside_it() {
    let inner = chain([call("in1"), call("in2")]).with_option("task_id", "chain");
    let member = call("member")
        .with_option("group_id", "outer")
        .with_option("chord", Value::from(call("body")));
    let embed = Embed {
        chain: Some(vec![member, inner, call("next")]),
        ..Embed::default()
    };
    let next = failure(embed);
    assert_eq!(stored(&next), ["member", "in1", "in2", "next"]);
    let document = &next.stores[0].document;
    assert_eq!(document.traceback.as_deref(), Some("tb\n"));
    assert_eq!(next.stores[0].reply_to.as_deref(), Some("mine"));
    let Step::Join { member, .. } = &next.steps[0] else {
        panic!("a join")
    };
    assert_eq!(
        (member.task_id.as_str(), member.group.as_str()),
        ("member", "outer")
    );
    assert_eq!(member.state, State::Failure);
}

#[test]
fn errbacks_are_told_the_id_in_a_group() {
    let embed = Embed {
        errbacks: Some(vec![call("e"), call("f").immutable()]),
        ..Embed::default()
    };
    let told = sends(&failure(embed).steps[0]);
    assert_eq!(told[0].1, Value::from("me"));
    assert_eq!(told[1].1, Value::Null);
    assert_eq!(told[0].2.as_deref(), Some("new"));
}

#[test]
fn stamps_are_handed_on_and_own_ones_win() {
    let mut headers = headers();
    headers.stamped_headers = Some(vec!["a".into(), "b".into()]);
    headers.stamps.push("a", 1);
    headers.stamps.push("b", 2);
    let own = call("x")
        .with_option("stamped_headers", vec![Value::from("a")])
        .with_option("a", 9);
    let embed = Embed {
        callbacks: Some(vec![own]),
        ..Embed::default()
    };
    let next = on_success(&Value::Null, embed, &headers, &planner).unwrap();
    let Step::Send { plan, .. } = &next.steps[0] else {
        panic!("a send")
    };
    let options = &plan.sends[0].signature.options;
    assert_eq!(
        (options.get("a"), options.get("b")),
        (Some(&Value::Int(9)), Some(&Value::Int(2)))
    );
}

fn joined(id: &str, state: State, result: Value) -> Joined {
    Joined {
        task_id: id.to_owned(),
        state,
        result,
    }
}

fn lineage() -> Lineage {
    Lineage {
        root_id: Some("root".into()),
        parent_id: Some("me".into()),
    }
}

#[test]
fn a_joined_header_sends_its_body_and_then_says_so() {
    let all = vec![
        joined("a", State::Success, Value::Int(1)),
        joined("b", State::Success, Value::Int(2)),
    ];
    let body = call("body").with_option("chain", vec![Value::from(call("after"))]);
    let next = on_joined("gid", all, body, &lineage(), UNIX_EPOCH, &planner);
    let list = Value::Array(vec![Value::Int(1), Value::Int(2)]);
    assert_eq!(sends(&next.steps[0]), [("body".to_owned(), list, None)]);
    let Step::Send { plan, .. } = &next.steps[0] else {
        unreachable!()
    };
    assert_eq!(plan.sends[0].embed.chain.as_ref().unwrap().len(), 1);
    assert_eq!(next.steps[1], Step::EndJoin("gid".to_owned()));
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
    let next = on_joined("gid", all, body, &lineage(), UNIX_EPOCH, &planner);
    assert_eq!(stored(&next), ["body", "after"]);
    let exception = next.stores[0].document.exception().unwrap();
    assert_eq!(
        exception.repr(),
        r#"ChordError("Dependency b raised ValueError('boom')")"#
    );
    let Step::Send { plan, .. } = &next.steps[0] else {
        panic!("the errback")
    };
    assert_eq!(plan.sends[0].signature.args, [Value::from("body")]);
    assert_eq!(next.steps[1], Step::EndJoin("gid".to_owned()));
}
