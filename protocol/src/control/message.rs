//! Requests and replies to messages and back.

use bytes::Bytes;

use super::{Matcher, Reply, ReplyTo, Request};
use crate::{
    Codec, DecodeError,
    error::Fault,
    fields::{Fields, wrong},
    json,
    message::{Message, Properties},
    naming::header,
    value::{Table, Value},
};

const INFALLIBLE: &str = "a control message is a map with text keys";

impl Request {
    /// Builds the message; it goes to the control exchange with an empty routing key.
    pub fn to_message(&self) -> Message {
        let mut body = Table::with_capacity(7);
        body.push("method", self.method.as_str());
        body.push("arguments", self.arguments.clone());
        let names = |nodes: &Vec<String>| nodes.iter().map(|node| node.as_str().into()).collect();
        body.push(
            "destination",
            self.destination
                .as_ref()
                .map(|nodes| Value::Array(names(nodes))),
        );
        body.push("pattern", self.pattern.clone());
        body.push("matcher", self.matcher.map(Matcher::name));
        if let Some(ticket) = &self.ticket {
            body.push("ticket", ticket.as_str());
        }
        if let Some(reply_to) = &self.reply_to {
            let mut to = Table::with_capacity(2);
            to.push("exchange", reply_to.exchange.as_str());
            to.push("routing_key", reply_to.routing_key.as_str());
            body.push("reply_to", to);
        }
        let mut headers = Table::with_capacity(2);
        headers.push(header::CLOCK, self.clock);
        headers.push(
            header::EXPIRES,
            self.expires.map_or(Value::Int(0), Value::Float),
        );
        message(2, headers, body)
    }

    /// Reads a request.
    ///
    /// # Errors
    /// `Fault::Content` when it is not JSON by its content type, `Fault::Malformed`
    /// when it lacks the method or a field has the wrong type.
    pub fn from_message(message: &Message) -> Result<Self, DecodeError> {
        let mut body = Fields(body(message, "control request")?);
        let mut headers = Headers(&message.headers);
        let request = Self {
            method: body.text("method")?,
            arguments: match body.take("arguments") {
                None => Table::new(),
                Some(Value::Map(arguments)) => arguments,
                Some(other) => return Err(wrong("arguments", "a map", &other)),
            },
            destination: destination(body.take("destination"))?,
            pattern: body.optional_text("pattern")?,
            matcher: matcher(body.optional_text("matcher")?)?,
            ticket: body.optional_text("ticket")?,
            reply_to: body.take("reply_to").map(reply_to).transpose()?,
            clock: headers.clock()?,
            expires: headers.expires()?,
        };
        Ok(request)
    }
}

impl Reply {
    /// Builds the message; it goes where the request's `reply_to` says.
    pub fn to_message(&self) -> Message {
        let mut headers = Table::with_capacity(2);
        headers.push(header::TICKET, self.ticket.clone());
        headers.push(header::CLOCK, self.clock);
        let mut body = Table::with_capacity(1);
        body.push(self.node.as_str(), self.payload.clone());
        message(1, headers, body)
    }

    /// Reads a reply.
    ///
    /// # Errors
    /// `Fault::Content` when it is not JSON by its content type, `Fault::Malformed`
    /// when it is not a map from one node to its answer.
    pub fn from_message(message: &Message) -> Result<Self, DecodeError> {
        let body = body(message, "control reply")?;
        let count = body.len();
        let mut entries = body.into_iter();
        let (Some((node, payload)), None) = (entries.next(), entries.next()) else {
            let found = format!("{count} entries");
            return Err(DecodeError::new(
                Fault::Malformed,
                "control reply",
                "one node",
                found,
            ));
        };
        let mut headers = Headers(&message.headers);
        Ok(Self {
            node,
            payload,
            ticket: headers.ticket()?,
            clock: headers.clock()?,
        })
    }
}

fn message(delivery_mode: u8, headers: Table, body: Table) -> Message {
    Message {
        properties: Properties {
            content_type: Some(Codec::Json.content_type().to_owned()),
            content_encoding: Some(Codec::Json.content_encoding().to_owned()),
            delivery_mode: Some(delivery_mode),
            priority: Some(0),
            ..Properties::default()
        },
        headers,
        body: Bytes::from(json::to_vec(&body).expect(INFALLIBLE)),
    }
}

/// Celery, too, accepts nothing but JSON here.
fn body(message: &Message, place: &str) -> Result<Table, DecodeError> {
    match message.properties.content_type.as_deref() {
        None | Some("application/json") => json::from_slice(&message.body, place),
        Some(other) => Err(DecodeError::new(
            Fault::Content,
            place,
            "application/json",
            format!("'{other}'"),
        )),
    }
}

fn destination(value: Option<Value>) -> Result<Option<Vec<String>>, DecodeError> {
    let expected = "a list of node names";
    match value {
        None => Ok(None),
        Some(Value::Str(node)) => Ok(Some(vec![node])),
        Some(Value::Array(nodes)) => nodes
            .into_iter()
            .map(|node| match node {
                Value::Str(node) => Ok(node),
                other => Err(wrong("destination", expected, &other)),
            })
            .collect::<Result<_, _>>()
            .map(Some),
        Some(other) => Err(wrong("destination", expected, &other)),
    }
}

fn matcher(name: Option<String>) -> Result<Option<Matcher>, DecodeError> {
    match name.as_deref() {
        None | Some("") => Ok(None),
        Some("glob") => Ok(Some(Matcher::Glob)),
        Some("pcre") => Ok(Some(Matcher::Pcre)),
        Some(other) => {
            let found = format!("'{other}'");
            Err(DecodeError::new(
                Fault::Malformed,
                "matcher",
                "glob or pcre",
                found,
            ))
        }
    }
}

fn reply_to(value: Value) -> Result<ReplyTo, DecodeError> {
    let mut fields = Fields::of(value, "reply_to")?;
    let mut text = |name| fields.text(name).map_err(|error| error.within("reply_to"));
    Ok(ReplyTo {
        exchange: text("exchange")?,
        routing_key: text("routing_key")?,
    })
}

/// The headers of control messages; they are optional, and null counts as absent.
struct Headers<'a>(&'a Table);

impl Headers<'_> {
    fn clock(&mut self) -> Result<u64, DecodeError> {
        Ok(self
            .field(header::CLOCK)
            .optional_integer(header::CLOCK)?
            .unwrap_or(0))
    }

    fn expires(&mut self) -> Result<Option<f64>, DecodeError> {
        let expires = self
            .field(header::EXPIRES)
            .optional_float(header::EXPIRES)?;
        Ok(expires.filter(|expires| *expires != 0.0))
    }

    fn ticket(&mut self) -> Result<Option<String>, DecodeError> {
        self.field(header::TICKET).optional_text(header::TICKET)
    }

    /// Copies the one header that is asked for, not the whole table.
    fn field(&self, name: &str) -> Fields {
        let value = self.0.get(name).cloned();
        Fields(
            value
                .map(|value| (name.to_owned(), value))
                .into_iter()
                .collect(),
        )
    }
}
