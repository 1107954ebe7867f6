//! Workflows become the messages that Celery's client sends for them.

use celeriac::Call;
use celeriac::canvas::plan::plan;
use celeriac::canvas::{chain, chord, group};
use celeriac::protocol::{Signature, Table, Value};

use crate::fixtures::{captured, comparable, sent, sig};

fn add<const N: usize>(args: [i64; N]) -> Signature {
    sig("demo.add", args)
}

fn mul<const N: usize>(args: [i64; N]) -> Signature {
    sig("demo.mul", args)
}

fn tsum() -> Signature {
    sig("demo.tsum", [])
}

fn echo() -> Signature {
    sig("demo.echo", [])
}

fn old() -> Signature {
    sig("demo.err_old", [])
}

fn call(signature: Signature) -> Call<Value> {
    signature.into()
}

fn with(mut signature: Signature, key: &str, value: impl Into<Value>) -> Signature {
    signature.options.insert(key, value);
    signature
}

/// A task over items: `celery.map` or `celery.starmap`.
fn over(kind: &str, task: &str, items: &[&[i64]]) -> Signature {
    let items = items
        .iter()
        .map(|item| Value::Array(item.iter().map(|&n| n.into()).collect()));
    let mut signature = Signature::new(format!("celery.{kind}"))
        .kwarg("task", Value::from(Signature::new(task)))
        .kwarg("it", items.collect::<Vec<_>>());
    signature.subtask_type = Some(kind.to_owned());
    signature
}

fn partial(mut signature: Signature, arg: i64) -> Signature {
    signature.args.insert(0, arg.into());
    signature
}

#[test]
fn plain_workflows_are_sent_as_celery_sends_them() {
    let cases = [
        ("chain", chain([add([1, 2]), mul([3]), add([4])])),
        (
            "chain_immutable",
            chain([
                add([1, 2]),
                add([5, 6]).immutable(),
                sig("demo.noop", []).immutable(),
            ]),
        ),
        (
            "chain_link",
            call(chain([add([1, 2]), mul([3])])).link(echo()).into(),
        ),
        (
            "chain_link_error",
            call(chain([add([1, 2]), mul([3])]))
                .link_error(sig("demo.err_new", []))
                .into(),
        ),
        (
            "chain_on_error_each",
            chain([call(add([1, 2])).link_error(old()).into(), mul([3])]),
        ),
        (
            "chunks",
            group([
                over("starmap", "demo.add", &[&[0, 0], &[1, 1]]),
                over("starmap", "demo.add", &[&[2, 2], &[3, 3]]),
                over("starmap", "demo.add", &[&[4, 4]]),
            ]),
        ),
        ("group", group([add([1, 1]), add([2, 2]), mul([3, 3])])),
        (
            "group_countdown",
            with(group([add([1, 1]), add([2, 2])]), "countdown", 5.0),
        ),
        (
            "group_partial_args",
            partial(group([add([10]), mul([20])]), 5),
        ),
        ("group_single", group([add([1, 1])])),
        ("map", over("map", "demo.add", &[&[1, 2], &[3, 4]])),
        (
            "nested_callback_link",
            call(add([1, 2])).link(call(mul([2])).link(echo())).into(),
        ),
        (
            "sig_with_link_immutable",
            call(add([1, 2]))
                .link(mul([7, 8]).immutable())
                .link_error(old())
                .into(),
        ),
        ("starmap", over("starmap", "demo.add", &[&[1, 2], &[3, 4]])),
        ("tsum_map", over("map", "demo.tsum", &[&[1, 2], &[3, 4]])),
    ];
    for (case, signature) in cases {
        check(&format!("canvas/{case}"), signature);
    }
}

#[test]
fn chords_and_nested_workflows_are_sent_as_celery_sends_them() {
    let pair = || [add([1, 1]), add([2, 2])];
    let cases = [
        (
            "chain_link_error_with_chord",
            call(chain([add([1, 1]), group([add([2]), mul([3])]), tsum()]))
                .link_error(old())
                .into(),
        ),
        (
            "chain_of_groups",
            chain([
                group(pair()),
                tsum(),
                group([add([1]), mul([2])]),
                tsum(),
                add([100]),
            ]),
        ),
        ("chord", chord(pair(), tsum())),
        (
            "chord_body_chain",
            chord(pair(), chain([tsum(), add([1]), mul([2])])),
        ),
        ("chord_body_group", chord(pair(), group([tsum(), echo()]))),
        (
            "chord_countdown",
            with(chord(pair(), tsum()), "countdown", 5.0),
        ),
        ("chord_empty", chord(Vec::<Signature>::new(), tsum())),
        (
            "chord_immutable_body",
            chord(pair(), sig("demo.noop", []).immutable()),
        ),
        (
            "chord_link_error",
            chord(pair(), call(tsum()).link_error(old())),
        ),
        (
            "chord_of_chains",
            chord(
                [
                    chain([add([1, 1]), mul([2])]),
                    chain([add([2, 2]), mul([3])]),
                ],
                tsum(),
            ),
        ),
        ("chord_one", chord([add([1, 1])], tsum())),
        (
            "chord_options_queue",
            chord(
                [
                    with(add([1, 1]), "queue", "q1"),
                    with(add([2, 2]), "priority", 3),
                ],
                with(with(tsum(), "queue", "q2"), "priority", 7),
            ),
        ),
        (
            "chunks_group_chord",
            chain([
                group([
                    over("starmap", "demo.add", &[&[1, 1], &[2, 2]]),
                    over("starmap", "demo.add", &[&[3, 3]]),
                ]),
                tsum(),
            ]),
        ),
        ("delay", add([2, 3])),
        ("group", group(pair())),
        (
            "group_of_chain_with_group",
            group([
                chain([add([1, 1]), group([add([2]), mul([3])])]),
                add([5, 5]),
            ]),
        ),
        (
            "group_of_chains",
            group([
                chain([add([1, 1]), mul([2])]),
                chain([add([2, 2]), mul([3])]),
            ]),
        ),
        ("group_then_task", chain([group(pair()), tsum()])),
        (
            "nested_chord",
            chord([chord(pair(), tsum()), add([3, 3])], tsum()),
        ),
        ("serialized_group_delay", group([add([1, 1]), mul([2, 2])])),
        (
            "starmap_chord",
            chord([over("starmap", "demo.add", &[&[1, 1], &[2, 2]])], tsum()),
        ),
        (
            "task_group_task_chain",
            chain([add([1, 1]), group([add([2]), mul([3])]), tsum(), add([1])]),
        ),
        (
            "task_then_group",
            chain([add([1, 1]), group([add([2]), mul([3])])]),
        ),
    ];
    for (case, signature) in cases {
        check(&format!("canvas_redis_backend/{case}"), signature);
    }
}

fn check(case: &str, signature: Signature) {
    let (ours, theirs) = (comparable(&sent(signature)), comparable(&captured(case)));
    assert!(!theirs.is_empty(), "{case} has no messages");
    let differ = ours
        .lines()
        .zip(theirs.lines())
        .find(|(ours, theirs)| ours != theirs);
    assert!(
        ours == theirs,
        "{case}: {differ:?}\nours:\n{ours}\ntheirs:\n{theirs}"
    );
}

/// Celery turns the order of a group in a header around; here it stays.
#[test]
fn a_group_in_a_header_keeps_its_order() {
    let workflow = chord([group([add([1, 1]), add([2, 2])]), add([3, 3])], tsum());
    let plan = numbered(workflow, None);
    let args: Vec<_> = plan
        .sends
        .iter()
        .map(|send| send.signature.args[0].clone())
        .collect();
    assert_eq!(args, [1.into(), 2.into(), 3.into()]);
    assert_eq!(plan.joins[0].size, 3);
}

fn numbered(signature: Signature, rest: Option<Vec<Signature>>) -> celeriac::canvas::Plan {
    let mut next = 0;
    plan(signature, rest, None, &mut || {
        next += 1;
        format!("id-{next}")
    })
    .unwrap()
}

#[test]
fn counters_hold_what_redis_was_told() {
    for (signature, sizes) in [
        (chord([add([1, 1]), add([2, 2])], tsum()), vec![2]),
        (
            chord([chain([add([1]), mul([2])]), add([3])], tsum()),
            vec![2],
        ),
        (
            chord(
                [chain([add([1]), group([mul([2]), mul([3])])]), add([4])],
                tsum(),
            ),
            vec![3],
        ),
        (
            chord(
                [chord([add([1]), add([2]), add([3])], tsum()), add([3])],
                tsum(),
            ),
            vec![3, 2],
        ),
        (chord(Vec::<Signature>::new(), tsum()), vec![]),
        (
            chain([add([1]), group([add([2]), add([3])]), tsum()]),
            vec![],
        ),
    ] {
        let plan = numbered(signature, None);
        let found: Vec<_> = plan.joins.iter().map(|join| join.size).collect();
        assert_eq!(found, sizes);
    }
}

#[test]
fn a_chord_is_seen_wherever_it_hides() {
    let pair = || group([add([1]), add([2])]);
    for (signature, has_chord) in [
        (add([1]), false),
        (chain([add([1]), pair()]), false),
        (chord(Vec::<Signature>::new(), tsum()), false),
        (chain([add([1]), pair(), tsum()]), true),
        (group([chain([add([1]), pair(), tsum()])]), true),
        (chord([add([1])], chain([tsum(), pair(), tsum()])), true),
    ] {
        assert_eq!(numbered(signature, None).has_chord, has_chord);
    }
}

#[test]
fn the_result_is_that_of_the_last_part() {
    let task = numbered(chain([add([1]), call(mul([2])).id("last").into()]), None);
    assert_eq!(
        (task.result.id.as_str(), &task.result.children),
        ("last", &None)
    );
    assert!(task.result.parent.is_some());
    let named = numbered(call(chain([add([1]), mul([2])])).id("mine").into(), None);
    assert_eq!(named.result.id, "mine");
    assert_eq!(
        named.sends[0].embed.chain.as_ref().unwrap()[0].task_id(),
        Some("mine")
    );
    let chord = numbered(call(chord([add([1])], tsum())).id("body").into(), None);
    assert_eq!(chord.result.id, "body");
    let header = chord.result.parent.as_ref().unwrap();
    assert_eq!(header.children.as_ref().map(Vec::len), Some(1));
    let group = numbered(
        chain([add([1]), group([mul([2]), chain([mul([3]), mul([4])])])]),
        None,
    );
    assert_eq!(group.result.children.as_ref().map(Vec::len), Some(2));
    let empty = numbered(celeriac::canvas::group(Vec::<Signature>::new()), None);
    assert_eq!(
        (empty.result.children, empty.sends.len()),
        (Some(vec![]), 0)
    );
}

#[test]
fn empty_groups_and_groups_of_one_vanish_in_chains() {
    let none = || group(Vec::<Signature>::new());
    let plan = numbered(chain([none(), add([1, 2]), none(), mul([3])]), None);
    let chain_of = plan.sends[0].embed.chain.as_ref().unwrap();
    assert_eq!((plan.sends.len(), chain_of.len()), (1, 1));
    let plan = numbered(chain([none(), none()]), None);
    assert_eq!(plan.sends.len(), 0);
    let one = |call: Signature| group([group([call])]);
    let plan = numbered(chain([one(add([1, 2])), one(mul([3]))]), None);
    let [send] = plan.sends.as_slice() else {
        panic!("{plan:?}")
    };
    let behind = &send.embed.chain.as_ref().unwrap()[0];
    assert_eq!(
        (&*send.signature.task, &*behind.task),
        ("demo.add", "demo.mul")
    );
    assert_eq!(plan.result.children, None);
    assert_eq!(Some(&*plan.result.id), behind.task_id());
    // What was said of the group counts.
    let told = call(group([mul([3])])).link_error(old());
    let plan = numbered(chain([add([1, 2]), told.into()]), None);
    let behind = &plan.sends[0].embed.chain.as_ref().unwrap()[0];
    assert_eq!(behind.link_error(), Some(vec![old()]));
}

/// Who builds a group of so many members as there are gets a list, also of one, wherever
/// the group stands and whoever reads it next.
#[test]
fn a_typed_group_of_one_stays_a_group() {
    let one = || call(group([mul([3])]));
    let before = numbered(one().then(call(tsum())).into(), None);
    assert_eq!(before.joins[0].size, 1);
    let between = call(add([1, 2])).then(one()).then(call(tsum()));
    let behind = numbered(between.into(), None).sends.remove(0).embed.chain;
    let behind = numbered(behind.unwrap().remove(0), None);
    assert_eq!(behind.joins[0].size, 1);
    let last = || call(add([1, 2])).then(one());
    let plan = numbered(last().into(), None);
    assert_eq!(plan.result.children.as_ref().map(Vec::len), Some(1));
    let body = numbered(chord([add([1])], last()), None).sends.remove(0);
    let body = numbered(*body.embed.chord.unwrap(), None);
    assert_eq!(body.result.children.as_ref().map(Vec::len), Some(1));
    assert_eq!(
        body.sends[0].embed.chain.as_ref().unwrap()[0].task,
        "celery.group"
    );
}

#[test]
fn what_follows_goes_on_from_a_surrounding_chain() {
    // As a worker does with the next element of `embed.chain` and those left over.
    let rest = || {
        Some(vec![
            with(mul([9]), "task_id", "z"),
            with(tsum(), "task_id", "y"),
        ])
    };
    let plan = numbered(group([add([1]), add([2])]), rest());
    let body = plan.sends[0].embed.chord.as_ref().unwrap();
    assert_eq!(body.task, "demo.tsum");
    assert_eq!(body.chain().unwrap()[0].task_id(), Some("z"));
    assert_eq!(plan.joins.len(), 1);

    let plan = numbered(add([1]), rest());
    assert_eq!(plan.sends[0].embed.chain.as_ref().unwrap().len(), 2);
    let plan = numbered(add([1]), Some(vec![]));
    assert_eq!(plan.sends[0].embed.chain, Some(vec![]));

    let plan = numbered(chord([add([1])], group([tsum(), echo()])), rest());
    let body = plan.sends[0].embed.chord.as_ref().unwrap();
    assert_eq!(body.subtask_type.as_deref(), Some("chain"), "{body:?}");
}

#[test]
fn what_was_planned_can_be_planned_again() {
    // A later step is planned by whoever runs the one before; nothing changes its ids.
    let first = numbered(
        chain([add([1]), group([mul([2]), mul([3])]), tsum(), mul([4])]),
        None,
    );
    let mut chain_of = first.sends[0].embed.chain.clone().unwrap();
    let next = chain_of.pop().unwrap();
    let again = plan(
        celeriac::canvas::with_previous(next, 7.into()),
        Some(chain_of),
        None,
        &mut || unreachable!("every part has its id"),
    )
    .unwrap();
    assert_eq!(again.sends.len(), 2);
    assert_eq!(again.sends[1].signature.args, [7.into(), 3.into()]);
    assert_eq!(again.sends[1].signature.group_index(), Some(1));
    let body = again.sends[0].embed.chord.as_ref().unwrap();
    assert_eq!(
        body.chain().unwrap()[0].task_id(),
        Some(first.result.id.as_str())
    );
}

#[test]
fn a_chain_of_nothing_vanishes() {
    let nothing = || chain(Vec::<Signature>::new());
    let members = numbered(
        group([nothing(), add([1, 2]), nothing(), add([3, 4])]),
        None,
    );
    let indexes = |plan: &celeriac::canvas::Plan| -> Vec<_> {
        let index = |send: &celeriac::canvas::plan::Send| send.signature.group_index();
        plan.sends.iter().map(index).collect()
    };
    assert_eq!(indexes(&members), [Some(0), Some(1)]);
    let header = numbered(chord([nothing(), add([1, 1])], tsum()), None);
    assert_eq!((header.sends.len(), header.joins[0].size), (1, 1));
    let body = numbered(chord([nothing()], tsum()), None);
    assert_eq!(body.sends[0].signature.args, [Value::Array(vec![])]);
    let steps = numbered(chain([nothing(), add([10])]), None);
    assert_eq!(
        (steps.sends.len(), steps.sends[0].signature.args.len()),
        (1, 1)
    );
}

/// Not in a chain, where what is empty is left out, but behind a group of nothing: who
/// builds a group of so many members as there are, may have none.
#[test]
fn what_is_behind_an_empty_group_gets_an_empty_list() {
    let nothing = call(group(Vec::<Signature>::new()));
    let plan = numbered(nothing.then(call(tsum())).into(), None);
    assert_eq!(plan.sends[0].signature.args, [Value::Array(vec![])]);
}

/// A group that was a part of one header and becomes another counts in the other.
#[test]
fn members_count_in_the_header_that_they_are_in() {
    let body = with(group([add([1]), add([2])]), "task_id", "body");
    let first = numbered(chord([add([1])], body), None);
    let body = first.sends[0].embed.chord.clone().unwrap();
    let then = numbered(*body, Some(vec![with(tsum(), "task_id", "then")]));
    assert_eq!(then.joins[0].group, "body");
    for send in &then.sends {
        assert_eq!(send.signature.group_id(), Some("body"));
    }
}

/// What every step of a chain calls when it fails, is called when none of them starts.
#[test]
fn the_error_callbacks_of_a_body_survive_the_wire() {
    let steps = || {
        let own = call(add([1])).link_error(echo());
        chain([own.into(), mul([2])])
    };
    let body: Signature = call(steps()).link_error(old()).into();
    for workflow in [
        chord([add([1])], body),
        call(chord([add([1])], steps())).link_error(old()).into(),
    ] {
        let body = numbered(workflow, None).sends[0]
            .embed
            .chord
            .clone()
            .unwrap();
        assert_eq!(body.subtask_type.as_deref(), Some("chain"));
        assert_eq!(body.link_error(), Some(vec![old()]));
        let sent = numbered(*body, None);
        let errbacks = sent.sends[0].embed.errbacks.as_ref().unwrap();
        assert_eq!(errbacks, &[echo(), old()]);
    }
}

#[test]
fn a_group_has_no_result_to_link_to() {
    // From the wire it can come all the same; then each member calls it.
    let sent = numbered(
        with(group([add([1]), add([2])]), "link", Value::from(echo())),
        None,
    );
    for send in &sent.sends {
        assert_eq!(send.embed.callbacks, Some(vec![echo()]));
    }
}

#[test]
fn malformed_workflows_are_refused() {
    let mut deep = add([1]);
    for _ in 0..70 {
        deep = group([deep]);
    }
    let mut bad = group([add([1])]);
    bad.kwargs.insert("tasks", 5);
    let mut wrong = chain([add([1])]);
    wrong.kwargs.insert("tasks", vec![Value::Map(Table::new())]);
    for (signature, text) in [
        (
            chain(Vec::<Signature>::new()),
            "celery.chain: expected at least one step, found none",
        ),
        (
            bad,
            "celery.group: expected a list of signatures, found an integer",
        ),
        (
            wrong,
            "celery.chain, signature, task: expected a task name, found none",
        ),
        (deep, "workflow: expected at most 64 levels, found more"),
    ] {
        let error = plan(signature, None, None, &mut String::new).unwrap_err();
        assert_eq!(error.to_string(), text);
    }
}
