#![allow(clippy::unwrap_used)]

use std::sync::atomic::AtomicU32;

use celeriac::broker::{Receipt, Settlement, Settler, Tag};
use celeriac::protocol::event::EventKind;
use celeriac::protocol::{Properties, TaskHeaders};
use celeriac::task::{Context, DeliveryInfo, Request};
use celeriac::{App, task};

use super::*;
use crate::config::Config;
use crate::job::Job;

static RUNS: AtomicU32 = AtomicU32::new(0);

#[task]
async fn counts() {
    RUNS.fetch_add(1, Ordering::SeqCst);
}

/// Settles nothing: the connection is gone.
struct Gone;

impl Settler for Gone {
    fn settle(&self, _: Tag, _: Settlement) {}

    fn is_current(&self, _: Tag) -> bool {
        false
    }
}

fn node() -> Arc<Shared> {
    let app = App::builder("test")
        .broker("memory://")
        .backend("memory://")
        .task(counts);
    let config = Config {
        events: true,
        ..Config::default()
    };
    let work = tokio::runtime::Handle::current();
    Shared::new(app.build().unwrap(), config, work, mpsc::channel(1).0)
}

fn intake(shared: &Arc<Shared>) -> Intake {
    let (back, due) = mpsc::channel(8);
    Intake {
        shared: Arc::clone(shared),
        queue: "celery".into(),
        state: Arc::default(),
        waiting: VecDeque::new(),
        back,
        due,
    }
}

fn claim(shared: &Arc<Shared>, headers: TaskHeaders, receipt: Receipt) -> Claim {
    let headers = TaskHeaders {
        task: "counts".to_owned(),
        ..headers
    };
    let request = Request {
        headers,
        properties: Properties {
            content_type: Some("application/json".to_owned()),
            content_encoding: Some("utf-8".to_owned()),
            ..Properties::default()
        },
        delivery: DeliveryInfo::default(),
        hostname: shared.name().to_owned(),
    };
    let context = Context::new(shared.app.clone(), request);
    let handler = shared.app.registry().get("counts").cloned();
    let serial = shared.jobs.next_serial();
    let mut job = Job::new(serial, context, "celery".into(), handler, receipt);
    job.body = "[[], {}, {}]".into();
    let job = Arc::new(job);
    shared.jobs.insert(Arc::clone(&job));
    Claim::new(job, Arc::clone(&shared.jobs))
}

fn named(id: &str) -> TaskHeaders {
    TaskHeaders {
        id: id.to_owned(),
        ..TaskHeaders::default()
    }
}

#[tokio::test]
async fn jobs_of_a_lost_connection_do_not_wait_for_a_place() {
    let shared = node();
    let mut intake = intake(&shared);
    for id in ["a", "b"] {
        let (epoch, number) = (1, 1);
        let void = Receipt::new(Tag { epoch, number }, Arc::new(Gone));
        intake.admit(claim(&shared, named(id), void));
    }
    intake.admit(claim(&shared, named("c"), Receipt::settled()));
    assert_eq!(intake.waiting.len(), 3);
    assert!(intake.take(Vec::new()).is_empty());
    let left: Vec<_> = intake.waiting.iter().map(|claim| claim.id()).collect();
    assert_eq!(left, ["c"]);
    assert_eq!(shared.counters.requeued.get(), 2);
}

#[tokio::test]
async fn what_stays_here_is_told_once() {
    let shared = node();
    let mut intake = intake(&shared);
    let soon = clock::now() + Duration::from_millis(900);
    let expired = TaskHeaders {
        expires: Some(Timestamp::from(clock::now() - Duration::from_secs(1))),
        ..named("expired")
    };
    let parked = TaskHeaders {
        eta: Some(Timestamp::from(clock::now() + Duration::from_secs(60))),
        ..named("parked")
    };
    let held = TaskHeaders {
        eta: Some(Timestamp::from(soon)),
        ..named("held")
    };
    for headers in [expired, parked, held, named("plain")] {
        intake.admit(claim(&shared, headers, Receipt::settled()));
    }
    // Before its message is parked, too.
    let scheduled = shared.parked.waiting(clock::now());
    let ids: Vec<_> = scheduled.iter().map(|task| &*task.id).collect();
    assert_eq!(ids, ["parked"]);
    // It is looked at again, and has to wait a little more.
    let held = shared.timetable.drain().pop().unwrap();
    assert_eq!(held.id(), "held");
    intake.admit(held);

    let mut told = Vec::new();
    while let Ok(event) = shared.events.receiver.lock().await.try_recv() {
        if let EventKind::TaskReceived(received) = event.kind {
            told.push(received.uuid.clone());
        }
    }
    assert_eq!(told, ["held", "plain"]);
}

#[tokio::test]
async fn a_task_that_was_called_off_a_moment_before_it_starts_does_not() {
    let shared = node();
    for (id, runs) in [("called off", 0), ("free", 1)] {
        let claim = claim(&shared, named(id), Receipt::settled());
        shared
            .revoked
            .add(["called off".to_owned()], std::time::Instant::now());
        let slot = shared.slots.try_take().unwrap();
        execute(Arc::clone(&shared), claim, slot).await;
        assert_eq!(RUNS.load(Ordering::SeqCst), runs, "{id}");
    }
}
