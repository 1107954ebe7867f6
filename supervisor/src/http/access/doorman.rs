//! Finds out who asks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::access::{
    self, Access, Identity, LONGEST_PASSWORD, Role, Throttle, Token, TrustedProxy, User, Via,
};
use crate::config::Config;
use crate::http::Problem;

/// Finds out who asks.
///
/// Checking a password costs tens of milliseconds and megabytes, on purpose. One is
/// checked at a time, a few wait, and one that was right is known for a while by a digest
/// under a key of this process; so nobody can make the supervisor busy with guessing.
#[derive(Debug)]
pub(crate) struct Doorman {
    access: Access,
    anonymous: bool,
    checks: Semaphore,
    key: [u8; 32],
    memory: Mutex<Memory>,
    /// Checked in place of the hash of a user that is not there: an answer that came
    /// sooner would tell which names are there. Made at the first use.
    decoy: Mutex<Option<Arc<str>>>,
}

#[derive(Debug, Default)]
struct Memory {
    throttle: Throttle,
    /// Which user showed what, and until when that counts.
    known: HashMap<[u8; 32], (usize, Instant)>,
}

/// What somebody showed.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Bearer(String),
    Basic(String, String),
    /// A header that is neither.
    Other,
    Nothing,
}

/// How long a password that was right is known without checking it again.
const KNOWN_FOR: Duration = Duration::from_secs(300);
/// How many of them.
const KNOWN: usize = 1_024;
/// How long a check waits for its turn.
const TURN: Duration = Duration::from_secs(3);

impl Doorman {
    pub(crate) fn new(config: &Config) -> Self {
        let mut access = config.access.clone();
        if let Some(token) = &config.token {
            // Checked with the configuration.
            access
                .tokens
                .extend(Token::with_secret("token", Role::Admin, token));
        }
        let mut key = [0; 32];
        key[..16].copy_from_slice(Uuid::new_v4().as_bytes());
        key[16..].copy_from_slice(Uuid::new_v4().as_bytes());
        Self {
            access,
            anonymous: config.allow_anonymous,
            checks: Semaphore::new(1),
            key,
            memory: Mutex::default(),
            decoy: Mutex::default(),
        }
    }

    /// Says who asks, or what would be needed to say it.
    pub(crate) async fn identify(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        now: Instant,
    ) -> Result<Identity, Problem> {
        if !self.access.names_somebody() {
            return self.unnamed(headers);
        }
        if let Some(proxy) = &self.access.proxy
            && proxy.trusts(peer)
            && headers.contains_key(&proxy.header)
        {
            return by_proxy(proxy, headers);
        }
        let client = self.client(headers, peer);
        match shown(headers) {
            Shown::Nothing => Err(self.unauthorized("none")),
            Shown::Other => Err(self.unauthorized("another kind of Authorization")),
            Shown::Bearer(secret) => match self.token(&secret) {
                Some(who) => Ok(who),
                None => Err(self.wrong(client, now)),
            },
            Shown::Basic(name, password) => match self.token(&password) {
                // Browsers know no other way to bear a token.
                Some(who) => Ok(who),
                None => self.password(&name, password, client, now).await,
            },
        }
    }

    /// Without anybody named only this machine may ask. A page of some site in a browser
    /// here could too, by a name of its own that it points to 127.0.0.1; its Host gives it
    /// away.
    fn unnamed(&self, headers: &HeaderMap) -> Result<Identity, Problem> {
        if self.anonymous {
            return Ok(Identity::new("anonymous", Role::Admin, Via::Anonymous));
        }
        let host = text(headers, header::HOST.as_str());
        if !host.is_none_or(is_local) {
            let message = "expected a local host name in Host, found another; set a token, users \
                           or allow_anonymous to serve other names";
            return Err(Problem::new(403, "forbidden_host", message));
        }
        Ok(Identity::new("local", Role::Admin, Via::Local))
    }

    fn token(&self, secret: &str) -> Option<Identity> {
        let digest = access::digest(secret);
        // All of them, whichever it is.
        let tokens = self.access.tokens.iter();
        let found = tokens.fold(None, |found, token| {
            if token.is(&digest) {
                Some(token)
            } else {
                found
            }
        });
        found.map(|token| Identity::new(&*token.name, token.role, Via::Token))
    }

    async fn password(
        &self,
        name: &str,
        password: String,
        client: Option<IpAddr>,
        now: Instant,
    ) -> Result<Identity, Problem> {
        let digest = access::keyed_digest(&self.key, name, &password);
        let known = self.memory().recall(&digest, now);
        if let Some(user) = known.and_then(|at| self.access.users.get(at)) {
            return Ok(named(user));
        }
        if self.access.users.is_empty() || password.len() > LONGEST_PASSWORD {
            return Err(self.wrong(client, now));
        }
        self.may_try(client, now)?;
        let mut users = self.access.users.iter().enumerate();
        let found = users.find(|(_, user)| user.name == name);
        let turn = tokio::time::timeout(TURN, self.checks.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            let message = "too many passwords wait to be checked; try again";
            return Err(Problem::new(503, "busy", message));
        };
        // Others may have been wrong while this one waited.
        self.may_try(client, now)?;
        let hash = match found {
            Some((_, user)) => user.hash.as_str().into(),
            None => self.decoy(),
        };
        let check = move || access::verify(&password, &hash);
        let right = tokio::task::spawn_blocking(check).await.unwrap_or(false);
        match found {
            Some((at, user)) if right => {
                self.memory().remember(digest, at, now);
                Ok(named(user))
            }
            _ => Err(self.wrong(client, now)),
        }
    }

    fn decoy(&self) -> Arc<str> {
        let mut decoy = self.decoy.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let made = access::hash_password(&Uuid::new_v4().to_string());
            made.unwrap_or_default().into()
        };
        Arc::clone(decoy.get_or_insert_with(made))
    }

    fn may_try(&self, client: Option<IpAddr>, now: Instant) -> Result<(), Problem> {
        let wait = client.and_then(|client| self.memory().throttle.wait(client, now));
        match wait {
            Some(wait) => Err(too_often(wait)),
            None => Ok(()),
        }
    }

    /// Takes down that somebody was wrong, and says so.
    fn wrong(&self, client: Option<IpAddr>, now: Instant) -> Problem {
        if let Err(problem) = self.may_try(client, now) {
            return problem;
        }
        if let Some(client) = client {
            self.memory().throttle.wrong(client, now);
        }
        tracing::warn!(
            target: "celeriac::audit",
            client = client.map(tracing::field::display),
            "a wrong password or token"
        );
        self.unauthorized("a wrong one")
    }

    fn unauthorized(&self, found: &str) -> Problem {
        let mut ways = Vec::new();
        if !self.access.tokens.is_empty() {
            ways.push("a token as bearer token or as password");
        }
        if !self.access.users.is_empty() {
            ways.push("a user's name and password");
        }
        if self.access.proxy.is_some() {
            ways.push("a request through the trusted proxy");
        }
        let message = format!("expected {}, found {found}", ways.join(", or "));
        Problem::new(401, "unauthorized", message)
    }

    /// Returns the address that wrong tries count for: behind a trusted proxy the one
    /// that the proxy saw, so that one client does not lock out all.
    fn client(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
        let trusted = self
            .access
            .proxy
            .as_ref()
            .is_some_and(|proxy| proxy.trusts(peer));
        let seen = trusted.then(|| {
            let last = headers.get_all("x-forwarded-for").iter().next_back()?;
            last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
        });
        seen.flatten().or(peer)
    }

    /// Returns the name by which a client asks for this supervisor.
    pub(crate) fn host<'a>(&self, headers: &'a HeaderMap, peer: Option<IpAddr>) -> Option<&'a str> {
        let trusted = self
            .access
            .proxy
            .as_ref()
            .is_some_and(|proxy| proxy.trusts(peer));
        let forwarded = trusted.then(|| text(headers, "x-forwarded-host")).flatten();
        forwarded.or_else(|| text(headers, header::HOST.as_str()))
    }

    pub(crate) const fn shows_metrics_to_all(&self) -> bool {
        self.access.metrics_anonymous
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn recall(&self, digest: &[u8; 32], now: Instant) -> Option<usize> {
        let (user, until) = self.known.get(digest)?;
        (*until > now).then_some(*user)
    }

    fn remember(&mut self, digest: [u8; 32], user: usize, now: Instant) {
        if self.known.len() >= KNOWN {
            self.known.retain(|_, (_, until)| *until > now);
        }
        if self.known.len() < KNOWN {
            self.known.insert(digest, (user, now + KNOWN_FOR));
        }
    }
}

fn named(user: &User) -> Identity {
    Identity::new(&*user.name, user.role, Via::Password)
}

/// Takes a trusted proxy's word.
fn by_proxy(proxy: &TrustedProxy, headers: &HeaderMap) -> Result<Identity, Problem> {
    let mut names = headers.get_all(&proxy.header).iter();
    let name = names.next().and_then(|name| name.to_str().ok());
    let name = name
        .map(str::trim)
        .filter(|name| !name.is_empty() && name.len() <= 255);
    // Two names may be the proxy's and one that it let through.
    let (Some(name), None) = (name, names.next()) else {
        let message = format!(
            "expected one name of 1 to 255 visible characters in {}, found another",
            proxy.header
        );
        return Err(Problem::new(401, "unauthorized", message));
    };
    let groups = proxy
        .groups_header
        .iter()
        .flat_map(|header| headers.get_all(header));
    let groups: Vec<_> = groups.collect();
    if groups.len() > 1 {
        let message = format!(
            "expected one {}, found {}",
            proxy.groups_header.as_deref().unwrap_or_default(),
            groups.len()
        );
        return Err(Problem::new(401, "unauthorized", message));
    }
    let groups = groups.into_iter().filter_map(|groups| groups.to_str().ok());
    match proxy.role(groups.flat_map(|groups| groups.split(','))) {
        Some(role) => Ok(Identity::new(name, role, Via::Proxy)),
        None => {
            let message = format!("expected a group that has a role, found none for '{name}'");
            Err(Problem::forbidden(message))
        }
    }
}

/// Returns what somebody showed.
fn shown(headers: &HeaderMap) -> Shown {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Shown::Nothing;
    };
    let Some((scheme, secret)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return Shown::Other;
    };
    if scheme.eq_ignore_ascii_case("bearer") {
        return Shown::Bearer(secret.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Shown::Other;
    }
    let decoded = STANDARD
        .decode(secret.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.split_once(':')) {
        Some((name, password)) => Shown::Basic(name.to_owned(), password.to_owned()),
        None => Shown::Other,
    }
}

fn too_often(wait: Duration) -> Problem {
    let seconds = wait.as_secs() + 1;
    let message = format!("too many wrong passwords or tokens; try again in {seconds} s");
    Problem::new(429, "too_often", message).after(seconds)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Says whether a host, with or without a port, is a name of this machine itself.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let loopback = name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    loopback || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests;
