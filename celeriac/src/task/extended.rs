//! What an extended result says of its call.

use celeriac_protocol::result::Extended;
use celeriac_protocol::{Body, DecodeError, Table, Value};

use super::Request;

/// Makes it of a task's message. A body that cannot be read says nothing of arguments.
pub(super) fn extended(request: &Request, body: Option<&Body>) -> Extended {
    let Request {
        headers,
        delivery,
        hostname,
        ..
    } = request;
    let (args, kwargs) = body
        .and_then(|body| arguments(body).ok())
        .unwrap_or_default();
    let mut stamps = Table::new();
    if let Some(names) = headers
        .stamped_headers
        .as_ref()
        .filter(|names| !names.is_empty())
    {
        let listed = names.iter().map(|name| Value::from(name.as_str()));
        stamps.push("stamped_headers", listed.collect::<Vec<_>>());
        for name in names {
            if let Some(value) = headers.stamps.get(name) {
                stamps.insert(name.as_str(), value.clone());
            }
        }
    }
    Extended {
        name: Some(headers.task.clone()),
        args,
        kwargs,
        worker: Some(hostname.clone()),
        retries: Some(headers.retries),
        queue: Some(delivery.routing_key.clone()),
        stamps,
    }
}

fn arguments(body: &Body) -> Result<(Value, Value), DecodeError> {
    let parts = body.parts()?;
    let args = parts.args.iter().map(|raw| raw.to_value());
    let args: Vec<_> = args.collect::<Result<_, _>>()?;
    let kwargs = parts.kwargs.iter();
    let kwargs = kwargs.map(|(name, raw)| Ok((name.clone().into_owned(), raw.to_value()?)));
    let kwargs: Table = kwargs.collect::<Result<_, DecodeError>>()?;
    Ok((args.into(), kwargs.into()))
}
