//! The settings of who may do what.

use std::collections::HashSet;
use std::time::Duration;

use super::{Token, TrustedProxy, User};
use crate::error::Error;

/// Who may ask, and what is kept of it.
///
/// With nobody named here, and no [`Config::token`](crate::Config::token), only this
/// machine may ask, and may do everything.
#[derive(Debug, Clone)]
pub struct Access {
    /// People, who show a name and a password (HTTP Basic). Default none.
    pub users: Vec<User>,
    /// Programs, which bear a token. Default none.
    pub tokens: Vec<Token>,
    /// A proxy in front that says who asks. Default none.
    pub proxy: Option<TrustedProxy>,
    /// Shows `/metrics` to everybody. Default false: it takes a viewer.
    pub metrics_anonymous: bool,
    /// How long the audit log keeps an entry. Default 365 days.
    pub audit_age: Duration,
    /// How many entries the audit log keeps; the oldest go first. Default 100,000.
    pub audit_entries: u64,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            users: Vec::new(),
            tokens: Vec::new(),
            proxy: None,
            metrics_anonymous: false,
            audit_age: Duration::from_secs(365 * 86_400),
            audit_entries: 100_000,
        }
    }
}

/// How many users, and how many tokens, there may be.
const MOST: usize = 10_000;

impl Access {
    /// Says whether anybody is named who may ask.
    pub(crate) const fn names_somebody(&self) -> bool {
        !self.users.is_empty() || !self.tokens.is_empty() || self.proxy.is_some()
    }

    /// Checks the settings.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let users = self.users.iter().map(|user| user.name.as_str());
        let tokens = self.tokens.iter().map(|token| token.name.as_str());
        distinct("user", users)?;
        distinct("token", tokens)?;
        if let Some(proxy) = &self.proxy {
            let wrong = |(setting, expected, found)| Error::config(setting, expected, found);
            proxy.check().map_err(wrong)?;
        }
        if self.audit_entries == 0 {
            return Err(Error::config("audit_entries", "at least 1", 0));
        }
        if self.audit_age < Duration::from_secs(60) {
            let found = format!("{:?}", self.audit_age);
            return Err(Error::config("audit_age", "at least a minute", found));
        }
        Ok(())
    }
}

/// Two of one name could not be told apart in the audit log.
fn distinct<'a>(
    setting: &'static str,
    names: impl ExactSizeIterator<Item = &'a str>,
) -> Result<(), Error> {
    if names.len() > MOST {
        return Err(Error::config(setting, "at most 10,000", names.len()));
    }
    let mut seen = HashSet::new();
    let mut names = names;
    match names.find(|name| !seen.insert(*name)) {
        Some(name) => {
            let found = format!("{name:?} twice");
            Err(Error::config(setting, "names that differ", found))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::access::Role;

    #[test]
    fn names_differ_and_bounds_are_sane() {
        Access::default().check().unwrap();
        let token = |name| Token::with_secret(name, Role::Viewer, "0123456789abcdef").unwrap();
        let twice = Access {
            tokens: vec![token("ci"), token("ci")],
            ..Access::default()
        };
        let error = twice.check().unwrap_err().to_string();
        assert_eq!(
            error,
            "token: expected names that differ, found \"ci\" twice"
        );
        let none = Access {
            audit_entries: 0,
            ..Access::default()
        };
        assert!(
            none.check()
                .unwrap_err()
                .to_string()
                .starts_with("audit_entries")
        );
    }
}
