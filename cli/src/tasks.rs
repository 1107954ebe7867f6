//! The tasks of the stock binary.
//!
//! | task | arguments | result |
//! |---|---|---|
//! | `celeriac.ping` | | `"pong"` |
//! | `celeriac.add` | `x`, `y` | their sum |
//! | `celeriac.sleep` | `seconds` | the seconds, after that long |
//! | `celeriac.mail.send` | `to`, `title`, `text` | the server's answer |
//! | `celeriac.http.request` | `url`, `method`, `headers`, `body`, `timeout` | status, headers, body |

mod http;
mod mail;

use std::time::Duration;

use celeriac::{AppBuilder, TaskError, task};
use serde::{Deserialize, Serialize};

pub use self::http::HttpRequest;
pub use self::mail::MailSend;
use crate::error::Error;
use crate::settings::Settings;

/// Adds the built-in tasks to an app, set up by the settings. Settings that cannot be
/// used are reported by `celeriac check`; the tasks they belong to fail when called.
pub fn add(app: AppBuilder, settings: &Settings) -> AppBuilder {
    app.task(ping)
        .task(add_numbers)
        .task(sleep)
        .task(MailSend::new(settings))
        .task(HttpRequest::new(settings))
}

/// Checks the settings of the built-in tasks.
pub(crate) fn check(settings: &Settings) -> Result<(), Error> {
    mail::check(settings)?;
    http::check(settings)
}

/// Answers.
#[task(name = "celeriac.ping")]
async fn ping() -> String {
    "pong".to_owned()
}

/// A number of JSON: integers stay integers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number")]
pub enum Number {
    /// A whole number.
    Int(i64),
    /// Any other.
    Float(f64),
}

/// Adds two numbers.
#[task(name = "celeriac.add")]
async fn add_numbers(x: Number, y: Number) -> Result<Number, TaskError> {
    match (x, y) {
        (Number::Int(x), Number::Int(y)) => x.checked_add(y).map(Number::Int).ok_or_else(|| {
            TaskError::python(
                "OverflowError",
                format!("expected a sum of 64 bits, found {x} + {y}"),
            )
            .permanent()
        }),
        (x, y) => Ok(Number::Float(x.as_f64() + y.as_f64())),
    }
}

impl Number {
    fn as_f64(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

/// Sleeps, as work that waits does.
#[task(name = "celeriac.sleep")]
async fn sleep(seconds: f64) -> Result<f64, TaskError> {
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| {
        TaskError::python(
            "ValueError",
            format!("expected seconds from 0, found {seconds}"),
        )
        .permanent()
    })?;
    tokio::time::sleep(duration).await;
    Ok(seconds)
}
