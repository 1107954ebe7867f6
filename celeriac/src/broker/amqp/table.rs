//! Between the protocol's values and those of the AMQP client.

use bytes::Bytes;
use celeriac_protocol::{Message, Properties, Table, Value};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable, LongString, ShortString};

use crate::error::{Error, Result};

/// How many tables and arrays may stand in each other below the headers, both ways.
/// What is deeper becomes null when received and is refused when sent: a header table
/// comes from anybody, and what came can be sent on.
const MAX_DEPTH: usize = 32;

/// The most bytes of a name: of queues, exchanges, headers, and of properties.
const MAX_SHORT: usize = 255;

/// Makes a short string; refuses one that the wire cannot hold.
pub(super) fn short(what: &str, text: &str) -> Result<ShortString> {
    ShortString::try_new(text).map_err(|_| {
        Error::invalid(
            what,
            format!("{MAX_SHORT} bytes at most"),
            format!("{} bytes", text.len()),
        )
    })
}

/// Converts a message's properties and headers for sending.
pub(super) fn properties(message: &Message) -> Result<BasicProperties> {
    let from = &message.properties;
    let mut to = BasicProperties::default();
    macro_rules! texts {
        ($($field:ident => $with:ident, $what:literal;)*) => {$(
            if let Some(text) = &from.$field {
                to = to.$with(short($what, text)?);
            }
        )*};
    }
    texts! {
        content_type => with_content_type, "content_type";
        content_encoding => with_content_encoding, "content_encoding";
        correlation_id => with_correlation_id, "correlation_id";
        reply_to => with_reply_to, "reply_to";
        message_id => with_message_id, "message_id";
        kind => with_type, "type";
        user_id => with_user_id, "user_id";
        app_id => with_app_id, "app_id";
        cluster_id => with_cluster_id, "cluster_id";
    }
    if let Some(text) = &from.expiration {
        // The server would close the channel with everything on it.
        if text.parse::<u32>().is_err() {
            return Err(Error::invalid(
                "expiration",
                "milliseconds below 2^32, as text",
                text,
            ));
        }
        to = to.with_expiration(short("expiration", text)?);
    }
    if let Some(mode) = from.delivery_mode {
        to = to.with_delivery_mode(mode);
    }
    if let Some(priority) = from.priority {
        to = to.with_priority(priority);
    }
    if let Some(timestamp) = from.timestamp {
        to = to.with_timestamp(timestamp);
    }
    // Python's clients write an empty table rather than none, and expect one.
    Ok(to.with_headers(table(&message.headers)?))
}

/// Converts a table for sending.
pub(super) fn table(from: &Table) -> Result<FieldTable> {
    table_at(from, 0)
}

fn table_at(from: &Table, depth: usize) -> Result<FieldTable> {
    let mut to = FieldTable::default();
    for (name, value) in from.iter() {
        to.insert(short("name of a header", name)?, value_at(value, depth)?);
    }
    Ok(to)
}

fn value_at(from: &Value, depth: usize) -> Result<AMQPValue> {
    Ok(match from {
        Value::Array(_) | Value::Map(_) if depth >= MAX_DEPTH => {
            return Err(Error::invalid(
                "headers",
                format!("{MAX_DEPTH} levels at most"),
                "more",
            ));
        }
        Value::Null => AMQPValue::Void,
        Value::Bool(flag) => AMQPValue::Boolean(*flag),
        Value::Int(number) => match i32::try_from(*number) {
            Ok(number) => AMQPValue::LongInt(number),
            Err(_) => AMQPValue::LongLongInt(*number),
        },
        // The wire has no such integers; as text the digits survive.
        Value::BigInt(digits) => AMQPValue::LongString(digits.as_str().into()),
        Value::Float(number) => AMQPValue::Double(*number),
        Value::Str(text) => AMQPValue::LongString(text.as_str().into()),
        Value::Bytes(bytes) => AMQPValue::ByteArray(bytes.to_vec().into()),
        Value::Array(items) => AMQPValue::FieldArray(FieldArray::from(
            items
                .iter()
                .map(|item| value_at(item, depth + 1))
                .collect::<Result<Vec<_>>>()?,
        )),
        Value::Map(entries) => AMQPValue::FieldTable(table_at(entries, depth + 1)?),
    })
}

/// Converts what was received.
pub(super) fn message(from: &BasicProperties, body: Vec<u8>) -> Message {
    let text = |value: &Option<ShortString>| value.as_ref().map(|text| text.as_str().to_owned());
    Message {
        properties: Properties {
            content_type: text(from.content_type()),
            content_encoding: text(from.content_encoding()),
            delivery_mode: *from.delivery_mode(),
            priority: *from.priority(),
            correlation_id: text(from.correlation_id()),
            reply_to: text(from.reply_to()),
            expiration: text(from.expiration()),
            message_id: text(from.message_id()),
            timestamp: *from.timestamp(),
            kind: text(from.kind()),
            user_id: text(from.user_id()),
            app_id: text(from.app_id()),
            cluster_id: text(from.cluster_id()),
        },
        headers: from
            .headers()
            .as_ref()
            .map(|headers| received(headers, 0))
            .unwrap_or_default(),
        body: Bytes::from(body),
    }
}

fn received(from: &FieldTable, depth: usize) -> Table {
    from.into_iter()
        .map(|(name, value)| (name.as_str().to_owned(), received_value(value, depth)))
        .collect()
}

fn received_value(from: &AMQPValue, depth: usize) -> Value {
    match from {
        AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_) if depth >= MAX_DEPTH => Value::Null,
        AMQPValue::Boolean(flag) => Value::Bool(*flag),
        AMQPValue::ShortShortInt(number) => Value::Int((*number).into()),
        AMQPValue::ShortShortUInt(number) => Value::Int((*number).into()),
        AMQPValue::ShortInt(number) => Value::Int((*number).into()),
        AMQPValue::ShortUInt(number) => Value::Int((*number).into()),
        AMQPValue::LongInt(number) => Value::Int((*number).into()),
        AMQPValue::LongUInt(number) => Value::Int((*number).into()),
        AMQPValue::LongLongInt(number) => Value::Int(*number),
        AMQPValue::Float(number) => Value::Float((*number).into()),
        AMQPValue::Double(number) => Value::Float(*number),
        AMQPValue::DecimalValue(decimal) => {
            Value::Float(f64::from(decimal.value) / 10f64.powi(decimal.scale.into()))
        }
        AMQPValue::ShortString(text) => Value::from(text.as_str()),
        AMQPValue::LongString(text) => long(text),
        AMQPValue::FieldArray(items) => Value::Array(
            items
                .as_slice()
                .iter()
                .map(|item| received_value(item, depth + 1))
                .collect(),
        ),
        AMQPValue::Timestamp(seconds) => Value::from(*seconds),
        AMQPValue::FieldTable(entries) => Value::Map(received(entries, depth + 1)),
        AMQPValue::ByteArray(bytes) => Value::Bytes(Bytes::copy_from_slice(bytes.as_slice())),
        AMQPValue::Void => Value::Null,
    }
}

/// Long strings are bytes by the specification and text in practice.
fn long(text: &LongString) -> Value {
    match std::str::from_utf8(text.as_bytes()) {
        Ok(text) => Value::from(text),
        Err(_) => Value::Bytes(Bytes::copy_from_slice(text.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample() -> Message {
        let mut inner = Table::new();
        inner.insert("k", vec![Value::Null, Value::from("v")]);
        let mut headers = Table::new();
        headers.insert("big", i64::MAX);
        headers.insert("bytes", Bytes::from_static(b"\xff\x00"));
        headers.insert("flag", true);
        headers.insert("float", 0.5);
        headers.insert("int", -7i64);
        headers.insert("map", inner);
        headers.insert("none", Value::Null);
        headers.insert("text", "é");
        Message {
            properties: Properties {
                content_type: Some("application/json".into()),
                content_encoding: Some("utf-8".into()),
                delivery_mode: Some(2),
                priority: Some(0),
                correlation_id: Some("c".into()),
                reply_to: Some("r".into()),
                expiration: Some("60000".into()),
                message_id: Some("m".into()),
                timestamp: Some(1_700_000_000),
                kind: Some("t".into()),
                user_id: Some("guest".into()),
                app_id: Some("a".into()),
                cluster_id: Some("x".into()),
            },
            headers,
            body: Bytes::from_static(b"[[],{},{}]"),
        }
    }

    #[test]
    fn a_message_survives_both_ways() {
        let sent = sample();
        let wire = properties(&sent).unwrap();
        assert_eq!(message(&wire, sent.body.to_vec()), sent);
    }

    #[test]
    fn integers_take_the_width_that_python_takes() {
        let wire = properties(&sample()).unwrap();
        let headers = wire.headers().as_ref().unwrap().inner().clone();
        assert_eq!(headers["int"], AMQPValue::LongInt(-7));
        assert_eq!(headers["big"], AMQPValue::LongLongInt(i64::MAX));
    }

    #[test]
    fn what_the_wire_cannot_hold_is_refused() {
        let mut long_name = Message::default();
        long_name.headers.insert("n".repeat(256), 1i64);
        let mut long_id = Message::default();
        long_id.properties.correlation_id = Some("c".repeat(256));
        let mut expiration = Message::default();
        expiration.properties.expiration = Some("soon".into());
        let mut deep = Message::default();
        deep.headers.insert(
            "d",
            (0..100).fold(Value::Null, |value, _| Value::Array(vec![value])),
        );
        for message in [long_name, long_id, expiration, deep] {
            assert!(matches!(properties(&message), Err(Error::Invalid { .. })));
        }
    }

    fn deep(levels: usize) -> AMQPValue {
        (0..levels).fold(AMQPValue::Boolean(true), |value, _| {
            AMQPValue::FieldArray(FieldArray::from(vec![value]))
        })
    }

    #[test]
    fn deep_tables_from_outside_end_in_null() {
        let mut value = received_value(&deep(100), 0);
        let mut depth = 0;
        while let Value::Array(mut items) = value {
            value = items.remove(0);
            depth += 1;
        }
        assert_eq!((depth, value), (MAX_DEPTH, Value::Null));
    }

    #[test]
    fn what_is_received_can_be_sent_on() {
        for levels in [0, 1, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 100] {
            let mut headers = FieldTable::default();
            headers.insert("d".into(), deep(levels));
            let came = message(
                &BasicProperties::default().with_headers(headers),
                Vec::new(),
            );
            let wire = properties(&came).unwrap();
            assert_eq!(message(&wire, Vec::new()), came, "{levels} levels");
        }
    }
}
