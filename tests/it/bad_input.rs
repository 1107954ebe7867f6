//! Bad input stops nothing. Guarantees S10 and S11.

use std::time::Duration;

use bytes::Bytes;
use celeriac::broker::{Publication, Subscription, Topology};
use celeriac::protocol::{Message, Properties, Table, Value, naming};
use celeriac::{App, Error, State};
use celeriac_tests::eventually::eventually;
use celeriac_tests::program::Program;
use celeriac_tests::servers;

const PATIENCE: Duration = Duration::from_secs(60);

struct Case {
    what: &'static str,
    message: Message,
    /// What the reason on the dead letter says; `None` when it is no dead letter.
    dead: Option<&'static str>,
    /// The exception that is stored as FAILURE; `None` when nothing is.
    stored: Option<&'static str>,
}

fn message(id: &str, change: impl FnOnce(&mut Message)) -> Message {
    let mut headers = Table::new();
    headers.push("lang", "py");
    headers.push("task", "demo.add");
    headers.push("id", id);
    let mut message = Message {
        properties: Properties {
            content_type: Some("application/json".to_owned()),
            content_encoding: Some("utf-8".to_owned()),
            delivery_mode: Some(2),
            ..Properties::default()
        },
        headers,
        body: Bytes::from_static(b"[[2, 3], {}, null]"),
    };
    change(&mut message);
    message
}

fn cases(queue: &str) -> Vec<Case> {
    let case = |what, dead, stored, change: &dyn Fn(&mut Message)| {
        let message = message(&format!("{what} {queue}"), change);
        Case {
            what,
            message,
            dead,
            stored,
        }
    };
    vec![
        case("garbage bytes", Some("body"), Some("DecodeError"), &|m| {
            m.body = Bytes::from_static(b"\x00\xff\xfe garbage");
        }),
        case("no task at all", Some("task"), None, &|m| {
            m.headers = Table::new()
        }),
        case(
            "content type missing",
            Some("content type"),
            Some("ContentDisallowed"),
            &|m| {
                m.properties.content_type = None;
            },
        ),
        case(
            "content type pickle",
            Some("pickle"),
            Some("ContentDisallowed"),
            &|m| {
                m.properties.content_type = Some("application/x-python-serialize".to_owned());
            },
        ),
        case(
            "compression unknown",
            Some("compression"),
            Some("ContentDisallowed"),
            &|m| {
                m.headers.insert("compression", "application/x-nothing");
            },
        ),
        case(
            "unknown task",
            Some("demo.nowhere"),
            Some("NotRegistered"),
            &|m| {
                m.headers.insert("task", "demo.nowhere");
            },
        ),
        case(
            "argument of a wrong type",
            Some("TypeError"),
            Some("TypeError"),
            &|m| {
                m.body = Bytes::from_static(b"[[\"two\", 3], {}, null]");
            },
        ),
        case(
            "argument missing",
            Some("TypeError"),
            Some("TypeError"),
            &|m| {
                m.body = Bytes::from_static(b"[[2], {}, null]");
            },
        ),
        case(
            "argument too many",
            Some("TypeError"),
            Some("TypeError"),
            &|m| {
                m.body = Bytes::from_static(b"[[2, 3, 4], {}, null]");
            },
        ),
        case(
            "body of two elements",
            Some("body"),
            Some("DecodeError"),
            &|m| {
                m.body = Bytes::from_static(b"[[2, 3], {}]");
            },
        ),
        case("body empty", Some("body"), Some("DecodeError"), &|m| {
            m.body = Bytes::new()
        }),
        case("body of 64 MiB", Some("body"), Some("DecodeError"), &|m| {
            m.body = Bytes::from(vec![b' '; 64 * 1024 * 1024]);
        }),
        case("eta unreadable", Some("eta"), None, &|m| {
            m.headers.insert("eta", "tomorrow")
        }),
        case("eta of a wrong type", Some("eta"), None, &|m| {
            m.headers.insert("eta", 7_i64)
        }),
        case("headers of wrong types", Some("header"), None, &|m| {
            m.headers.insert("timelimit", "soon");
            m.headers.insert("group", Value::Array(vec![Value::Int(1)]));
        }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_message_gets_its_answer_and_the_node_goes_on() {
    let (amqp, redis) = (servers::amqp_url(), servers::redis_url());
    let queue = format!("bad-{}", uuid::Uuid::new_v4());
    let mut node = Program::node(&format!("node@{queue}"), &amqp, &redis, &["-Q", &queue]).await;
    let app = App::builder("test")
        .broker(&amqp)
        .backend(&redis)
        .default_queue(&queue)
        .build()
        .unwrap();
    let broker = app.broker();
    broker.declare(&Topology::task_queue(&queue)).await.unwrap();
    let mut dead = broker
        .consume(Subscription::new(naming::dead_queue(&queue), 10))
        .await
        .unwrap();

    for Case {
        what,
        message,
        dead: letter,
        stored,
    } in cases(&queue)
    {
        let id = format!("{what} {queue}");
        broker
            .publish(Publication::to_queue(&queue, message.clone()))
            .await
            .unwrap();
        if let Some(word) = letter {
            let deliveries = tokio::time::timeout(PATIENCE, dead.next(1)).await;
            let delivery = deliveries
                .unwrap_or_else(|_| panic!("{what}: no dead letter"))
                .unwrap()
                .remove(0);
            let header = |name| delivery.message.headers.get(name).and_then(Value::as_str);
            let reason = header("x-celeriac-error").unwrap_or_default().to_owned();
            assert!(reason.contains(word), "{what}: {reason}");
            assert!(
                header("x-celeriac-node").is_some_and(|node| node.ends_with(&queue)),
                "{what}"
            );
            assert_eq!(
                delivery.message.body, message.body,
                "{what}: the body is kept as it came"
            );
            delivery.receipt.acknowledge();
        }
        let result = app.result::<Value>(&id);
        match stored {
            Some(kind) => match result.get(PATIENCE).await {
                Err(Error::Failed { exception, .. }) => {
                    assert_eq!(exception.exc_type, kind, "{what}")
                }
                other => panic!("{what}: expected {kind}, found {other:?}"),
            },
            None => assert_eq!(result.state().await.unwrap(), State::Pending, "{what}"),
        }
        assert!(node.is_running(), "{what}: {}", node.log());
    }

    let sum = app
        .call::<i64>("demo.add")
        .arg(2)
        .arg(3)
        .send(&app)
        .await
        .unwrap();
    assert_eq!(sum.get(PATIENCE).await.unwrap(), 5);
    eventually("nothing is left unacknowledged", || async {
        let status = broker.queue(&queue).await.ok()??;
        (status.ready == 0).then_some(())
    })
    .await;
    let log = node.log();
    for word in ["demo.nowhere", "content type", "eta"] {
        assert!(log.contains(word), "the log tells of {word}: {log}");
    }
    assert_eq!(node.terminate().await, 0, "{}", node.log());
    app.close().await;
}
