#![allow(clippy::unwrap_used)]

mod answers;
mod changes;
mod lists;
mod revocations;
mod settings;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use celeriac::broker::{Receipt, Settlement};
use celeriac::protocol::compression::Compression;
use celeriac::protocol::control::Signal;
use celeriac::protocol::{Codec, Exception, Message, Properties, TaskHeaders, Value, json, repr};
use celeriac::routing::{QueueType, TaskQueue};
use celeriac::task::{Context, DeliveryInfo, RateLimit, Request as TaskRequest};
use celeriac::{App, control, task};
use tokio::sync::mpsc;

use super::*;
use crate::config::{Autoscale, Config};
use crate::job::{Claim, Job, Stage, Stop};
use crate::shared::Command;
use crate::shutdown::Wish;

#[task(name = "demo.add")]
async fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task(name = "demo.limited", rate_limit = "10/m")]
async fn limited() {}

fn office() -> (Arc<Shared>, mpsc::Receiver<Command>) {
    office_of(Config {
        concurrency: 2,
        ..Config::default()
    })
}

fn office_of(config: Config) -> (Arc<Shared>, mpsc::Receiver<Command>) {
    let app = App::builder("test")
        .broker("memory://")
        .backend("memory://")
        .task(add)
        .task(limited);
    let config = Config {
        name: "w1@vm".to_owned(),
        ..config
    };
    let (sender, receiver) = mpsc::channel(8);
    let handle = tokio::runtime::Handle::current();
    (
        Shared::new(app.build().unwrap(), config, handle, sender),
        receiver,
    )
}

/// A request that real Celery sent, and the payload that a real worker answered.
fn captured(name: &str) -> (Request, Option<Value>) {
    let path = format!(
        "{}/../protocol/tests/golden/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let case: Value = json::from_slice(&std::fs::read(path).unwrap(), "case").unwrap();
    let messages = case
        .as_map()
        .unwrap()
        .get("messages")
        .unwrap()
        .as_array()
        .unwrap();
    let bodies = messages.iter().map(|message| {
        let message = message.as_map().unwrap();
        let exchange = message.get("exchange").unwrap().as_str().unwrap();
        (
            exchange,
            message
                .get("body_utf8")
                .unwrap()
                .as_str()
                .unwrap_or_default(),
        )
    });
    let (mut request, mut reply) = (None, None);
    for (exchange, body) in bodies {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let message = Message {
            body,
            ..Message::default()
        };
        match exchange {
            naming::CONTROL_EXCHANGE => request = Some(Request::from_message(&message).unwrap()),
            naming::REPLY_EXCHANGE => reply = Some(Reply::from_message(&message).unwrap().payload),
            _ => {}
        }
    }
    (request.unwrap(), reply)
}

fn ask(shared: &Arc<Shared>, method: &str, arguments: &str) -> Option<Value> {
    run(shared, &request(method, arguments))
}

fn request(method: &str, arguments: &str) -> Request {
    Request {
        method: method.to_owned(),
        arguments: json::from_slice(arguments.as_bytes(), "arguments").unwrap(),
        ..Request::default()
    }
}

/// What is answered at once.
fn run(shared: &Arc<Shared>, request: &Request) -> Option<Value> {
    match command::run(shared, request, &Arc::new(Semaphore::new(1))) {
        command::Reply::Now(payload) => payload,
        command::Reply::Later(..) => panic!("{} answers later", request.method),
    }
}

/// What is answered, at once or later.
async fn answered(shared: &Arc<Shared>, request: &Request) -> Option<Value> {
    match command::run(shared, request, &Arc::new(Semaphore::new(1))) {
        command::Reply::Now(payload) => payload,
        command::Reply::Later(payload, _) => payload.await,
    }
}

async fn asked(shared: &Arc<Shared>, method: &str, arguments: &str) -> Option<Value> {
    answered(shared, &request(method, arguments)).await
}

fn text(value: Option<Value>) -> String {
    repr::python(&value.unwrap())
}

/// Puts a job there that a client sent as `demo.add(args)`.
fn job(shared: &Arc<Shared>, id: &str, body: &'static str, started: bool) -> Claim {
    let claim = job_with(shared, id, body, |_| {});
    if started {
        claim.start();
    }
    claim
}

fn job_with(
    shared: &Arc<Shared>,
    id: &str,
    body: &'static str,
    change: impl FnOnce(&mut TaskHeaders),
) -> Claim {
    let mut headers = TaskHeaders {
        id: id.to_owned(),
        task: "demo.add".to_owned(),
        argsrepr: Some("(1,)".to_owned()),
        kwargsrepr: Some("{'y': 2}".to_owned()),
        ..TaskHeaders::default()
    };
    change(&mut headers);
    let request = TaskRequest {
        headers,
        properties: Properties {
            content_type: Some(Codec::Json.content_type().to_owned()),
            content_encoding: Some("utf-8".to_owned()),
            ..Properties::default()
        },
        delivery: DeliveryInfo {
            routing_key: "celery".to_owned(),
            priority: Some(0),
            ..DeliveryInfo::default()
        },
        hostname: shared.name().to_owned(),
    };
    let context = Context::new(shared.app.clone(), request);
    let serial = shared.jobs.next_serial();
    let mut job = Job::new(serial, context, "celery".into(), None, Receipt::settled());
    job.body = Bytes::from_static(body.as_bytes());
    let job = Arc::new(job);
    shared.jobs.insert(Arc::clone(&job));
    Claim::new(job, Arc::clone(&shared.jobs))
}

fn known(shared: &Shared) -> Vec<String> {
    shared.revoked.ids(std::time::Instant::now())
}
