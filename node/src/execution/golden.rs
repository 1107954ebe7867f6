//! What a node stores and sends is what Celery's worker stored and sent, in runs that were
//! captured from it. Each task ends as it ended there.
#![allow(clippy::unwrap_used, clippy::panic)]

mod capture;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, UNIX_EPOCH};

use celeriac::App;
use celeriac::backend::{Joined, Member, Store};
use celeriac::broker::Receipt;
use celeriac::canvas::{Plan, group, plan};
use celeriac::producer::{Defaults, Lineage, publication};
use celeriac::protocol::task::Limits;
use celeriac::protocol::{Codec, Exception, Message, Signature, Table, TaskMessage, Value, json};
use celeriac::routing::Routing;
use celeriac::task::{Context, DeliveryInfo, Registry, Request, TaskOptions};

use self::capture::{Case, Shown, WORKER, get, message_of, shown, text};
use super::outcome::{Again, Limit, Outcome, Revocation};
use super::report::{Facts, report};
use super::republish;
use super::workflow::{Step, on_joined, on_telling};
use crate::job::Job;

fn job(message: Message) -> Job {
    let task = TaskMessage::decode(message, &Limits::default()).unwrap();
    let request = Request {
        headers: task.headers,
        properties: task.properties,
        delivery: DeliveryInfo::default(),
        hostname: "n@h".into(),
    };
    let context = Context::new(App::builder("test").build().unwrap(), request);
    let mut job = Job::new(1, context, "celery".into(), None, Receipt::settled());
    job.body = task.body;
    job
}

/// A broker, a backend and a node, where tasks end as they were captured.
struct World<'a> {
    case: &'a Case,
    ids: std::cell::RefCell<VecDeque<String>>,
    ends: HashMap<String, VecDeque<Value>>,
    waiting: Vec<Message>,
    counted: HashMap<String, Vec<Member>>,
    sent: Vec<Message>,
    stored: Vec<Store>,
}

impl<'a> World<'a> {
    fn run(case: &'a Case) -> Self {
        let mut ends: HashMap<String, VecDeque<Value>> = HashMap::new();
        for document in case.documents() {
            let id = text(&document, "task_id").to_owned();
            ends.entry(id).or_default().push_back(document);
        }
        let client = case.client();
        let mut world = Self {
            case,
            ids: case.new_ids().into(),
            ends,
            waiting: case
                .tasks(true)
                .map(|one| message_of(one, &client))
                .collect(),
            counted: HashMap::new(),
            sent: Vec::new(),
            stored: Vec::new(),
        };
        while !world.waiting.is_empty() {
            let id = |message: &Message| {
                let id = message.headers.get("id").and_then(Value::as_str);
                case.rank(id.unwrap())
            };
            let (first, _) = world
                .waiting
                .iter()
                .enumerate()
                .min_by_key(|(_, one)| id(one))
                .unwrap();
            let message = world.waiting.remove(first);
            world.work(message);
        }
        world
    }

    fn plan(&self, signature: Signature, rest: Option<Vec<Signature>>) -> celeriac::Result<Plan> {
        // Those of errbacks that are called without a message are seen nowhere.
        let unseen = || "unseen".to_owned();
        let mut new_id = || self.ids.borrow_mut().pop_front().unwrap_or_else(unseen);
        Ok(plan::plan(signature, rest, Some(WORKER), &mut new_id)?)
    }

    fn work(&mut self, message: Message) {
        let job = job(message);
        let body = job.open(&Limits::default()).unwrap();
        let parts = body.parts().unwrap();
        let args = parts.args.iter().map(|raw| raw.to_value().unwrap());
        let outcome = self.outcome(&job, &args.collect::<Vec<_>>());
        let facts = Facts {
            headers: job.headers(),
            properties: job.properties(),
            options: &TaskOptions::default(),
            now: UNIX_EPOCH,
            runtime: Duration::ZERO,
            children: Vec::new(),
            stores: true,
            redelivered: false,
            acknowledged: false,
            keeps: false,
            events: false,
            plan: &|signature, rest| self.plan(signature, rest),
            again: &|again| republish::again(&job, again, &Limits::default()),
        };
        let report = report(outcome, parts.embed, facts);
        if let Some(again) = report.before {
            self.send(again.message);
        }
        self.stored.extend(report.stores);
        report.steps.into_iter().for_each(|step| self.follow(step));
    }

    /// How the task ended there.
    fn outcome(&mut self, job: &Job, args: &[Value]) -> Outcome {
        let headers = job.headers();
        let add = |x: &Value, y: i64| Signature::new("demo.add").arg(x.clone()).arg(y);
        match headers.task.as_str() {
            "demo.replace_me" => return Outcome::Replace(Box::new(add(&args[0], 100))),
            "demo.replace_group" => {
                let with = group([add(&args[0], 1), add(&args[0], 2)]);
                return Outcome::Replace(Box::new(with));
            }
            _ => {}
        }
        let end = self.ends.get_mut(&headers.id).and_then(VecDeque::pop_front);
        let end = end.unwrap_or_else(|| panic!("{} has no end", headers.id));
        let exception = Exception::from_value(get(&end, "result")).ok();
        match (text(&end, "status"), exception) {
            ("SUCCESS", _) => Outcome::Success(get(&end, "result").clone()),
            ("RETRY", exception) => Outcome::Retry(Again {
                at: UNIX_EPOCH,
                exception,
                causes: Vec::new(),
                args: None,
                kwargs: None,
                options: Table::new(),
            }),
            ("REVOKED", _) => Outcome::Revoked(Revocation::Expired),
            (_, Some(exception)) => match exception.exc_type.as_str() {
                "TimeLimitExceeded" => Outcome::TimedOut {
                    limit: Limit::Hard,
                    after: Duration::from_secs(1),
                },
                "Reject" => Outcome::Reject {
                    reason: "no reason".into(),
                    requeue: false,
                },
                "NotRegistered" => Outcome::Unknown,
                _ => Outcome::Failure {
                    exception,
                    causes: Vec::new(),
                },
            },
            (state, None) => panic!("{state} of nothing"),
        }
    }

    fn follow(&mut self, step: Step) {
        match step {
            Step::Send { plan, lineage } | Step::SendBody { plan, lineage, .. } => {
                self.publish(plan, &lineage)
            }
            Step::Tell {
                plan,
                lineage,
                failure,
            } => {
                let here = |errback: &Signature| errback.task == "demo.err_new";
                let next = on_telling(plan, &lineage, &failure, here);
                next.steps.into_iter().for_each(|step| self.follow(step));
            }
            // It sends nothing.
            Step::Call { .. } => {}
            Step::Join {
                member,
                body,
                lineage,
            } => {
                let group = member.group.clone();
                let counted = self.counted.entry(group.clone()).or_default();
                counted.push(*member);
                if counted.len() < self.case.counted(&group) {
                    return;
                }
                counted.sort_by_key(|member| member.index);
                let joined = counted.iter().map(|member| Joined {
                    task_id: member.task_id.clone(),
                    state: member.state.clone(),
                    result: member.result.clone(),
                });
                let joined = joined.collect();
                let plan = |signature, rest| self.plan(signature, rest);
                let next = on_joined(&group, None, joined, &body, &lineage, UNIX_EPOCH, &plan);
                self.stored.extend(next.stores);
                next.steps.into_iter().for_each(|step| self.follow(step));
            }
            Step::BreakJoin(_) => {}
            other @ Step::EndJoin(_) => {
                panic!("{other:?} comes of doing a step, not of planning one")
            }
        }
    }

    fn publish(&mut self, plan: Plan, lineage: &Lineage) {
        let defaults = Defaults {
            queue: "celery".into(),
            serializer: Codec::Json,
            compression: None,
            persistent: true,
            origin: "gen1@here".into(),
            reply_to: WORKER.into(),
        };
        for send in plan.sends {
            let (routing, registry) = (Routing::default(), Registry::default());
            let (call, embed) = (send.signature, &send.embed);
            let sent = publication(
                call, embed, lineage, &defaults, &routing, &registry, UNIX_EPOCH,
            );
            self.send(sent.unwrap().message);
        }
    }

    fn send(&mut self, message: Message) {
        self.sent.push(message.clone());
        self.waiting.push(message);
    }
}

/// What a node does otherwise on purpose: why, where, and the field that shows it.
const OTHERWISE: [(&str, &[&str], &str); 6] = [
    (
        "the body of a chord names its group also when it fails before it runs",
        &[
            "results_redis/chord_failing_header",
            "results_redis/chord_failing_header_errback",
        ],
        "group_id",
    ),
    (
        "error callbacks of a chord whose body never ran have the workflow's root",
        &["results_redis/chord_failing_header_errback"],
        "root_id",
    ),
    (
        "what replaces a task answers to who waits for the task",
        &[
            "results_redis/replace",
            "results_redis/replace_group",
            "results_rpc/replace",
        ],
        "reply_to",
    ),
    (
        "what collects a group that replaces a task names its group, as every chord's body",
        &["results_redis/replace_group"],
        "group_id",
    ),
    (
        "the same, in its message",
        &["results_redis/replace_group"],
        "group",
    ),
    (
        "a task that asks to run again without an error has nothing to trace",
        &[
            "results_redis/retry_then_success",
            "results_rpc/retry_then_success",
        ],
        "traceback",
    ),
];

impl Case {
    fn theirs(&self, without: &[&str]) -> Shown {
        let client = self.client();
        let sent = self.tasks(false).map(|one| message_of(one, &client));
        let mut shown = shown(&sent.collect::<Vec<_>>(), &self.documents(), without);
        if self.name.ends_with("hard_time_limit") {
            // Its end is stored there once for the failure and once for the limit.
            shown.values_mut().for_each(Vec::dedup);
        }
        shown
    }

    fn ours(&self, without: &[&str]) -> Shown {
        let world = World::run(self);
        let stored = world.stored.iter().map(|store| {
            let bytes = json::to_vec(&store.document).unwrap();
            json::from_slice(&bytes, "document").unwrap()
        });
        shown(&world.sent, &stored.collect::<Vec<_>>(), without)
    }
}

fn check(folder: &str, names: &[&str]) {
    for name in names {
        let case = Case::read(&format!("{folder}/{name}"));
        let here = |(_, cases, _): &&(&str, &[&str], &str)| cases.contains(&&*case.name);
        let otherwise: Vec<_> = OTHERWISE.iter().filter(here).collect();
        let fields = || otherwise.iter().map(|(_, _, field)| *field);
        let without: Vec<_> = fields().collect();
        let (ours, theirs) = (case.ours(&without), case.theirs(&without));
        assert_eq!(ours, theirs, "{}", case.name);
        for (why, _, field) in &otherwise {
            let others: Vec<_> = fields().filter(|other| other != field).collect();
            let same = case.ours(&others) == case.theirs(&others);
            assert!(!same, "{}: no longer so: {why}", case.name);
        }
    }
}

#[tokio::test]
async fn workflows_go_on_as_on_celerys_worker() {
    let names = [
        "chain",
        "chain_failing",
        "chain_of_groups",
        "chord",
        "chord_body_chain",
        "chord_body_group",
        "chord_failing_header",
        "chord_failing_header_errback",
        "chord_of_chains",
        "nested_chord",
    ];
    check("results_redis", &names);
    let names = [
        "callback_link",
        "callback_link_two",
        "chain",
        "chain_failing",
        "errback_new",
        "errback_old",
        "task_then_group",
    ];
    check("results_rpc", &names);
}

#[tokio::test]
async fn tasks_are_replaced_and_run_again_as_on_celerys_worker() {
    let names = ["replace", "replace_group", "retry_then_success"];
    check("results_redis", &names);
    let names = [
        "autoretry_backoff",
        "replace",
        "retry_then_success",
        "retry_until_failed",
    ];
    check("results_rpc", &names);
}

#[tokio::test]
async fn tasks_end_as_on_celerys_worker() {
    let names = [
        "failure",
        "hard_time_limit",
        "revoked_expired",
        "stamped",
        "success",
        "unregistered",
    ];
    check("results_redis", &names);
    let names = [
        "expired",
        "failure",
        "failure_custom_exc",
        "hard_time_limit",
        "reject",
        "special_types",
        "stamped",
        "success",
        "unregistered",
    ];
    check("results_rpc", &names);
}
