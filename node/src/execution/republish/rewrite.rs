//! The message of a next run that is called in another way than this one. Pure functions.

use celeriac::broker::Publication;
use celeriac::producer::{self, Lineage};
use celeriac::protocol::compression::Compression;
use celeriac::protocol::task::Limits;
use celeriac::protocol::{
    Body, DecodeError, Embed, Properties, Signature, Table, TaskHeaders, Value,
};
use celeriac::task::{Parameter, ParameterKind};
use celeriac::{Result, clock};

use crate::execution::outcome::Again;
use crate::job::Job;

/// What a body holds.
pub(super) struct Call {
    pub(super) args: Vec<Value>,
    pub(super) kwargs: Table,
    pub(super) embed: Embed,
}

impl Call {
    /// Reads a body as values.
    pub(super) fn read(body: &Body) -> Result<Self, DecodeError> {
        let parts = body.parts()?;
        let args = parts.args.iter().map(|raw| raw.to_value());
        let kwargs = parts.kwargs.iter();
        let kwargs = kwargs.map(|(name, raw)| Ok((name.clone().into_owned(), raw.to_value()?)));
        Ok(Self {
            args: args.collect::<Result<_, _>>()?,
            kwargs: kwargs.collect::<Result<_, DecodeError>>()?,
            embed: parts.embed,
        })
    }

    /// Takes other arguments. Each parameter is filled once: what is given anew wins over
    /// what filled it before, by place or by name.
    fn rebind(&mut self, parameters: &[Parameter], args: Option<&[Value]>, kwargs: Option<&Table>) {
        use ParameterKind::{Optional, Required};
        // Behind `*args` nothing has a place.
        let places = parameters
            .iter()
            .take_while(|parameter| matches!(parameter.kind, Required | Optional));
        match (args, kwargs) {
            (None, None) => {}
            (Some(args), Some(kwargs)) => {
                self.args = args.to_vec();
                self.kwargs = kwargs.clone();
            }
            (Some(args), None) => {
                self.args = args.to_vec();
                for parameter in places.take(args.len()) {
                    self.kwargs.remove(parameter.name);
                }
            }
            (None, Some(kwargs)) => {
                self.kwargs = kwargs.clone();
                for (parameter, filled) in places.zip(&mut self.args) {
                    if let Some(value) = self.kwargs.remove(parameter.name) {
                        *filled = value;
                    }
                }
            }
        }
    }
}

/// Makes the message as a call with the options of the one before, those of the wish over
/// them. `headers` are those of the next run.
///
/// # Errors
///
/// When the body cannot be read or written, or an option cannot be used.
pub(super) fn rewritten(
    job: &Job,
    headers: TaskHeaders,
    again: &Again,
    limits: &Limits,
) -> Result<Publication> {
    let app = job.context.app();
    let body = job.open(limits)?;
    let mut call = Call::read(&body)?;
    let parameters = job.handler.as_ref().map(|handler| handler.parameters());
    call.rebind(
        parameters.unwrap_or_default(),
        again.args.as_deref(),
        again.kwargs.as_ref(),
    );
    let mut wanted = again.options.clone();
    let mut follows = |key: &str, before: &mut Option<Vec<Signature>>| -> Result<()> {
        if let Some(value) = wanted.remove(key).filter(|value| !value.is_null()) {
            let items = match value {
                Value::Array(items) => items,
                one => vec![one],
            };
            let items = items.into_iter().map(Signature::from_value);
            *before = Some(items.collect::<Result<_, _>>()?);
        }
        Ok(())
    };
    follows("link", &mut call.embed.callbacks)?;
    follows("link_error", &mut call.embed.errbacks)?;
    let mut options = before(job, &headers, &body)?;
    let elsewhere = ["queue", "exchange", "routing_key"]
        .iter()
        .any(|key| wanted.get(key).is_some());
    if elsewhere {
        options.remove("queue");
    }
    for (key, value) in wanted {
        match (key.as_str(), value) {
            // Those of before that have another name stay.
            ("headers", Value::Map(more)) => {
                let mut own = headers.extra.clone();
                more.into_iter()
                    .for_each(|(name, value)| own.insert(name, value));
                options.insert("headers", own);
            }
            (key, value) => options.insert(key, value),
        }
    }
    let signature = Signature {
        task: headers.task.clone(),
        args: call.args,
        kwargs: call.kwargs,
        options,
        ..Signature::default()
    };
    let publication = producer::publication(
        signature,
        &call.embed,
        &Lineage::default(),
        app.defaults(),
        app.routing(),
        app.registry(),
        clock::now(),
    )?;
    let mut publication = as_before(publication, job, again);
    if !elsewhere {
        // Its own queue and no other: an exchange may lead to many.
        publication.exchange.clear();
        publication.routing_key = job.queue.to_string();
    }
    Ok(publication)
}

/// The options of the call that asked for this run, as they are for the next.
fn before(job: &Job, headers: &TaskHeaders, body: &Body) -> Result<Table> {
    let mut options = Table::new();
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let time = |time: &Option<celeriac::protocol::Timestamp>| {
        time.map(|time| Value::from(time.to_string()))
    };
    let compression = match headers.compression.as_deref() {
        Some(name) => Some(Compression::from_header(name)?),
        None => None,
    };
    let properties = job.properties();
    let entries = [
        ("task_id", Some(Value::from(headers.id.as_str()))),
        ("root_id", text(&headers.root_id)),
        ("parent_id", text(&headers.parent_id)),
        ("group_id", text(&headers.group)),
        ("group_index", headers.group_index.map(Value::from)),
        ("shadow", text(&headers.shadow)),
        ("eta", time(&headers.eta)),
        ("expires", time(&headers.expires)),
        ("time_limit", headers.timelimit.hard.map(Value::from)),
        ("soft_time_limit", headers.timelimit.soft.map(Value::from)),
        ("retries", Some(Value::from(headers.retries))),
        ("ignore_result", headers.ignore_result.map(Value::from)),
        (
            "replaced_task_nesting",
            Some(Value::from(headers.replaced_task_nesting)),
        ),
        ("headers", Some(Value::Map(headers.extra.clone()))),
        ("reply_to", text(&properties.reply_to)),
        ("priority", properties.priority.map(Value::from)),
        ("queue", Some(Value::from(&*job.queue))),
        ("serializer", Some(Value::from(body.codec.name()))),
        (
            "compression",
            compression.map(|kind| Value::from(kind.name())),
        ),
    ];
    for (key, value) in entries {
        if let Some(value) = value {
            options.insert(key, value);
        }
    }
    if let Some(names) = &headers.stamped_headers {
        for (name, value) in headers.stamps.iter() {
            options.insert(name, value.clone());
        }
        let names = names.iter().map(|name| Value::from(name.as_str()));
        options.insert("stamped_headers", names.collect::<Vec<_>>());
    }
    Ok(options)
}

/// Puts back what a new call would say of itself: who sent it first, and under which id
/// the reply is known.
fn as_before(mut publication: Publication, job: &Job, again: &Again) -> Publication {
    let message = &mut publication.message;
    if let Some(origin) = &job.headers().origin {
        message.headers.insert("origin", origin.as_str());
    }
    let new = std::mem::take(&mut message.properties);
    message.properties = Properties {
        content_type: new.content_type,
        content_encoding: new.content_encoding,
        priority: new.priority,
        reply_to: new.reply_to,
        // In the queue of a delay it would end the delay; admission reads the header.
        expiration: None,
        ..job.properties().clone()
    };
    publication.not_before = Some(again.at);
    publication
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const XYZ: &[Parameter] = &[
        Parameter::required("x"),
        Parameter::required("y"),
        Parameter::optional("z"),
    ];

    fn table(pairs: &[(&str, i64)]) -> Table {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
            .collect()
    }

    fn rebound(
        before: (&[i64], &[(&str, i64)]),
        args: Option<&[i64]>,
        kwargs: Option<&[(&str, i64)]>,
    ) -> (Vec<Value>, Table) {
        let values = |list: &[i64]| list.iter().map(|n| Value::from(*n)).collect::<Vec<_>>();
        let mut call = Call {
            args: values(before.0),
            kwargs: table(before.1),
            embed: Embed::default(),
        };
        let (args, kwargs) = (args.map(values), kwargs.map(table));
        call.rebind(XYZ, args.as_deref(), kwargs.as_ref());
        (call.args, call.kwargs)
    }

    #[test]
    fn each_parameter_is_filled_once() {
        let ints = |list: &[i64]| list.iter().map(|n| Value::from(*n)).collect::<Vec<_>>();
        for (before, args, kwargs, expected) in [
            (
                (&[][..], &[("x", 1), ("y", 2), ("z", 3)][..]),
                Some(&[5, 6][..]),
                None,
                (ints(&[5, 6]), table(&[("z", 3)])),
            ),
            (
                (&[1, 2], &[]),
                None,
                Some(&[("x", 7)][..]),
                (ints(&[7, 2]), table(&[])),
            ),
            (
                (&[1], &[("y", 2)]),
                None,
                Some(&[("y", 3), ("z", 4)]),
                (ints(&[1]), table(&[("y", 3), ("z", 4)])),
            ),
            (
                (&[1, 2], &[("z", 3)]),
                Some(&[9]),
                Some(&[("y", 8)]),
                (ints(&[9]), table(&[("y", 8)])),
            ),
        ] {
            assert_eq!(rebound(before, args, kwargs), expected);
        }
    }
}
