//! A client for the small HTTP servers under test: one request, one connection.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// The header lines.
    pub headers: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Reads the body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Gets a path.
///
/// # Errors
///
/// When nobody listens or no answer comes within 30 s.
pub async fn get(address: &str, path: &str) -> std::io::Result<Answer> {
    request(address, "GET", path, None).await
}

/// Posts a JSON body.
///
/// # Errors
///
/// When nobody listens or no answer comes within 30 s.
pub async fn post(address: &str, path: &str, body: &Value) -> std::io::Result<Answer> {
    request(address, "POST", path, Some(&body.to_string())).await
}

/// Sends a request and reads until the server closes.
///
/// # Errors
///
/// When nobody listens or no answer comes within 30 s.
pub async fn request(
    address: &str,
    method: &str,
    path: &str,
    body: Option<&str>,
) -> std::io::Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let body = body.unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        Ok(parse(&String::from_utf8_lossy(&bytes)))
    };
    timeout(Duration::from_secs(30), exchange).await?
}

fn parse(text: &str) -> Answer {
    let (headers, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let status = headers
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    let chunked = headers
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = if chunked {
        unchunk(body)
    } else {
        body.to_owned()
    };
    Answer {
        status,
        headers: headers.to_owned(),
        body,
    }
}

fn unchunk(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else {
            break;
        };
        if size == 0 || rest.len() < size {
            break;
        }
        whole.push_str(&rest[..size]);
        text = rest[size..].trim_start_matches("\r\n");
    }
    whole
}
