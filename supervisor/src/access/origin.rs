//! Whether a browser asks in the name of another site.

/// What a browser says of where a request comes from; `None` where it says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Provenance<'a> {
    /// `Sec-Fetch-Site`.
    pub(crate) site: Option<&'a str>,
    /// `Sec-Fetch-Mode`.
    pub(crate) mode: Option<&'a str>,
    /// `Origin`.
    pub(crate) origin: Option<&'a str>,
    /// The name this supervisor was asked by.
    pub(crate) host: Option<&'a str>,
    /// Whether the request may change something.
    pub(crate) changes: bool,
}

impl Provenance<'_> {
    /// Says whether the request may be one that a page of another site made a browser
    /// send, with the credentials that the browser has for this one.
    ///
    /// What is no browser says nothing of all this, and has no credentials of anybody
    /// else's.
    pub(crate) fn is_foreign(&self) -> bool {
        match self.site {
            Some("same-origin" | "none") => false,
            // A link on another page may lead here, but not fetch from here.
            Some(_) => self.changes || self.mode != Some("navigate"),
            None => match (self.origin, self.host) {
                (None, _) => false,
                (Some(origin), Some(host)) => !same(origin, host),
                (Some(_), None) => true,
            },
        }
    }
}

/// Compares an origin with a host, both with or without the port of their scheme.
fn same(origin: &str, host: &str) -> bool {
    let (scheme, authority) = origin.split_once("://").unwrap_or(("", ""));
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        // Such as `null`, the origin of what has none.
        _ => return false,
    };
    let plain = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.strip_suffix(port).map(str::to_owned).unwrap_or(name)
    };
    !authority.is_empty() && plain(authority) == plain(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_sites_are_told_from_this_one() {
        let here = Provenance {
            host: Some("c.example.org"),
            changes: true,
            ..Default::default()
        };
        let origin = |origin| Provenance {
            origin: Some(origin),
            ..here
        };
        let site = |site| Provenance {
            site: Some(site),
            ..here
        };
        for (provenance, foreign) in [
            (here, false),
            (site("same-origin"), false),
            (site("none"), false),
            (site("same-site"), true),
            (site("cross-site"), true),
            (site("anything"), true),
            (
                Provenance {
                    mode: Some("navigate"),
                    ..site("cross-site")
                },
                true,
            ),
            (
                Provenance {
                    mode: Some("navigate"),
                    changes: false,
                    ..site("cross-site")
                },
                false,
            ),
            (
                Provenance {
                    mode: Some("cors"),
                    changes: false,
                    ..site("cross-site")
                },
                true,
            ),
            (origin("https://c.example.org"), false),
            (origin("https://c.example.org:443"), false),
            (origin("http://C.example.org"), false),
            (origin("http://c.example.org:8080"), true),
            (origin("https://c.example.org.evil"), true),
            (origin("https://evil?c.example.org"), true),
            (origin("null"), true),
            (origin(""), true),
            (
                Provenance {
                    host: None,
                    ..origin("https://c.example.org")
                },
                true,
            ),
            (
                Provenance {
                    host: Some("h:443"),
                    ..origin("https://h")
                },
                false,
            ),
            (
                Provenance {
                    host: Some("h:80"),
                    ..origin("https://h")
                },
                true,
            ),
        ] {
            assert_eq!(provenance.is_foreign(), foreign, "{provenance:?}");
        }
    }
}
