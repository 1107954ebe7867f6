//! A client of the supervisor's API.

use std::time::Duration;

use serde_json::Value;

use crate::error::Error;

/// A supervisor, by its URL. Cloning shares the connections.
#[derive(Clone)]
pub(crate) struct Api {
    client: reqwest::Client,
    base: String,
    /// The URL as errors tell it: without a password.
    shown: String,
    token: Option<String>,
}

impl Api {
    pub(crate) fn new(url: &str, token: Option<&str>) -> Result<Self, Error> {
        check(url)?;
        let failed = |error: &dyn std::error::Error| {
            Error::Failed(format!("cannot make an HTTP client: {error}"))
        };
        let client = crate::web::client()
            .map_err(|error| failed(&error))?
            .connect_timeout(Duration::from_secs(4))
            .build()
            .map_err(|error| failed(&error))?;
        Ok(Self {
            client,
            base: url.trim_end_matches('/').to_owned(),
            shown: celeriac::broker::mask(url),
            token: token.map(str::to_owned),
        })
    }

    pub(crate) async fn get(&self, path: &str, within: Duration) -> Result<Value, Error> {
        self.send(self.client.get(format!("{}{path}", self.base)), within)
            .await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        body: &Value,
        within: Duration,
    ) -> Result<Value, Error> {
        self.change(reqwest::Method::POST, path, body, within).await
    }

    /// Sends a request with a body. An answer without one is `null`.
    pub(crate) async fn change(
        &self,
        method: reqwest::Method,
        path: &str,
        body: &Value,
        within: Duration,
    ) -> Result<Value, Error> {
        let request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .body(body.to_string());
        self.send(request, within).await
    }

    pub(crate) async fn delete(&self, path: &str, within: Duration) -> Result<Value, Error> {
        let request = self.client.delete(format!("{}{path}", self.base));
        self.send(request, within).await
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        within: Duration,
    ) -> Result<Value, Error> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let unreachable = |error: reqwest::Error| {
            if error.is_timeout() {
                let shown = &self.shown;
                return Error::Undecided(format!("the supervisor at {shown} took too long"));
            }
            Error::Unavailable(format!(
                "the supervisor at {} is out of reach: {error}",
                self.shown
            ))
        };
        let response = request.timeout(within).send().await.map_err(unreachable)?;
        let status = response.status();
        let text = response.text().await.map_err(unreachable)?;
        if text.is_empty() && status.is_success() {
            return Ok(Value::Null);
        }
        let value: Value = serde_json::from_str(&text).map_err(|_| {
            Error::Failed(format!(
                "expected JSON from the supervisor, found status {status}"
            ))
        })?;
        if status.is_success() {
            return Ok(value);
        }
        // A problem document of RFC 9457.
        let message = value["detail"].as_str().unwrap_or("no reason given");
        Err(Error::Failed(format!(
            "the supervisor refused ({status}): {message}"
        )))
    }
}

/// Checks the URL of a supervisor, by whoever wrote it.
fn check(url: &str) -> Result<(), Error> {
    let parsed = url.parse::<url::Url>().ok();
    let good = |url: &url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    if parsed.as_ref().is_some_and(good) {
        return Ok(());
    }
    let found = celeriac::broker::mask(url);
    let reason = format!("expected a URL such as http://127.0.0.1:9595, found {found}");
    match std::env::var("CELERIAC_API").is_ok_and(|said| said == url) {
        true => Err(Error::Config(format!("environment CELERIAC_API: {reason}"))),
        false => Err(Error::Usage(format!("--api: {reason}"))),
    }
}

/// Builds a path of the API; what stands in a segment cannot leave it.
pub(crate) fn path(segments: &[&str]) -> String {
    let mut path = "/api/v1".to_owned();
    for segment in segments {
        path.push('/');
        for byte in segment.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'@' => {
                    path.push(char::from(byte));
                }
                other => path.push_str(&format!("%{other:02X}")),
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_segment() {
        let hostile = path(&["queues", "a/../b?c#d e%", "purge"]);
        assert_eq!(hostile, "/api/v1/queues/a%2F..%2Fb%3Fc%23d%20e%25/purge");
        assert_eq!(path(&["nodes", "w1@host"]), "/api/v1/nodes/w1@host");
    }
}
