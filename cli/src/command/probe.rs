//! `celeriac probe`: asks the process on this machine how it is.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use crate::args;
use crate::error::Error;
use crate::output::Output;
use crate::settings::Settings;

/// No answer of a probe is longer.
const ANSWER: u64 = 64 * 1024;

/// Where a supervisor listens when nobody says.
const SUPERVISOR: &str = "127.0.0.1:9595";

/// What a process answers.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    reasons: Vec<String>,
}

/// Asks and says the answer in one line: status 0 for yes, 1 for no, 69 when nobody answers.
pub(crate) fn run(
    settings: &Settings,
    args: &args::Probe,
    output: Output,
) -> Result<ExitCode, Error> {
    let address = address(settings, args.supervisor)?;
    let what = args.what.word();
    match ask(address, args.what.path(), args.timeout) {
        Ok(Answer { ok: true, .. }) => {
            let told = json!({ "probe": what, "ok": true });
            output.show(&told, || what.to_owned());
            Ok(ExitCode::SUCCESS)
        }
        Ok(Answer { reasons, .. }) => {
            Err(Error::Failed(format!("not {what}: {}", reasons.join("; "))))
        }
        Err(why) => {
            let text = format!("nobody answers at {address}: {why}");
            Err(Error::Unavailable(text))
        }
    }
}

/// Returns where to ask: at the address that the process on this machine was given.
fn address(settings: &Settings, supervisor: bool) -> Result<SocketAddr, Error> {
    let set = |name: &str| settings.parse::<SocketAddr>(name, "an address such as 127.0.0.1:9590");
    let found = match supervisor {
        true => set("listen")?.or_else(|| SUPERVISOR.parse().ok()),
        false => match set("http")? {
            Some(address) => Some(address),
            None => set("listen")?,
        },
    };
    let found = found.ok_or_else(|| {
        Error::Usage(
            "expected the address to ask, as CELERIAC_HTTP or --http of a node, CELERIAC_LISTEN or \
             --listen of a supervisor, or --supervisor for its default; found none"
                .to_owned(),
        )
    })?;
    Ok(reachable(found))
}

/// Turns the address of all interfaces into that of this machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Asks over a connection of its own. Written by hand because a probe is started every few
/// seconds: no runtime, no threads, no client to set up.
fn ask(address: SocketAddr, path: &str, within: Duration) -> std::io::Result<Answer> {
    let end = Instant::now() + within;
    let late = || {
        std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("not within {within:?}"),
        )
    };
    let left = || {
        let left = end.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left).ok_or_else(late)
    };
    let mut stream = TcpStream::connect_timeout(&address, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    while (bytes.len() as u64) < ANSWER {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Err(late()),
            Err(error) => return Err(error),
        }
    }
    read(&String::from_utf8_lossy(&bytes)).ok_or_else(|| {
        let found: String = bytes
            .iter()
            .take(40)
            .map(|byte| char::from(*byte))
            .collect();
        std::io::Error::other(format!("expected the answer of a probe, found {found:?}"))
    })
}

fn read(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    let answer: Answer = serde_json::from_str(body).ok()?;
    // The two say the same, or it is not a probe that answers.
    matches!((status, answer.ok), ("200", true) | ("503", false)).then_some(answer)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::settings::Layer;

    fn settings(http: Option<&str>, listen: Option<&str>) -> Settings {
        let layer = Layer {
            http: http.map(Into::into),
            listen: listen.map(Into::into),
            ..Layer::default()
        };
        Settings::of_flags(&layer)
    }

    #[test]
    fn whichever_address_is_set_is_asked_at_this_machine() {
        let (node, other) = (Some("0.0.0.0:9590"), Some("[::]:9595"));
        for (http, listen, supervisor, expected) in [
            (node, None, false, "127.0.0.1:9590"),
            (None, other, false, "[::1]:9595"),
            (node, other, false, "127.0.0.1:9590"),
            (node, other, true, "[::1]:9595"),
            (node, None, true, SUPERVISOR),
            (Some("10.1.2.3:80"), None, false, "10.1.2.3:80"),
        ] {
            let found = address(&settings(http, listen), supervisor).unwrap();
            assert_eq!(found.to_string(), expected);
        }
        let none = address(&settings(None, None), false).unwrap_err();
        assert!(none.to_string().contains("CELERIAC_HTTP"), "{none}");
    }

    fn answering(text: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).unwrap();
            let _ = stream.write_all(text.as_bytes());
        });
        address
    }

    #[test]
    fn an_answer_is_read_with_its_reasons() {
        let second = Duration::from_secs(5);
        let yes = answering("HTTP/1.1 200 OK\r\nx: y\r\n\r\n{\"ok\":true,\"reasons\":[]}");
        assert!(ask(yes, "/livez", second).unwrap().ok);
        let no = answering(
            "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"ok\":false,\"reasons\":[\"a\",\"b\"]}",
        );
        assert_eq!(ask(no, "/readyz", second).unwrap().reasons, ["a", "b"]);
        let other = answering("HTTP/1.1 200 OK\r\n\r\n<html>");
        let error = ask(other, "/livez", second).unwrap_err().to_string();
        assert!(error.contains("expected the answer of a probe"), "{error}");
    }

    #[test]
    fn who_takes_too_long_does_not_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let error = ask(address, "/livez", Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.to_string(), "not within 50ms");
    }
}
