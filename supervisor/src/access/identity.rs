//! Who sent a request.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What somebody may do. Each role may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Looks, and changes nothing.
    Viewer,
    /// Sends, revokes and replays tasks, controls nodes and queues.
    Operator,
    /// Also what cannot be undone or lasts: purges, schedules, the audit log.
    Admin,
}

/// How somebody proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// Asked from this machine, where nothing else is set up.
    Local,
    /// Asked without proof, which the settings allow.
    Anonymous,
    /// Gave a name and a password.
    Password,
    /// Bore a token.
    Token,
    /// Was named by a proxy that is trusted.
    Proxy,
}

/// Who sent a request. The gate puts one into the extensions of each request that it
/// lets in; a handler takes it as an argument.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
    pub(crate) via: Via,
    /// Where the connection came from; the proxy's address behind a proxy.
    pub(crate) peer: Option<IpAddr>,
    /// Whether the request was written to the audit log. Shared by all clones.
    told: Arc<AtomicBool>,
}

impl Identity {
    pub(crate) fn new(name: impl Into<Arc<str>>, role: Role, via: Via) -> Self {
        Self {
            name: name.into(),
            role,
            via,
            peer: None,
            told: Arc::default(),
        }
    }

    pub(crate) const fn at_peer(mut self, peer: Option<IpAddr>) -> Self {
        self.peer = peer;
        self
    }

    /// Says that what was asked for is in the audit log.
    pub(crate) fn set_told(&self) {
        self.told.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// Returns the name, as settings and answers write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl Via {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Anonymous => "anonymous",
            Self::Password => "password",
            Self::Token => "token",
            Self::Proxy => "proxy",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|role| role.as_str() == text);
        known.ok_or_else(|| format!("expected viewer, operator or admin, found {text:?}"))
    }
}
