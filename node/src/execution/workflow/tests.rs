#![allow(clippy::unwrap_used, clippy::panic)]

mod chords;
mod simulation;

use std::time::UNIX_EPOCH;

use celeriac::canvas::plan::plan;
use celeriac::canvas::{chain, chord};

use celeriac::protocol::ResultDocument;

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
    ended(
        &State::Failure,
        Exception::python("ValueError", "boom"),
        embed,
    )
}

fn ended(state: &State, exception: Exception, embed: Embed) -> Next {
    let cause = Cause {
        state,
        exception: &exception,
        traceback: Some("tb\n"),
        now: UNIX_EPOCH,
        reply_to: Some("mine"),
    };
    on_failure(cause, embed, &headers(), &planner)
}

/// The plain calls of a step, as (id, first argument, group).
fn claim() -> Claim {
    Claim {
        group: "gid".into(),
        task_id: "b".into(),
        index: Some(1),
    }
}

fn sends(step: &Step) -> Vec<(String, Value, Option<String>)> {
    let (Step::Send { plan, lineage }
    | Step::SendBody { plan, lineage, .. }
    | Step::Tell { plan, lineage, .. }) = step
    else {
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

/// S18: the chord and the steps behind hear of it, error callbacks do not.
#[test]
fn nobody_is_called_for_a_task_that_was_called_off() {
    let embed = Embed {
        errbacks: Some(vec![call("e")]),
        chain: Some(vec![
            call("z").with_option("link_error", Value::from(call("e"))),
        ]),
        chord: Some(Box::new(call("b"))),
        ..Embed::default()
    };
    let next = ended(&State::Revoked, Exception::task_revoked("expired"), embed);
    let (Some(Step::Join { member, .. }), 1) = (next.steps.front(), next.steps.len()) else {
        panic!("{:?}", next.steps)
    };
    assert_eq!(member.state, State::Revoked);
    assert_eq!(stored(&next), ["z"]);
    assert_eq!(next.stores[0].document.status, State::Revoked);
}

#[test]
fn an_errback_that_is_here_is_told_all() {
    let embed = Embed {
        errbacks: Some(vec![call("e"), call("f").arg("label")]),
        ..Embed::default()
    };
    let next = failure(embed);
    let Step::Tell {
        plan,
        lineage,
        failure,
    } = &next.steps[0]
    else {
        panic!("errbacks")
    };
    let known = (failure.id.as_str(), failure.root_id.as_deref());
    assert_eq!(known, ("me", Some("root")));
    let boom = Exception::python("ValueError", "boom");
    assert_eq!(failure.exception, Some(boom));
    assert_eq!(failure.traceback.as_deref(), Some("tb\n"));
    let here = |one: &Signature| one.task_id() == Some("f");
    let next = on_telling(plan.clone(), lineage, failure, here);
    let Step::Call { errbacks, .. } = &next.steps[0] else {
        panic!("a call")
    };
    assert_eq!(errbacks[0].args, [Value::from("label")]);
    assert_eq!(sends(&next.steps[1]).len(), 1);
    assert_eq!(
        on_telling(plan.clone(), lineage, failure, |_| false)
            .steps
            .len(),
        1
    );
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

#[test]
fn a_group_among_callbacks_goes_as_it_is() {
    let embed = Embed {
        callbacks: Some(vec![
            call("a"),
            group([call("b"), call("c")]).with_option("task_id", "own"),
            call("d"),
        ]),
        ..Embed::default()
    };
    let next = success(embed);
    let groups = |step: &Step| -> Vec<_> {
        let sends = sends(step).into_iter();
        sends.map(|(id, _, group)| (id, group.unwrap())).collect()
    };
    let pair = |id: &str, group: &str| (id.to_owned(), group.to_owned());
    assert_eq!(groups(&next.steps[0]), [pair("b", "own"), pair("c", "own")]);
    assert_eq!(groups(&next.steps[1]), [pair("a", "new"), pair("d", "new")]);
}
