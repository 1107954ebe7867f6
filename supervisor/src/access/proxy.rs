//! Proxies that say who somebody is.

use std::net::IpAddr;
use std::str::FromStr;

use super::Role;

/// Proxies in front that know people, such as oauth2-proxy, and say in a header who asks.
///
/// The headers count only on connections from `peers`; from anywhere else they are what
/// anybody could have written, and count for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxy {
    /// The header with the name, such as `X-Forwarded-User`.
    pub header: String,
    /// The header with the groups, separated by commas, such as `X-Forwarded-Groups`.
    pub groups_header: Option<String>,
    /// Which group has which role. Names are compared whole, case included. The highest
    /// role counts.
    pub roles: Vec<(String, Role)>,
    /// The role of those in none of the groups. Default none: they are refused.
    pub default_role: Option<Role>,
    /// From where the headers count.
    pub peers: Vec<Network>,
}

/// A range of addresses, such as `10.0.0.0/8` or `::1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl TrustedProxy {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// Says which of them cannot be used.
    pub(crate) fn check(&self) -> Result<(), (&'static str, &'static str, String)> {
        let good = |name: &str| {
            let token = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            !name.is_empty() && name.len() <= 100 && name.bytes().all(token)
        };
        // What a client sets by itself anyway can prove nothing.
        let taken = ["authorization", "host", "origin", "cookie"];
        let usable = |name: &str| good(name) && !taken.contains(&&*name.to_ascii_lowercase());
        if !usable(&self.header) {
            let found = format!("{:?}", self.header);
            return Err(("trusted_header", "the name of a header", found));
        }
        if let Some(groups) = self.groups_header.as_deref().filter(|name| !usable(name)) {
            return Err((
                "groups_header",
                "the name of a header",
                format!("{groups:?}"),
            ));
        }
        if self.peers.is_empty() {
            let expected = "the addresses that the header is believed from";
            return Err(("trusted_proxies", expected, "none".to_owned()));
        }
        if self.roles.is_empty() && self.default_role.is_none() {
            let expected = "a role for a group, or default_role";
            return Err(("group_roles", expected, "none".to_owned()));
        }
        if !self.roles.is_empty() && self.groups_header.is_none() {
            let expected = "the header that has the groups";
            return Err(("groups_header", expected, "none".to_owned()));
        }
        Ok(())
    }

    /// Says whether a peer's headers count.
    pub(crate) fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.peers.iter().any(|network| network.contains(peer)))
    }

    /// Returns the highest role of somebody in these groups.
    pub(crate) fn role<'a>(&self, groups: impl IntoIterator<Item = &'a str>) -> Option<Role> {
        let roles = groups.into_iter().flat_map(|group| {
            let of = self
                .roles
                .iter()
                .filter(move |(name, _)| name == group.trim());
            of.map(|(_, role)| *role)
        });
        roles.max().or(self.default_role)
    }
}

impl Network {
    /// Says whether an address is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, true),
            IpAddr::V6(v6) => (v6.to_bits(), false),
        };
        // A socket of both families shows the one in the other's clothes.
        let ((ours, four), (theirs, also)) = (bits(self.address), bits(address.to_canonical()));
        let mask = u128::MAX
            .checked_shl(128 - u32::from(self.prefix))
            .unwrap_or(0);
        four == also && ours & mask == theirs & mask
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected an address or a range such as 10.0.0.0/8, found {text:?}");
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), |prefix| prefix.parse().map_err(|_| wrong()))?;
        if prefix > most {
            return Err(wrong());
        }
        Ok(Self { address, prefix })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn ranges_hold_what_they_say() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "9.9.9.9", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::1", "::1", true),
            ("::1/0", "127.0.0.1", false),
        ] {
            let range: Network = network.parse().unwrap();
            assert_eq!(
                range.contains(address.parse().unwrap()),
                expected,
                "{network} {address}"
            );
        }
        for bad in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "x",
            "10.0.0.0/-1",
            "10.0.0.1/8/8",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn groups_are_compared_whole() {
        let proxy = TrustedProxy {
            header: "X-Forwarded-User".to_owned(),
            groups_header: Some("X-Forwarded-Groups".to_owned()),
            roles: vec![
                ("ops".to_owned(), Role::Operator),
                ("admins".to_owned(), Role::Admin),
            ],
            default_role: None,
            peers: vec!["10.0.0.0/8".parse().unwrap()],
        };
        proxy.check().unwrap();
        for (groups, expected) in [
            (&["ops"][..], Some(Role::Operator)),
            (&["ops", " admins "], Some(Role::Admin)),
            (
                &["admins.evil", "xadmins", "ADMINS", "admin", ".*", ""],
                None,
            ),
            (&[], None),
        ] {
            assert_eq!(proxy.role(groups.iter().copied()), expected, "{groups:?}");
        }
        let open = TrustedProxy {
            default_role: Some(Role::Viewer),
            ..proxy.clone()
        };
        assert_eq!(open.role(["other"]), Some(Role::Viewer));
        for bad in ["", "X Y", "Authorization", "a\r\nb"] {
            let bad = TrustedProxy {
                header: bad.to_owned(),
                ..proxy.clone()
            };
            assert_eq!(bad.check().unwrap_err().0, "trusted_header");
        }
        assert!(
            TrustedProxy {
                peers: Vec::new(),
                ..proxy.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            TrustedProxy {
                groups_header: None,
                ..proxy
            }
            .check()
            .is_err()
        );
    }
}
