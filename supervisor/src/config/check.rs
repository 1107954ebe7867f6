//! Which settings of a supervisor can be used, alone and together.

use std::time::Duration;

use super::Config;
use crate::access::{Role, Token};
use crate::error::Error;
use crate::leader::LeaderElection;

impl Config {
    /// Checks the settings, each alone and against each other.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] names the first setting that cannot be used.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(token) = &self.token {
            Token::with_secret("token", Role::Admin, token).map_err(Error::Access)?;
        }
        self.access.check()?;
        let guarded = self.token.is_some() || self.access.names_somebody();
        if !guarded && !self.listen.ip().is_loopback() && !self.allow_anonymous {
            let expected = "a loopback address, a token, users, or allow_anonymous";
            return Err(Error::config("listen", expected, self.listen));
        }
        self.place()?;
        self.management()?;
        self.check_lease()?;
        self.node_selector()?;
        for (setting, text) in [("name", &self.name), ("url", &self.url)] {
            if let Some(text) = text
                && (text.is_empty() || text.len() > 255 || text.contains(char::is_control))
            {
                let expected = "1 to 255 bytes without control characters";
                return Err(Error::config(setting, expected, format!("{text:?}")));
            }
        }
        let counts = [
            ("history", self.history, 10_000_000),
            ("max_nodes", self.max_nodes, 100_000),
            ("max_connections", self.max_connections, 100_000),
            ("letters", self.letters, 10_000_000),
            ("letter_body", self.letter_body, 1 << 30),
        ];
        for (setting, count, most) in counts {
            if count == 0 || count > most {
                return Err(Error::config(
                    setting,
                    "at least 1 and a sane maximum",
                    count,
                ));
            }
        }
        let spans = [
            ("forget_after", self.forget_after),
            ("queue_interval", self.queue_interval),
            ("broker_timeout", self.broker_timeout),
            ("request_timeout", self.request_timeout),
            ("max_wait", self.max_wait),
            ("stop_timeout", self.stop_timeout),
        ];
        for (setting, span) in spans {
            if span < Duration::from_millis(10) || span > Duration::from_secs(30 * 86_400) {
                return Err(Error::config(
                    setting,
                    "10 ms to 30 days",
                    format!("{span:?}"),
                ));
            }
        }
        let keeps = Duration::from_secs(1)..=Duration::from_secs(3_650 * 86_400);
        if !keeps.contains(&self.letters_for) {
            let found = format!("{:?}", self.letters_for);
            return Err(Error::config("letters_for", "1 s to 3650 days", found));
        }
        let age = self.history_max_age;
        if age < Duration::from_secs(60) || age > Duration::from_secs(3_660 * 86_400) {
            let expected = "1 minute to 10 years";
            return Err(Error::config(
                "history_max_age",
                expected,
                format!("{age:?}"),
            ));
        }
        if self.history_max_tasks > 1_000_000_000 {
            let expected = "0 to 1,000,000,000";
            return Err(Error::config(
                "history_max_tasks",
                expected,
                self.history_max_tasks,
            ));
        }
        if !(2..=100).contains(&self.lost_beats) {
            let found = self.lost_beats;
            return Err(Error::config("lost_beats", "2 to 100", found));
        }
        // Loops turn once a second when idle, so a shorter window would kill the healthy.
        if self.stall_after < Duration::from_secs(3) {
            let found = format!("{:?}", self.stall_after);
            return Err(Error::config("stall_after", "at least 3 s", found));
        }
        if let Some(name) = self
            .queues
            .iter()
            .chain(&self.dead_letter_queues)
            .find(|name| name.is_empty() || name.len() > 255)
        {
            return Err(Error::config(
                "queues",
                "names of 1 to 255 bytes",
                format!("'{name}'"),
            ));
        }
        Ok(())
    }

    fn check_lease(&self) -> Result<(), Error> {
        if self.leader_election == LeaderElection::Lease && self.lease.is_none() {
            let expected = "the name of a Lease, because leader_election is lease";
            return Err(Error::config("lease", expected, "none"));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let name = |text: &str, dots: bool| {
            let inner = |c| plain(c) || c == '-' || dots && c == '.';
            text.starts_with(plain) && text.ends_with(plain) && text.chars().all(inner)
        };
        if let Some(text) = &self.lease
            && (text.len() > 253 || !name(text, true))
        {
            let expected = "1 to 253 letters a-z, digits, - and ., at both ends a letter or digit";
            return Err(Error::config("lease", expected, format!("{text:?}")));
        }
        if let Some(text) = &self.lease_namespace
            && (text.len() > 63 || !name(text, false))
        {
            let expected = "1 to 63 letters a-z, digits and -, at both ends a letter or digit";
            return Err(Error::config(
                "lease_namespace",
                expected,
                format!("{text:?}"),
            ));
        }
        let span = self.lease_duration;
        if !(2..=3_600).contains(&span.as_secs()) || span.subsec_nanos() > 0 {
            let expected = "whole seconds from 2 to 3600";
            return Err(Error::config(
                "lease_duration",
                expected,
                format!("{span:?}"),
            ));
        }
        Ok(())
    }
}
