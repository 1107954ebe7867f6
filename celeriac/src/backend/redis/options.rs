//! How the Redis backend is set up: from a URL, or by value.

use std::time::Duration;

use celeriac_protocol::Codec;

use crate::broker::mask;
use crate::error::{Error, Result};

/// How the Redis backend names, writes and ends what it stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisOptions {
    /// Put before every key and channel, with an underscore between (Celery's
    /// `global_keyprefix`). Default none.
    pub prefix: String,
    /// For how long a result is kept, in whole seconds; `None` for ever. Default a day.
    pub expires: Option<Duration>,
    /// For how long a failure is kept; `None` for as long as the others. Default `None`.
    pub failure_expires: Option<Duration>,
    /// For how long a chord's counter and its header's results are kept (Celery's
    /// `result_chord_expires`); `None` for as long as results. Default `None`.
    pub chord_expires: Option<Duration>,
    /// Whether a chord's body gets its header's results in the header's order, or in
    /// that of their coming (Celery's `result_chord_ordered`). All workers of a chord
    /// must say the same. Default in order.
    pub chord_ordered: bool,
    /// How results are written. Any codec is read. Default JSON.
    pub codec: Codec,
    /// How long making a connection may take. Default 5 s.
    pub connection_timeout: Duration,
    /// How long an answer may take before the connection counts as lost. Default 5 s.
    pub response_timeout: Duration,
    /// How large a compressed result may be when decompressed. Default 64 MiB.
    pub decompressed_limit: usize,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            expires: Some(Duration::from_secs(86_400)),
            failure_expires: None,
            chord_expires: None,
            chord_ordered: true,
            codec: Codec::Json,
            connection_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(5),
            decompressed_limit: 64 << 20,
        }
    }
}

impl RedisOptions {
    /// Returns a key with the prefix.
    pub(super) fn key(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}_{name}", self.prefix)
        }
    }

    /// Returns for how many seconds a document is kept; 0 is for ever.
    pub(super) fn ttl(&self, failure: bool) -> u64 {
        let special = self.failure_expires.filter(|_| failure);
        seconds(special.or(self.expires))
    }

    /// Returns for how many seconds what belongs to a chord is kept; 0 is for ever.
    pub(super) fn chord_ttl(&self) -> u64 {
        seconds(self.chord_expires.or(self.expires))
    }

    /// Returns for how many seconds a saved group is kept, which may be a chord's header:
    /// as long as the one of the two that lives longer; 0 is for ever.
    pub(super) fn group_ttl(&self) -> u64 {
        match (self.ttl(false), self.chord_ttl()) {
            (0, _) | (_, 0) => 0,
            (results, chord) => results.max(chord),
        }
    }
}

fn seconds(ttl: Option<Duration>) -> u64 {
    // Redis does not take 0 as a time to live, and less than a second is not "never".
    ttl.map_or(0, |ttl| ttl.as_secs().max(1))
}

/// What a URL says: where the server is, and options by the names of Celery's settings.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) client: redis::Client,
    pub(super) options: RedisOptions,
    /// Without the password.
    pub(super) url: String,
}

impl Target {
    /// Reads `redis[s]://[user:password@]host[:port][/db][?option=value]`.
    pub(super) fn read(url: &str) -> Result<Self> {
        let invalid =
            |expected: &str, found: &str| Error::invalid("result backend url", expected, found);
        let expected = "redis://[:password@]host[:port][/db], rediss:// for TLS";
        let scheme = url.split(':').next().unwrap_or_default();
        match scheme {
            "redis" | "rediss" => {}
            "redis+socket" | "unix" => {
                return Err(invalid(
                    expected,
                    "a Unix socket, which is not supported: use TCP",
                ));
            }
            "sentinel" => {
                return Err(invalid(
                    expected,
                    "Redis Sentinel, which is not supported: name the master",
                ));
            }
            _ => return Err(invalid(expected, &mask(url))),
        }
        // Two servers in one URL are Celery's form for failover.
        if url.contains(';') {
            return Err(invalid("one server", "several, separated by semicolons"));
        }
        let mut parsed = url::Url::parse(url).map_err(|_| invalid(expected, &mask(url)))?;
        if parsed.host_str().is_none_or(str::is_empty) {
            parsed
                .set_host(Some("localhost"))
                .map_err(|_| invalid(expected, &mask(url)))?;
        }
        let mut options = RedisOptions::default();
        for (name, value) in parsed.query_pairs() {
            options.set(&name, &value)?;
        }
        parsed.set_query(None);
        let client = redis::Client::open(parsed)
            .map_err(|error| invalid(expected, &format!("{}: {error}", mask(url))))?;
        Ok(Self {
            client,
            options,
            url: mask(url),
        })
    }
}

impl RedisOptions {
    /// Sets an option by the name of Celery's setting.
    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let invalid = |expected: &str| {
            Err(Error::invalid(
                format!("result backend url, {name}"),
                expected,
                value,
            ))
        };
        let seconds = || value.parse::<u64>().map(Duration::from_secs);
        match name {
            "global_keyprefix" => value.clone_into(&mut self.prefix),
            "result_expires" => match seconds() {
                Ok(expires) => self.expires = Some(expires).filter(|expires| !expires.is_zero()),
                Err(_) => return invalid("whole seconds, 0 for ever"),
            },
            "result_failure_expires" => match seconds() {
                Ok(expires) => self.failure_expires = Some(expires).filter(|e| !e.is_zero()),
                Err(_) => return invalid("whole seconds"),
            },
            "result_chord_expires" => match seconds() {
                Ok(expires) => self.chord_expires = Some(expires).filter(|e| !e.is_zero()),
                Err(_) => return invalid("whole seconds"),
            },
            "result_chord_ordered" => match value {
                "true" | "True" | "1" => self.chord_ordered = true,
                "false" | "False" | "0" => self.chord_ordered = false,
                _ => return invalid("true or false"),
            },
            "result_serializer" => match value {
                "json" => self.codec = Codec::Json,
                "msgpack" => self.codec = Codec::Msgpack,
                _ => return invalid("json or msgpack"),
            },
            "socket_timeout" => match seconds() {
                Ok(timeout) if !timeout.is_zero() => self.response_timeout = timeout,
                _ => return invalid("whole seconds above 0"),
            },
            "socket_connect_timeout" => match seconds() {
                Ok(timeout) if !timeout.is_zero() => self.connection_timeout = timeout,
                _ => return invalid("whole seconds above 0"),
            },
            // Part of every rediss:// URL of Celery's.
            "ssl_cert_reqs" => match value {
                "required" | "CERT_REQUIRED" => {}
                _ => return invalid("required: an unverified certificate is not accepted"),
            },
            _ => {
                return Err(Error::invalid(
                    "result backend url",
                    "global_keyprefix, result_expires, result_failure_expires, \
                     result_chord_expires, result_chord_ordered, result_serializer, socket_timeout, socket_connect_timeout or ssl_cert_reqs",
                    name,
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_url_says_where_and_how() {
        let target = Target::read(
            "redis://:secret@redis.test:7000/3?global_keyprefix=app&result_expires=0\
             &result_failure_expires=50&result_serializer=msgpack&result_chord_expires=600\
             &result_chord_ordered=false",
        )
        .unwrap();
        assert!(!target.url.contains("secret"), "{}", target.url);
        let info = target.client.get_connection_info();
        assert_eq!(info.redis_settings().db(), 3);
        assert_eq!(info.redis_settings().password(), Some("secret"));
        assert_eq!(target.options.key("k"), "app_k");
        assert_eq!(target.options.ttl(false), 0);
        assert_eq!(target.options.ttl(true), 50);
        assert_eq!(target.options.codec, Codec::Msgpack);
        assert_eq!(target.options.chord_ttl(), 600);
        assert!(!target.options.chord_ordered);
        assert_eq!(
            Target::read("redis://").unwrap().options,
            RedisOptions::default()
        );
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (url, word) in [
            ("redis+socket:///run/redis.sock", "socket"),
            ("sentinel://host:26379", "Sentinel"),
            ("redis://a:1;redis://b:2", "several"),
            ("redis://host/zero", "host/zero"),
            ("redis://host/0?result_expires=soon", "soon"),
            ("redis://host/0?colour=red", "colour"),
            ("rediss://host/0?ssl_cert_reqs=none", "certificate"),
            ("amqp://host", "amqp"),
        ] {
            let error = Target::read(url).unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{error}");
            assert!(error.to_string().contains(word), "{error}");
        }
        let error = Target::read("redis://:secret@host/zero").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
