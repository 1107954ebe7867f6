//! `celeriac.http.request`: calls a URL, as a webhook does.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use celeriac::protocol::error::DecodeError;
use celeriac::task::{Arguments, Execution, Parameter, TaskOptions};
use celeriac::{Context, Task, TaskError};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Method, Url, redirect};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::settings::Settings;

/// The longest answer that is kept; what is longer is cut.
const MAX_ANSWER: usize = 1024 * 1024;
/// The timeout when the call names none.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest timeout that a call may name.
const MAX_TIMEOUT: Duration = Duration::from_secs(600);
/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// Calls a URL and returns status, headers and body.
///
/// Arguments: `url`, `method` (GET), `headers` (a map), `body` (text), `timeout`
/// (seconds, 30). Any status is a success: the caller decides. An address that is
/// private, loopback or otherwise not public is refused unless the setting
/// `http_allow_private` is true, also when a name or a redirect leads there; with
/// `http_allowed_hosts` only those hosts are called.
#[derive(Debug, Clone)]
pub struct HttpRequest(Arc<Result<Client, String>>);

#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    rules: Arc<Rules>,
}

/// Which hosts may be called.
#[derive(Debug, Clone, Default)]
struct Rules {
    hosts: Vec<String>,
    allow_private: bool,
}

/// What the server answered.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// The headers; of several with one name the last.
    pub headers: BTreeMap<String, String>,
    /// The body as text, at most a mebibyte; bytes that are no UTF-8 are replaced.
    pub body: String,
    /// Whether the body was longer.
    pub truncated: bool,
}

pub(super) fn check(settings: &Settings) -> Result<(), Error> {
    rules(settings).map(drop)
}

fn rules(settings: &Settings) -> Result<Rules, Error> {
    Ok(Rules {
        hosts: settings.list("http_allowed_hosts").unwrap_or_default(),
        allow_private: settings.flag("http_allow_private")?.unwrap_or(false),
    })
}

impl Rules {
    fn check(&self, url: &Url) -> Result<(), String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "url: expected http or https, found {}",
                url.scheme()
            ));
        }
        let Some(host) = url.host_str() else {
            return Err("url: expected a host, found none".to_owned());
        };
        if !self.hosts.is_empty() && !self.hosts.iter().any(|rule| host_fits(rule, host)) {
            return Err(format!(
                "host {host}: expected one of the allowed hosts; see http_allowed_hosts"
            ));
        }
        // A literal address never reaches the resolver.
        let literal = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        match literal {
            Ok(address) => self.check_address(host, address),
            Err(_) => Ok(()),
        }
    }

    fn check_address(&self, host: &str, address: IpAddr) -> Result<(), String> {
        if self.allow_private || is_public(address) {
            return Ok(());
        }
        Err(format!(
            "host {host}: expected a public address, found {address}; see http_allow_private"
        ))
    }
}

/// `example.org` fits itself, `*.example.org` all below it.
fn host_fits(rule: &str, host: &str) -> bool {
    match rule.strip_prefix("*.") {
        Some(parent) => host
            .strip_suffix(parent)
            .is_some_and(|below| below.len() > 1 && below.ends_with('.')),
        None => rule.eq_ignore_ascii_case(host),
    }
}

/// Tells whether an address is on the public internet, by the registries of special
/// purpose addresses (RFC 6890 and its updates).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (18..20).contains(&b)))
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            if let Some(v4) = v6.to_ipv4_mapped() {
                return is_public(v4.into());
            }
            // Only 2000::/3 is handed out; parts of it reach back into IPv4 or nowhere.
            (first & 0xe000) == 0x2000
                && first != 0x2002
                && !(first == 0x2001 && (second < 0x0200 || second == 0x0db8))
        }
    }
}

/// Resolves names and drops addresses that the rules refuse, so that no check can be
/// passed by one answer and used with another.
struct Resolver(Arc<Rules>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let mut allowed: Vec<SocketAddr> = Vec::new();
            let mut refusal = format!("host {host}: no address");
            for address in tokio::net::lookup_host((host.as_str(), 0)).await? {
                match rules.check_address(&host, address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(reason) => refusal = reason,
                }
            }
            if allowed.is_empty() {
                return Err(refusal.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

impl HttpRequest {
    /// Makes the task with the rules of the settings.
    pub fn new(settings: &Settings) -> Self {
        Self(Arc::new(client(settings)))
    }

    async fn send(
        self,
        url: String,
        method: Option<String>,
        headers: Option<BTreeMap<String, String>>,
        body: Option<String>,
        timeout: Option<f64>,
    ) -> Result<Answer, TaskError> {
        let client = self.0.as_ref().as_ref().map_err(|reason| {
            TaskError::raise("celery.exceptions", "ImproperlyConfigured", reason).permanent()
        })?;
        let bad = |reason: String| TaskError::python("ValueError", reason).permanent();
        let url: Url = url.parse().map_err(|error| {
            bad(format!(
                "argument 'url': expected a URL, found {url:?} ({error})"
            ))
        })?;
        client
            .rules
            .check(&url)
            .map_err(|reason| TaskError::python("PermissionError", reason).permanent())?;
        let method = method.unwrap_or_else(|| "GET".to_owned());
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).map_err(|_| {
            bad(format!(
                "argument 'method': expected a method, found {method:?}"
            ))
        })?;
        let timeout = match timeout {
            None => TIMEOUT,
            Some(seconds) => Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|timeout| !timeout.is_zero() && *timeout <= MAX_TIMEOUT)
                .ok_or_else(|| {
                    bad(format!(
                        "argument 'timeout': expected seconds up to 600, found {seconds}"
                    ))
                })?,
        };
        let mut request = client.http.request(method, url).timeout(timeout);
        for (name, value) in headers.unwrap_or_default() {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.map_err(refused_or_failed)?;
        read(response).await
    }
}

fn client(settings: &Settings) -> Result<Client, String> {
    let rules = Arc::new(rules(settings).map_err(|error| error.to_string())?);
    let for_redirects = Arc::clone(&rules);
    let policy = redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > MAX_REDIRECTS {
            return attempt.error(format!(
                "expected at most {MAX_REDIRECTS} redirects, found more"
            ));
        }
        match for_redirects.check(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(reason) => attempt.error(reason),
        }
    });
    let failed = |error: &dyn std::error::Error| format!("cannot make an HTTP client: {error}");
    let http = crate::web::client()
        .map_err(|error| failed(&error))?
        .redirect(policy)
        .dns_resolver(Arc::new(Resolver(Arc::clone(&rules))))
        .user_agent(concat!("celeriac/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| failed(&error))?;
    Ok(Client { http, rules })
}

/// A refusal hides under the client's own errors; a person wants to read it.
fn refused_or_failed(error: reqwest::Error) -> TaskError {
    let failure = TaskError::from(error);
    match &failure {
        TaskError::Failure { causes, .. } => {
            match causes.iter().find(|cause| cause.contains("expected ")) {
                Some(refusal) => TaskError::python("PermissionError", refusal).permanent(),
                None => failure,
            }
        }
        _ => failure,
    }
}

async fn read(mut response: reqwest::Response) -> Result<Answer, TaskError> {
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let mut bytes = Vec::new();
    let mut truncated = false;
    while let Some(chunk) = response.chunk().await? {
        let room = MAX_ANSWER - bytes.len();
        truncated = chunk.len() > room;
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if truncated {
            break;
        }
    }
    Ok(Answer {
        status,
        headers,
        body: String::from_utf8_lossy(&bytes).into_owned(),
        truncated,
    })
}

impl Task for HttpRequest {
    type Output = Answer;

    fn name(&self) -> &'static str {
        "celeriac.http.request"
    }

    fn options(&self) -> TaskOptions {
        let mut options = TaskOptions::default();
        options.backoff = Some(celeriac::retry::Backoff::new(Duration::from_secs(1)));
        options
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::required("url"),
                Parameter::optional("method"),
                Parameter::optional("headers"),
                Parameter::optional("body"),
                Parameter::optional("timeout"),
            ]
        }
    }

    fn start(&self, _: Context, mut arguments: Arguments<'_>) -> Result<Execution, DecodeError> {
        let url = arguments.required()?;
        let (method, headers) = (arguments.optional()?, arguments.optional()?);
        let (body, timeout) = (arguments.optional()?, arguments.optional()?);
        let task = self.clone();
        Ok(Execution::Async(Box::pin(async move {
            celeriac::task::encode(&task.send(url, method, headers, body, timeout).await?)
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for (text, public) in [
            ("8.8.8.8", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("2606:4700::1", true),
            ("::1", false),
            ("fc00::1", false),
            ("fe80::1", false),
            ("::ffff:10.0.0.1", false),
            ("2002:7f00:1::", false),
        ] {
            assert_eq!(is_public(text.parse().unwrap()), public, "{text}");
        }
    }

    #[test]
    fn host_rules_are_exact_or_all_below() {
        for (rule, host, fits) in [
            ("example.org", "example.org", true),
            ("example.org", "a.example.org", false),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "badexample.org", false),
        ] {
            assert_eq!(host_fits(rule, host), fits, "{rule} {host}");
        }
    }

    #[test]
    fn a_literal_private_address_is_refused_with_the_way_out() {
        let refusal = Rules::default()
            .check(&"http://[::1]:80/".parse().unwrap())
            .unwrap_err();
        assert_eq!(
            refusal,
            "host [::1]: expected a public address, found ::1; see http_allow_private"
        );
    }
}
