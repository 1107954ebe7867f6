//! From a broker URL to where and how to connect.

use std::time::Duration;

use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};

use super::Config;
use crate::broker::mask;
use crate::error::{Error, Result};

/// The largest frame, unless the URL says otherwise. Bodies are cut into frames;
/// properties and headers together must fit into one.
const FRAME_MAX: u32 = 65_536;

/// Reads a URL and what its query says about the settings.
///
/// An empty path is the virtual host `/`, as in Celery; so are `//` and `/%2F`.
pub(super) fn parse(text: &str, config: &mut Config) -> Result<AMQPUri> {
    let invalid = |expected: &str, found: &str| Err(Error::invalid("broker url", expected, found));
    let url = match url::Url::parse(text) {
        Ok(url) if url.has_host() || url.host().is_none() && !url.cannot_be_a_base() => url,
        _ => return invalid("amqp://user:password@host:port/vhost", &mask(text)),
    };
    let scheme = match url.scheme() {
        "amqp" | "pyamqp" => AMQPScheme::AMQP,
        "amqps" => AMQPScheme::AMQPS,
        other => return invalid("the scheme amqp or amqps", other),
    };
    let host = match url.host() {
        Some(url::Host::Ipv6(address)) => address.to_string(),
        Some(host) => decode("host", &host.to_string())?,
        None => "localhost".to_owned(),
    };
    let username = match url.username() {
        "" => "guest".to_owned(),
        name => decode("user name", name)?,
    };
    let password = match url.password() {
        None => "guest".to_owned(),
        // Never in an error: the decoder's complaint would quote it.
        Some(password) => match decode("password", password) {
            Ok(password) => password,
            Err(_) => return invalid("a password in percent-encoded UTF-8", "other bytes"),
        },
    };
    let vhost = match url.path().strip_prefix('/').unwrap_or_default() {
        "" => "/".to_owned(),
        path => decode("virtual host", path)?,
    };
    let mut query = AMQPQueryString::default();
    for (name, value) in url.query_pairs() {
        match &*name {
            "heartbeat" => {
                config.heartbeat = Duration::from_secs(u64::from(number::<u16>(&name, &value)?))
            }
            "connection_timeout" => {
                config.connection_timeout =
                    Duration::from_millis(number::<u32>(&name, &value)?.max(1).into());
            }
            "frame_max" => query.frame_max = Some(number(&name, &value)?),
            "channel_max" => query.channel_max = Some(number(&name, &value)?),
            _ => {
                return invalid(
                    "heartbeat, connection_timeout, frame_max or channel_max in the query",
                    &name,
                );
            }
        }
    }
    // The client keeps 64 frames of buffers for each of two connections, all of it
    // resident: the server's usual 128 KiB would make that most of an idle node.
    query.frame_max.get_or_insert(FRAME_MAX);
    query.heartbeat = Some(u16::try_from(config.heartbeat.as_secs()).unwrap_or(u16::MAX));
    let port = url.port().unwrap_or_else(|| scheme.default_port());
    Ok(AMQPUri {
        scheme,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo { username, password },
            host,
            port,
        },
        vhost,
        query,
    })
}

fn decode(what: &str, text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
                _ => {
                    return Err(Error::invalid(
                        format!("broker url, {what}"),
                        "two hex digits after %",
                        text,
                    ));
                }
            },
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes)
        .map_err(|_| Error::invalid(format!("broker url, {what}"), "percent-encoded UTF-8", text))
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T> {
    text.parse().map_err(|_| {
        Error::invalid(
            format!("broker url, {name}"),
            "a whole number in range",
            text,
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parsed(text: &str) -> AMQPUri {
        parse(text, &mut Config::default()).unwrap()
    }

    #[test]
    fn defaults_are_those_of_the_server() {
        let uri = parsed("amqp://");
        assert_eq!(uri.authority, AMQPAuthority::default());
        assert_eq!((uri.vhost.as_str(), uri.query.heartbeat), ("/", Some(10)));
        assert_eq!(parsed("amqps://broker").authority.port, 5671);
        assert_eq!(parsed("pyamqp://broker").authority.port, 5672);
    }

    #[test]
    fn virtual_hosts_are_read_as_celery_reads_them() {
        for (url, vhost) in [
            ("amqp://h", "/"),
            ("amqp://h/", "/"),
            ("amqp://h//", "/"),
            ("amqp://h/%2F", "/"),
            ("amqp://h/jobs", "jobs"),
            ("amqp://h/%2Fjobs", "/jobs"),
            ("amqp://h/a%20b", "a b"),
        ] {
            assert_eq!(parsed(url).vhost, vhost, "{url}");
        }
    }

    #[test]
    fn credentials_and_addresses_are_decoded() {
        let uri = parsed(
            "amqp://us%40er:p%2Fw%3A%C3%A9@[::1]:5673/v?heartbeat=60&connection_timeout=2500",
        );
        assert_eq!(uri.authority.userinfo.username, "us@er");
        assert_eq!(uri.authority.userinfo.password, "p/w:é");
        assert_eq!(
            (uri.authority.host.as_str(), uri.authority.port),
            ("::1", 5673)
        );
        assert_eq!(uri.query.heartbeat, Some(60));
        let mut config = Config::default();
        parse("amqp://h?connection_timeout=2500", &mut config).unwrap();
        assert_eq!(config.connection_timeout, Duration::from_millis(2500));
    }

    #[test]
    fn errors_say_what_is_wrong_and_hide_the_password() {
        let error = |url: &str| parse(url, &mut Config::default()).unwrap_err().to_string();
        assert_eq!(
            error("amqp://h?hearbeat=1"),
            "broker url: expected heartbeat, connection_timeout, frame_max or channel_max in the query, found hearbeat"
        );
        assert_eq!(
            error("amqp://h?heartbeat=-1"),
            "broker url, heartbeat: expected a whole number in range, found -1"
        );
        assert!(error("http://u:secret@h").contains("amqp or amqps"));
        for url in [
            "amqp://u:se%ffcret@h",
            "amqp://u:se%zzcret@h",
            "amqp://u:secret@h:notaport/",
        ] {
            assert!(!error(url).contains("cret"), "{}", error(url));
        }
    }
}
