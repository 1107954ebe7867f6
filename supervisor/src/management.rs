//! RabbitMQ's management API, asked for what AMQP does not tell of queues.

mod answer;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use reqwest::{Client, Response, StatusCode, Url};

use self::answer::{Listed, Page};
use crate::board::Flow;
use crate::error::Error;
use crate::tls;

/// Where the management API is, with who asks. It is never shown: it holds the password.
#[derive(Clone)]
pub(crate) struct Address(Url);

/// A client of the management API for one virtual host.
pub(crate) struct Management {
    client: Client,
    /// The queues of the virtual host.
    queues: Url,
    timeout: Duration,
}

/// What the management API tells of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Told {
    pub(crate) unacked: Option<u64>,
    /// The time that the sender of the oldest message gave it.
    pub(crate) oldest: Option<SystemTime>,
    pub(crate) flow: Option<Flow>,
    /// Bytes.
    pub(crate) memory: Option<u64>,
}

/// Up to this many queues are asked for one by one; of more the list is read.
const FEW: usize = 10;
/// How many queues a page has, and how many pages are read: a broker may have many queues
/// that nobody here knows.
const PAGE: usize = 500;
const PAGES: usize = 20;
/// How long an answer may be, in bytes.
const LONGEST: usize = 8 << 20;
const COLUMNS: &str = "name,messages_unacknowledged,head_message_timestamp,memory,\
     message_stats.publish_details.rate,message_stats.deliver_get_details.rate,\
     message_stats.ack_details.rate";

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        // What is no such URL may be a password with something around it: it is not shown.
        let found = match Url::parse(text) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                "another scheme than http and https"
            }
            Ok(url) if url.query().is_some() || url.fragment().is_some() => {
                "a query or a fragment in it"
            }
            Ok(url) => return Ok(Self(url)),
            Err(_) => "no URL",
        };
        let expected = "http://user:password@host:15672";
        Err(Error::config("management_url", expected, found))
    }

    /// Returns where the queues of a broker's virtual host are; `None` for a broker without
    /// such a thing.
    fn queues(&self, broker: &str) -> Option<Url> {
        let broker = Url::parse(broker).ok()?;
        if !matches!(broker.scheme(), "amqp" | "amqps" | "pyamqp") {
            return None;
        }
        let vhost = match broker.path().strip_prefix('/').unwrap_or_default() {
            "" => "%2F".to_owned(),
            path => path.replace('/', "%2F"),
        };
        let mut url = self.0.clone();
        let path = format!("{}/api/queues/{vhost}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Some(url)
    }
}

impl Management {
    /// Makes a client for the virtual host of a broker, which is named by its URL.
    pub(crate) fn new(address: &Address, broker: &str, timeout: Duration) -> Result<Self, String> {
        let queues = address.queues(broker);
        let queues = queues.ok_or("the broker is none that has a management API")?;
        let tls = if queues.scheme() == "https" {
            tls::system()?
        } else {
            tls::none()?
        };
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            // A password goes nowhere but to the address that it was given for.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build();
        Ok(Self {
            client: client.map_err(|error| error.to_string())?,
            queues,
            timeout,
        })
    }

    /// Asks about queues; those that it does not know are left out. An error says what is
    /// wrong and what to do.
    pub(crate) async fn ask(&self, names: &[String]) -> Result<HashMap<String, Told>, String> {
        let asked = async {
            if names.len() <= FEW {
                self.each(names).await
            } else {
                self.pages(names).await
            }
        };
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(told) => told,
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }

    async fn each(&self, names: &[String]) -> Result<HashMap<String, Told>, String> {
        let mut told = HashMap::with_capacity(names.len());
        // As parts of a path these would lead elsewhere.
        for name in names.iter().filter(|name| !matches!(&***name, "." | "..")) {
            let mut url = self.queues.clone();
            if let Ok(mut path) = url.path_segments_mut() {
                path.push(name);
            }
            url.set_query(Some(&format!("columns={COLUMNS}")));
            if let Some(body) = self.get(url).await? {
                let listed = Listed::read(&body)?;
                told.insert(name.clone(), listed.told());
            }
        }
        if told.is_empty() && !names.is_empty() {
            return Err(self.knows_none());
        }
        Ok(told)
    }

    async fn pages(&self, names: &[String]) -> Result<HashMap<String, Told>, String> {
        let mut told = HashMap::with_capacity(names.len());
        for number in 1..=PAGES {
            let mut url = self.queues.clone();
            let query = format!("page={number}&page_size={PAGE}&columns={COLUMNS}");
            url.set_query(Some(&query));
            let body = self.get(url).await?.ok_or_else(|| self.knows_none())?;
            let page = Page::read(&body)?;
            for listed in page.items {
                if names.binary_search(&listed.name).is_ok() {
                    told.insert(listed.name.clone(), listed.told());
                }
            }
            if number >= page.page_count || told.len() == names.len() {
                break;
            }
        }
        Ok(told)
    }

    /// Returns the body of an answer; `None` when there is no such thing.
    async fn get(&self, url: Url) -> Result<Option<Vec<u8>>, String> {
        let sent = self.client.get(url).send().await;
        // The URL holds no password by now, but nothing is to depend on that.
        let answer = sent.map_err(|error| chain(&error.without_url()))?;
        match answer.status() {
            StatusCode::OK => body(answer).await.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::UNAUTHORIZED => Err(format!(
                "it refuses user '{}'; check name and password, and give the user the tag \
                 'monitoring' and permissions in the virtual host",
                self.queues.username()
            )),
            status => Err(format!(
                "it answered {status}; is this RabbitMQ's management?"
            )),
        }
    }

    fn knows_none(&self) -> String {
        "it knows none of the queues; is it of the same broker, and is the virtual host that \
         of the broker's URL?"
            .to_owned()
    }
}

async fn body(mut answer: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(part) = answer
        .chunk()
        .await
        .map_err(|error| chain(&error.without_url()))?
    {
        if body.len() + part.len() > LONGEST {
            return Err(format!("its answer is longer than {LONGEST} bytes"));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// Tells an error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
