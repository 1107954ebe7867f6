//! Where the store is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::error::StoreError;

/// Where the store is: `memory:`, `sqlite:PATH` or a plain path, `postgres://…`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// SQLite in the memory of this process: gone when it ends.
    Memory,
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A database of PostgreSQL, by its URL.
    Postgres(String),
}

const EXPECTED: &str = "memory:, the path of a file, sqlite:PATH or postgres://…";

impl FromStr for Place {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let wrong = || StoreError::Place {
            expected: EXPECTED,
            found: masked(text),
        };
        let path = |path: &str| match path {
            "" => Err(wrong()),
            path if path.ends_with('/') || path.contains('\0') => Err(wrong()),
            path => Ok(Self::Sqlite(PathBuf::from(path))),
        };
        match text.split_once(':') {
            Some(("memory", "" | "//")) => Ok(Self::Memory),
            Some(("sqlite", rest)) => path(rest.strip_prefix("//").unwrap_or(rest)),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(text.to_owned()))
            }
            // Another scheme is a mistake, not the name of a file.
            Some((_, rest)) if rest.starts_with("//") => Err(wrong()),
            _ => path(text),
        }
    }
}

/// Only a URL has a password that could be shown.
fn masked(text: &str) -> String {
    if !text.contains("://") {
        return text.to_owned();
    }
    let text = celeriac::broker::mask(text);
    let Some(at) = text.find("password=") else {
        return text;
    };
    let (before, after) = text.split_at(at);
    let rest = after.find('&').map_or("", |end| &after[end..]);
    format!("{before}password=**{rest}")
}

/// Shows a password as `**`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&masked(url)),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_form_is_read() {
        let sqlite = |path: &str| Place::Sqlite(path.into());
        let cases = [
            ("memory:", Place::Memory),
            ("memory://", Place::Memory),
            ("sqlite:/var/lib/c.db", sqlite("/var/lib/c.db")),
            ("sqlite:///var/lib/c.db", sqlite("/var/lib/c.db")),
            ("sqlite:c.db", sqlite("c.db")),
            ("./c.db", sqlite("./c.db")),
            ("postgres://h/d", Place::Postgres("postgres://h/d".into())),
        ];
        for (text, place) in cases {
            assert_eq!(text.parse::<Place>().unwrap(), place, "{text}");
        }
    }

    #[test]
    fn a_wrong_one_is_told_without_its_password() {
        for text in ["", "sqlite:", "mysql://u:secret@h/d", "/var/lib/"] {
            let error = text.parse::<Place>().unwrap_err().to_string();
            assert!(error.starts_with("expected memory:"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_password_is_not_shown() {
        let place: Place = "postgres://u:secret@h/d".parse().unwrap();
        assert_eq!(place.to_string(), "postgres://u:**@h/d");
        assert!(!format!("{place:?}").contains("secret"));
        let place: Place = "postgres://u@h/d?password=secret&sslmode=disable"
            .parse()
            .unwrap();
        assert_eq!(
            place.to_string(),
            "postgres://u@h/d?password=**&sslmode=disable"
        );
    }
}
