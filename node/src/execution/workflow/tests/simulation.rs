//! Random workflows, run message by message without a server, end as their definition
//! says.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::UNIX_EPOCH;

use celeriac::canvas::plan::{self, plan};
use celeriac::canvas::{chain, chord};
use celeriac::protocol::{Body, Codec, ResultTuple};
use proptest::prelude::*;

use super::super::*;

/// A workflow by its definition.
#[derive(Debug, Clone)]
enum Flow {
    /// Returns a list of its name and what it was given, or fails.
    Task(Task),
    Chain(Vec<Flow>),
    Group(Vec<Flow>),
    Chord(Vec<Flow>, Box<Flow>),
}

#[derive(Debug, Clone)]
struct Task {
    name: i64,
    fails: bool,
    immutable: bool,
    linked: bool,
}

/// What a workflow ends with; `None` is a failure.
#[derive(Debug, Clone, PartialEq)]
enum Out {
    One(Option<Value>),
    Many(Vec<Out>),
}

impl Out {
    /// What comes next gets, unless something failed.
    fn value(&self) -> Option<Value> {
        match self {
            Self::One(value) => value.clone(),
            Self::Many(members) => {
                let values: Option<Vec<_>> = members.iter().map(Self::value).collect();
                values.map(Value::Array)
            }
        }
    }
}

/// What tasks return: what they are and what they were given.
fn returned(name: i64, given: impl IntoIterator<Item = Value>) -> Value {
    let mut all = vec![Value::Int(name)];
    all.extend(given);
    Value::Array(all)
}

impl Flow {
    fn number(&mut self, next: &mut i64) {
        match self {
            Self::Task(task) => {
                *next += 1;
                task.name = *next;
            }
            Self::Chain(parts) | Self::Group(parts) => {
                parts.iter_mut().for_each(|part| part.number(next));
            }
            Self::Chord(header, body) => {
                header.iter_mut().for_each(|part| part.number(next));
                body.number(next);
            }
        }
    }

    fn signature(&self) -> Signature {
        let all = |flows: &[Self]| flows.iter().map(Self::signature).collect::<Vec<_>>();
        match self {
            Self::Task(task) => {
                let mut call = Signature::new(if task.fails { "bad" } else { "good" })
                    .kwarg("name", task.name);
                call.immutable = task.immutable;
                if task.linked {
                    let callback = Signature::new("callback").kwarg("name", task.name);
                    call.set_option("link", vec![Value::from(callback)]);
                }
                call
            }
            Self::Chain(steps) => chain(all(steps)),
            Self::Group(members) => group(all(members)),
            Self::Chord(header, body) => chord(all(header), body.signature()),
        }
    }

    /// Groups in groups are one group.
    fn members<'a>(flows: &'a [Self], into: &mut Vec<&'a Self>) {
        for flow in flows {
            let mut flow = flow;
            while let Self::Chain(steps) = flow
                && let [lone] = steps.as_slice()
            {
                flow = lone;
            }
            match flow {
                Self::Group(members) => Self::members(members, into),
                other => into.push(other),
            }
        }
    }

    /// As a step of a chain: there a group of one is its member.
    fn step(&self) -> &Self {
        match self {
            Self::Group(members) if members.len() == 1 => members[0].step(),
            other => other,
        }
    }

    /// Evaluates the definition; `calls` are the callbacks with what they are given.
    fn end(&self, given: Option<&Value>, calls: &mut Vec<(i64, Value)>) -> Out {
        match self {
            Self::Task(task) => {
                if task.fails {
                    return Out::One(None);
                }
                let given = given.filter(|_| !task.immutable).cloned();
                let value = returned(task.name, given);
                if task.linked {
                    calls.push((task.name, value.clone()));
                }
                Out::One(Some(value))
            }
            Self::Chain(steps) => {
                let mut before: Option<Out> = None;
                for step in steps.iter().map(Self::step) {
                    let given = match &before {
                        None => given.cloned(),
                        Some(out) => match out.value() {
                            Some(value) => Some(value),
                            None => {
                                before = Some(step.never());
                                continue;
                            }
                        },
                    };
                    before = Some(step.end(given.as_ref(), calls));
                }
                before.unwrap()
            }
            Self::Group(members) => Self::all(members, given, calls),
            Self::Chord(header, body) => match Self::all(header, given, calls).value() {
                Some(results) => body.end(Some(&results), calls),
                None => body.never(),
            },
        }
    }

    fn all(members: &[Self], given: Option<&Value>, calls: &mut Vec<(i64, Value)>) -> Out {
        let mut flat = Vec::new();
        Self::members(members, &mut flat);
        Out::Many(flat.iter().map(|member| member.end(given, calls)).collect())
    }

    /// What comes of it when what is before it fails.
    fn never(&self) -> Out {
        match self {
            Self::Task(_) => Out::One(None),
            Self::Chain(steps) => steps.last().unwrap().step().never(),
            Self::Group(members) => {
                let mut flat = Vec::new();
                Self::members(members, &mut flat);
                Out::Many(flat.iter().map(|member| member.never()).collect())
            }
            Self::Chord(_, body) => body.never(),
        }
    }
}

/// A chord that is being counted, as the backends do.
#[derive(Default)]
struct Counter {
    size: usize,
    header: Option<ResultTuple>,
    members: BTreeMap<(u32, usize), Joined>,
    done: bool,
}

/// Broker, backend and workers.
struct World {
    ids: usize,
    messages: Vec<(plan::Send, Lineage)>,
    largest: usize,
    counters: HashMap<String, Counter>,
    ran: HashSet<String>,
    results: HashMap<String, Option<Value>>,
    calls: Vec<(i64, Value)>,
    told: Vec<Value>,
}

impl World {
    /// Starts a workflow, and runs messages in an order that `picks` say until none is
    /// left. Returns the workflow's result.
    fn run(workflow: Signature, picks: &[usize]) -> (Self, ResultTuple) {
        let mut world = Self {
            ids: 0,
            messages: Vec::new(),
            largest: 0,
            counters: HashMap::new(),
            ran: HashSet::new(),
            results: HashMap::new(),
            calls: Vec::new(),
            told: Vec::new(),
        };
        let planned = world.with_ids(|planner| planner(workflow, None)).unwrap();
        let result = planned.result.clone();
        world.send(planned, &Lineage::default());
        let mut picks = picks.iter().cycle();
        while !world.messages.is_empty() {
            let at = picks.next().unwrap_or(&0) % world.messages.len();
            let (message, lineage) = world.messages.swap_remove(at);
            world.work(message, &lineage);
        }
        (world, result)
    }

    fn with_ids<T>(&mut self, then: impl FnOnce(Planner<'_>) -> T) -> T {
        let ids = std::cell::Cell::new(self.ids);
        let out = then(&|signature, rest| {
            let mut new_id = || {
                ids.set(ids.get() + 1);
                format!("id-{}", ids.get())
            };
            Ok(plan(signature, rest, None, &mut new_id)?)
        });
        self.ids = ids.get();
        out
    }

    fn send(&mut self, planned: Plan, lineage: &Lineage) {
        for join in planned.joins {
            let counter = self.counters.entry(join.group).or_default();
            counter.size = join.size as usize;
            counter.header = join.header;
        }
        for send in planned.sends {
            let Signature { args, kwargs, .. } = &send.signature;
            let body = Body::encode(Codec::Json, args, kwargs, &send.embed).unwrap();
            self.largest = self.largest.max(body.bytes.len());
            self.messages.push((send, lineage.clone()));
        }
    }

    fn work(&mut self, message: plan::Send, lineage: &Lineage) {
        let plan::Send { signature, embed } = message;
        let id = signature.task_id().unwrap().to_owned();
        let headers = TaskHeaders {
            id: id.clone(),
            task: signature.task.clone(),
            group: signature.group_id().map(str::to_owned),
            group_index: signature.group_index(),
            root_id: lineage.root_id.clone().or_else(|| Some(id.clone())),
            parent_id: lineage.parent_id.clone(),
            ..TaskHeaders::default()
        };
        assert!(self.ran.insert(id.clone()), "{id} ran twice");
        let name = signature.kwargs.get("name").and_then(Value::as_i64);
        let next = match signature.task.as_str() {
            "bad" => {
                self.store(&id, None);
                let exception = Exception::python("ValueError", "boom");
                let cause = Cause {
                    state: &State::Failure,
                    exception: &exception,
                    traceback: None,
                    now: UNIX_EPOCH,
                    reply_to: None,
                };
                self.with_ids(|planner| on_failure(cause, embed, &headers, planner))
            }
            "callback" => {
                self.calls
                    .push((name.unwrap(), signature.args.first().cloned().unwrap()));
                Next::default()
            }
            "errback" => {
                self.told.push(signature.args.first().cloned().unwrap());
                Next::default()
            }
            _ => {
                let value = returned(name.unwrap(), signature.args);
                self.store(&id, Some(value.clone()));
                self.with_ids(|planner| on_success(&value, embed, &headers, planner))
                    .unwrap()
            }
        };
        self.follow(next);
    }

    fn store(&mut self, id: &str, value: Option<Value>) {
        let before = self.results.insert(id.to_owned(), value);
        assert!(before.is_none_or(|value| value.is_none()), "{id} had ended");
    }

    fn follow(&mut self, next: Next) {
        for store in next.stores {
            self.store(&store.document.task_id, None);
        }
        for step in next.steps {
            match step {
                // These workers have no errbacks of their own: all are told by message.
                Step::Send { plan, lineage } | Step::Tell { plan, lineage, .. } => {
                    self.send(plan, &lineage);
                }
                Step::Join {
                    member,
                    body,
                    lineage,
                } => self.join(*member, &body, &lineage),
                Step::SendBody {
                    claim,
                    plan,
                    lineage,
                } => {
                    self.counters.get_mut(&claim.group).unwrap().done = true;
                    self.send(plan, &lineage);
                }
                Step::BreakJoin(group) => self.counters.get_mut(&group).unwrap().done = true,
                other @ (Step::Call { .. } | Step::EndJoin(_)) => {
                    panic!("{other:?} comes of doing a step, not of planning one")
                }
            }
        }
    }

    fn join(&mut self, member: Member, body: &Signature, lineage: &Lineage) {
        let counter = self.counters.get_mut(&member.group).unwrap();
        assert!(!counter.done, "{member:?} counts in what has ended");
        let place = (member.index.unwrap_or(u32::MAX), counter.members.len());
        let claim = member.claim();
        let joined = Joined {
            task_id: member.task_id,
            state: member.state,
            result: member.result,
        };
        counter.members.insert(place, joined);
        assert!(
            counter.members.len() <= counter.size,
            "too many in a header"
        );
        if counter.members.len() < counter.size {
            return;
        }
        let entries: Vec<_> = counter.members.values().cloned().collect();
        let all = match &counter.header {
            Some(header) => in_form(header, &entries),
            None => entries,
        };
        let next = self.with_ids(|planner| {
            on_joined(
                &claim.group,
                Some(claim.clone()),
                all,
                body,
                lineage,
                UNIX_EPOCH,
                planner,
            )
        });
        self.follow(next);
    }

    /// Returns what a result has come to; nothing may be without an end.
    fn out(&self, result: &ResultTuple) -> Out {
        match &result.children {
            None => Out::One(match self.results.get(&result.id) {
                Some(value) => value.clone(),
                None => panic!("{} has no end", result.id),
            }),
            Some(members) => Out::Many(members.iter().map(|member| self.out(member)).collect()),
        }
    }
}

/// Puts results into the form of the header; a failure stays what it is.
fn in_form(header: &ResultTuple, entries: &[Joined]) -> Vec<Joined> {
    if let Some(failed) = entries.iter().find(|entry| entry.state != State::Success) {
        return vec![failed.clone()];
    }
    fn value(result: &ResultTuple, entries: &[Joined]) -> Value {
        match &result.children {
            Some(members) => members
                .iter()
                .map(|member| value(member, entries))
                .collect::<Vec<_>>()
                .into(),
            None => entries
                .iter()
                .find(|entry| entry.task_id == result.id)
                .unwrap()
                .result
                .clone(),
        }
    }
    let one = |member: &ResultTuple| Joined {
        task_id: member.id.clone(),
        state: State::Success,
        result: value(member, entries),
    };
    header.children.iter().flatten().map(one).collect()
}

fn flows(failures: bool) -> impl Strategy<Value = Flow> {
    let task = (0..12_u8, any::<bool>(), 0..4_u8).prop_map(move |(fails, immutable, linked)| {
        Flow::Task(Task {
            name: 0,
            fails: failures && fails == 0,
            immutable,
            linked: linked == 0,
        })
    });
    let whole = task.prop_recursive(4, 24, 4, |inner| {
        let some = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            some().prop_map(Flow::Chain),
            some().prop_map(Flow::Group),
            (some(), inner.clone()).prop_map(|(header, body)| Flow::Chord(header, body.into())),
        ]
    });
    whole.prop_map(|mut flow| {
        flow.number(&mut 0);
        flow
    })
}

fn check(flow: &Flow, workflow: Signature, picks: &[usize]) -> (World, Out) {
    let (mut world, result) = World::run(workflow, picks);
    let mut calls = Vec::new();
    let expected = flow.end(None, &mut calls);
    assert_eq!(world.out(&result), expected);
    calls.sort_by_key(|(name, _)| *name);
    world.calls.sort_by_key(|(name, _)| *name);
    assert_eq!(world.calls, calls);
    for (group, counter) in &world.counters {
        assert!(counter.done, "{group} waits for ever");
    }
    (world, expected)
}

/// More cases than these are asked for by `PROPTEST_CASES`.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig {
        cases: config.cases.max(300),
        failure_persistence: None,
        ..config
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn workflows_end_as_they_are_defined(
        flow in flows(false),
        picks in prop::collection::vec(0..1000_usize, 1..20),
    ) {
        check(&flow, flow.signature(), &picks);
    }

    /// Whatever fails: whoever waits hears of it, and the error callback of the whole is
    /// called if and only if the whole fails.
    #[test]
    fn failures_reach_everything_that_waits(
        flow in flows(true),
        picks in prop::collection::vec(0..1000_usize, 1..20),
    ) {
        let errback = Value::from(Signature::new("errback"));
        let workflow = flow.signature().with_option("link_error", errback);
        let (world, end) = check(&flow, workflow, &picks);
        assert_eq!(world.told.is_empty(), end.value().is_some(), "{:?}", world.told);
    }

    /// A workflow that was written and read is the same workflow.
    #[test]
    fn workflows_survive_the_wire(flow in flows(true)) {
        let signature = flow.signature();
        let bytes = Codec::Json.to_vec(&signature).unwrap();
        let read: Signature = Codec::Json.from_slice(&bytes, "signature").unwrap();
        prop_assert_eq!(read, signature);
    }
}

/// A chain of chords costs its length in bytes, at every step of its way.
#[test]
fn a_chain_of_chords_grows_linearly() {
    let chords = |count: usize| {
        let task = || {
            Flow::Task(Task {
                name: 0,
                fails: false,
                immutable: true,
                linked: false,
            })
        };
        let header = || Flow::Group(vec![task(), task(), task()]);
        let one = |_| [header(), task()];
        let mut chain = Flow::Chain((0..count).flat_map(one).collect());
        let mut bodies = task();
        for _ in 0..count {
            let body = Flow::Chain(vec![task(), bodies]);
            bodies = Flow::Chord(vec![task(), task(), task()], body.into());
        }
        chain.number(&mut 0);
        bodies.number(&mut 0);
        [chain, bodies].map(|flow| check(&flow, flow.signature(), &[0]).0.largest)
    };
    let [one, four, sixteen] = [1, 4, 16].map(chords);
    for shape in [0, 1] {
        let step = (four[shape] - one[shape]) / 3;
        let most = one[shape] + 17 * step;
        assert!(sixteen[shape] <= most, "{one:?} {four:?} {sixteen:?}");
    }
}
