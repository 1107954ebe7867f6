//! Messages arrive as they were sent.

use bytes::Bytes;
use celeriac::broker::Publication;
use celeriac::protocol::{Message, Properties, Table, Value};

use super::{Bench, Scene, one};
use crate::eventually::within;

/// Sends a message and returns what arrives.
async fn round_trip(bench: &dyn Bench, message: Message) -> Message {
    let scene = Scene::new(bench).await;
    let publication = Publication::to_queue(&*scene.queue, message);
    within("publishing", scene.broker.publish(publication))
        .await
        .unwrap();
    let delivery = one(&mut scene.consume(1).await).await;
    let message = Message::clone(&delivery.message);
    delivery.receipt.acknowledge();
    message
}

/// Empty, binary and large bodies arrive.
pub async fn bodies_of_all_sizes_arrive(bench: &dyn Bench) {
    let large: Vec<u8> = (0..1 << 20).map(|n: u32| (n % 251) as u8).collect();
    for body in [Vec::new(), vec![0, 255, 128, 10], large] {
        let length = body.len();
        let message = Message {
            body: Bytes::from(body),
            ..Message::default()
        };
        let arrived = round_trip(bench, message.clone()).await;
        assert!(arrived.body == message.body, "a body of {length} bytes");
    }
}

/// All properties arrive; those that are absent stay absent.
pub async fn properties_arrive(bench: &dyn Bench) {
    let text = |text: &str| Some(text.to_owned());
    let properties = Properties {
        content_type: text("application/json"),
        content_encoding: text("utf-8"),
        delivery_mode: Some(2),
        priority: Some(3),
        correlation_id: text("c2e7"),
        reply_to: text("a-queue"),
        expiration: text("600000"),
        message_id: text("m-1"),
        timestamp: Some(1_700_000_000),
        kind: text("a kind"),
        // RabbitMQ checks it against the connection's user.
        user_id: None,
        app_id: text("an app"),
        cluster_id: text("a cluster"),
    };
    let message = Message {
        properties,
        ..Message::default()
    };
    assert_eq!(
        round_trip(bench, message.clone()).await.properties,
        message.properties
    );
    let bare = round_trip(bench, Message::default()).await;
    let delivery_mode = bare.properties.delivery_mode;
    assert_eq!(
        bare.properties,
        Properties {
            delivery_mode,
            ..Properties::default()
        }
    );
}

/// Headers of every type arrive.
pub async fn headers_of_all_types_arrive(bench: &dyn Bench) {
    let mut inner = Table::new();
    inner.push("list", vec![Value::Int(1), Value::from("two"), Value::Null]);
    inner.push("empty table", Table::new());
    inner.push("empty list", Vec::<Value>::new());
    let mut headers = Table::new();
    headers.push("text", "naïve ✓");
    headers.push("empty text", "");
    headers.push("long text", "x".repeat(10_000));
    headers.push("null", Value::Null);
    headers.push("true", true);
    headers.push("false", false);
    headers.push("zero", 0_i64);
    headers.push("small", -7_i64);
    headers.push("32 bits", i64::from(i32::MAX) + 1);
    headers.push("largest", i64::MAX);
    headers.push("smallest", i64::MIN);
    headers.push("float", 0.1);
    headers.push("whole float", 2.0);
    headers.push("bytes", Bytes::from_static(&[0, 159, 255]));
    headers.push("table", inner.clone());
    headers.push("tables", vec![Value::Map(inner), Value::Bool(true)]);
    let message = Message {
        headers,
        ..Message::default()
    };
    let arrived = round_trip(bench, message.clone()).await;
    let (arrived, sent) = (sorted(arrived.headers), sorted(message.headers));
    for (key, value) in sent.iter() {
        assert_eq!(arrived.get(key), Some(value), "header '{key}'");
    }
    assert_eq!(arrived, sent);
}

/// Sorts a table by its keys: AMQP promises no order.
fn sorted(table: Table) -> Table {
    fn inside(value: Value) -> Value {
        match value {
            Value::Map(table) => Value::Map(sorted(table)),
            Value::Array(items) => Value::Array(items.into_iter().map(inside).collect()),
            other => other,
        }
    }
    let mut entries: Vec<_> = table
        .into_iter()
        .map(|(key, value)| (key, inside(value)))
        .collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    entries.into_iter().collect()
}
