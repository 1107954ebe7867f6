//! `celeriac.mail.send`: sends a mail by SMTP.

use std::sync::Arc;
use std::time::Duration;

use celeriac::protocol::error::DecodeError;
use celeriac::task::{Arguments, Execution, Parameter, TaskOptions};
use celeriac::{Context, Task, TaskError};
use lettre::message::{Mailbox, header::ContentType};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::settings::Settings;

/// How long a server may take to answer one command.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Sends a mail by SMTP, to the server that the setting `smtp` names.
///
/// Arguments: `to` (an address or a list), `title`, `text`, and `from`, which is the
/// setting `smtp_from` when left out. A server that is out of reach or answers with a
/// temporary error makes it run again, with backoff; what is wrong with the mail fails
/// at once.
///
/// # Delivery guarantee
///
/// At least once: a node that dies between the server's answer and the
/// acknowledgement sends it again.
#[derive(Debug, Clone)]
pub struct MailSend(Arc<Result<Server, String>>);

#[derive(Debug)]
struct Server {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Option<Mailbox>,
}

/// One address or several.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "an address or a list of addresses")]
enum To {
    One(String),
    Many(Vec<String>),
}

/// What the server said.
#[derive(Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// The SMTP code, such as 250.
    pub code: u16,
    /// Its text.
    pub answer: String,
}

pub(super) fn check(settings: &Settings) -> Result<(), Error> {
    settings.with("smtp", transport)?;
    settings.with("smtp_from", mailbox)?;
    Ok(())
}

fn server(settings: &Settings) -> Result<Server, String> {
    let Some(url) = settings.text("smtp") else {
        return Err(
            "expected the setting smtp, such as smtp://mail.example.org:587, found none".to_owned(),
        );
    };
    let transport = transport(url).map_err(|error| format!("setting smtp: {error}"))?;
    let from = settings
        .text("smtp_from")
        .map(|text| named("setting smtp_from", text))
        .transpose()?;
    Ok(Server { transport, from })
}

fn transport(url: &str) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|error| {
        let shown = celeriac::broker::mask(url);
        format!("expected smtp://[user:password@]host:port or smtps://, found {shown} ({error})")
    })?;
    Ok(builder.timeout(Some(TIMEOUT)).build())
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|error| {
        format!("expected an address such as ann@example.org, found {text:?} ({error})")
    })
}

fn named(what: &str, text: &str) -> Result<Mailbox, String> {
    mailbox(text).map_err(|error| format!("{what}: {error}"))
}

impl MailSend {
    /// Makes the task for the server of the settings.
    pub fn new(settings: &Settings) -> Self {
        Self(Arc::new(server(settings)))
    }

    async fn send(
        self,
        to: To,
        title: String,
        text: String,
        from: Option<String>,
    ) -> Result<Receipt, TaskError> {
        let server = self.0.as_ref().as_ref().map_err(|reason| {
            TaskError::raise("celery.exceptions", "ImproperlyConfigured", reason).permanent()
        })?;
        let bad = |reason: String| TaskError::python("ValueError", reason).permanent();
        let from = match from {
            Some(text) => named("argument 'from'", &text).map_err(bad)?,
            None => server.from.clone().ok_or_else(|| {
                bad("argument 'from': expected an address, found none; or set smtp_from".to_owned())
            })?,
        };
        let to = match to {
            To::One(address) => vec![address],
            To::Many(addresses) => addresses,
        };
        let mut message = Message::builder()
            .from(from)
            .subject(title)
            .header(ContentType::TEXT_PLAIN);
        for address in &to {
            message = message.to(named("argument 'to'", address).map_err(bad)?);
        }
        let message = message.body(text).map_err(|error| bad(error.to_string()))?;
        match server.transport.send(message).await {
            Ok(answer) => Ok(Receipt {
                code: answer.code().into(),
                answer: answer.message().collect::<Vec<_>>().join("\n"),
            }),
            Err(error) if error.is_permanent() || error.is_client() => {
                Err(TaskError::from(error).permanent())
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Task for MailSend {
    type Output = Receipt;

    fn name(&self) -> &'static str {
        "celeriac.mail.send"
    }

    fn options(&self) -> TaskOptions {
        let mut options = TaskOptions::default();
        options.max_retries = Some(8);
        options.backoff = Some(celeriac::retry::Backoff::new(Duration::from_secs(2)));
        options
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::required("to"),
                Parameter::required("title"),
                Parameter::required("text"),
                Parameter::optional("from"),
            ]
        }
    }

    fn start(&self, _: Context, mut arguments: Arguments<'_>) -> Result<Execution, DecodeError> {
        let (to, title, text) = (
            arguments.required()?,
            arguments.required()?,
            arguments.required()?,
        );
        let from = arguments.optional()?;
        let task = self.clone();
        Ok(Execution::Async(Box::pin(async move {
            celeriac::task::encode(&task.send(to, title, text, from).await?)
        })))
    }
}
