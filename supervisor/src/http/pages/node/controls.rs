//! The controls of a node: forms become the requests of the API.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::access::Identity;
use crate::http::api::nodes::control::{self, NodeReply};
use crate::http::extract::{Body, Path};
use crate::http::pages::form::{Fields, body};
use crate::http::pages::shell::done;
use crate::http::pages::text;
use crate::http::{Desk, Problem};

/// The arguments that are numbers.
const WHOLE: [&str; 3] = ["n", "min", "max"];
const FRACTIONS: [&str; 2] = ["soft", "hard"];
const TEXTS: [&str; 3] = ["queue", "task_name", "rate_limit"];

pub(in crate::http::pages) async fn control(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    let command = fields.need("command")?.to_owned();
    let mut arguments = Map::new();
    for field in WHOLE {
        if let Some(number) = fields.number::<u64>(field)? {
            arguments.insert(field.to_owned(), number.into());
        }
    }
    for field in FRACTIONS {
        if let Some(number) = fields.number::<f64>(field)? {
            arguments.insert(field.to_owned(), number.into());
        }
    }
    for field in TEXTS {
        if let Some(text) = fields.get(field) {
            arguments.insert(field.to_owned(), text.into());
        }
    }
    let control = json!({ "command": command, "arguments": arguments });
    let answer = control::control(State(desk), who, Path(name.clone()), body(control)?).await?;
    Ok(back(&name, &answer.0))
}

pub(in crate::http::pages) async fn drain(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let _ = control::drain(State(desk), who, Path(name.clone()), none()?).await?;
    let text = "It drains: it takes no more tasks and ends when what it runs has ended.";
    Ok(done(&address(&name), text))
}

pub(in crate::http::pages) async fn shutdown(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    fields.confirm(&name)?;
    let _ = control::shutdown(State(desk), who, Path(name.clone()), none()?).await?;
    Ok(done(&address(&name), "It was told to shut down."))
}

fn none<T: serde::de::DeserializeOwned>() -> Result<Body<T>, Problem> {
    body(Value::Object(Map::new()))
}

fn address(name: &str) -> String {
    format!("/nodes/{}", text::url(name))
}

fn back(name: &str, answer: &NodeReply) -> Response {
    let said = answer.reply.as_deref().unwrap_or("done");
    done(&address(name), format!("The node says: {said}."))
}
