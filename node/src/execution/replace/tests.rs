#![allow(clippy::unwrap_used)]

use celeriac::App;
use celeriac::canvas::plan::Plan;
use celeriac::canvas::{chain, chord, group};

use super::*;

fn headers() -> TaskHeaders {
    TaskHeaders {
        task: "t".into(),
        id: "own".into(),
        group: Some("g".into()),
        group_index: Some(2),
        replaced_task_nesting: 1,
        ..TaskHeaders::default()
    }
}

fn properties() -> Properties {
    Properties {
        reply_to: Some("caller".into()),
        ..Properties::default()
    }
}

fn add() -> Signature {
    Signature::new("add")
}

fn plan(with: Signature, embed: Embed) -> Plan {
    let (with, rest) = replacement(with, embed, &headers(), &properties()).unwrap();
    let app = App::builder("test").build().unwrap();
    app.plan(with, rest).unwrap()
}

fn embed() -> Embed {
    Embed {
        callbacks: Some(vec![Signature::new("callback")]),
        errbacks: Some(vec![Signature::new("errback")]),
        chain: None,
        chord: Some(Box::new(Signature::new("body"))),
    }
}

fn tasks(signatures: Option<&Vec<Signature>>) -> Vec<&str> {
    let signatures = signatures.into_iter().flatten();
    signatures.map(|one| one.task.as_str()).collect()
}

#[tokio::test]
async fn a_task_takes_over_the_whole_place() {
    let plan = plan(add().with_option("link", Value::from(add())), embed());
    assert_eq!(plan.result.id, "own");
    let [send] = plan.sends.as_slice() else {
        panic!("one message")
    };
    let signature = &send.signature;
    assert_eq!(signature.task_id(), Some("own"));
    assert_eq!(
        (signature.group_id(), signature.group_index()),
        (Some("g"), Some(2))
    );
    assert_eq!(signature.reply_to(), Some("caller"));
    assert_eq!(
        signature.option("replaced_task_nesting"),
        Some(&Value::from(2))
    );
    assert_eq!(tasks(send.embed.callbacks.as_ref()), ["add", "callback"]);
    assert_eq!(tasks(send.embed.errbacks.as_ref()), ["errback"]);
    assert_eq!(
        send.embed.chord.as_ref().map(|body| body.task.as_str()),
        Some("body")
    );
    assert_eq!(send.embed.chain, None);
}

#[tokio::test]
async fn the_last_of_a_chain_has_the_id_and_the_rest_follows() {
    let embed = Embed {
        chain: Some(vec![Signature::new("last"), Signature::new("next")]),
        ..Embed::default()
    };
    let frozen = add().with_option("task_id", "of an earlier call");
    let plan = plan(chain([Signature::new("first"), frozen]), embed);
    let [send] = plan.sends.as_slice() else {
        panic!("one message")
    };
    let rest = send.embed.chain.as_ref();
    assert_eq!(tasks(rest), ["last", "next", "add"]);
    let added = rest.and_then(|rest| rest.last()).unwrap();
    assert_eq!(
        (added.task_id(), added.group_id()),
        (Some("own"), Some("g"))
    );
    for step in rest.into_iter().flatten().chain([&send.signature]) {
        let nesting = step.option("replaced_task_nesting");
        assert_eq!(nesting, Some(&Value::from(2)), "{step:?}");
    }
}

#[tokio::test]
async fn a_group_is_collected_under_the_id() {
    let with = |with: Signature| plan(with, embed());
    for plan in [
        with(group([add(), add()])),
        with(chain([add(), group([add(), add()])])),
        with(chord([add()], group([add(), add()]))),
    ] {
        assert!(plan.has_chord);
        assert_eq!(
            (plan.result.id.as_str(), plan.result.children.is_some()),
            ("own", false)
        );
    }
    let plan = with(group([add(), add()]));
    let body = plan.sends[0].embed.chord.as_ref().unwrap();
    assert_eq!(
        (body.task.as_str(), body.task_id()),
        ("celery.accumulate", Some("own"))
    );
    assert_eq!(tasks(body.link().as_ref()), ["callback"]);
    assert_eq!(body.chord().map(|body| body.task).as_deref(), Some("body"));
    assert_eq!(body.kwargs.get("index"), Some(&Value::from(0)));
}

#[test]
fn what_cannot_replace_a_task_says_so() {
    let part = add().with_option("chord", Value::from(add()));
    for with in [chain(Vec::<Signature>::new()), part] {
        let error = replacement(with, Embed::default(), &headers(), &properties()).unwrap_err();
        assert_eq!(error.exc_type, "ImproperlyConfigured");
    }
}
