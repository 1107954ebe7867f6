//! The tables of a settings file that say who may ask: `[[user]]` and `[[api_token]]`.

use std::fmt;
use std::path::PathBuf;

use celeriac_supervisor::{Role, Token, User};
use serde::Deserialize;

use super::secret;

/// One `[[user]]`: somebody with a name and a password.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserTable {
    name: String,
    /// viewer, operator or admin.
    role: String,
    /// What `celeriac hash-password` prints.
    password_hash: Option<String>,
    /// A file with the password, or with its hash.
    password_file: Option<PathBuf>,
    /// A variable with the password, or with its hash.
    password_env: Option<String>,
}

/// One `[[api_token]]`: a program with a token.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenTable {
    name: String,
    /// viewer, operator or admin.
    role: String,
    /// What `sha256sum` prints of the token.
    sha256: Option<String>,
    /// A file with the token.
    file: Option<PathBuf>,
    /// A variable with the token.
    env: Option<String>,
}

/// Where a secret is.
enum Place<'a> {
    Here(&'a str),
    File(&'a PathBuf),
    Variable(&'a str),
}

impl UserTable {
    /// Returns the variable that has the password.
    pub(super) fn variable(&self) -> Option<String> {
        self.password_env.clone()
    }

    /// Makes the user; an error names the table and never tells a secret.
    pub(crate) fn user(&self, variable: impl Fn(&str) -> Option<String>) -> Result<User, String> {
        let named = |error: String| format!("user {:?}: {error}", self.name);
        let role = self
            .role
            .parse::<Role>()
            .map_err(|error| named(format!("role: {error}")))?;
        let place = place(
            ["password_hash", "password_file", "password_env"],
            self.password_hash.as_deref(),
            self.password_file.as_ref(),
            self.password_env.as_deref(),
        );
        let secret = match place.map_err(named)? {
            Place::Here(hash) => return User::new(&self.name, role, hash).map_err(named),
            elsewhere => fetch(&elsewhere, variable).map_err(named)?,
        };
        let made = if secret.starts_with("$argon2") {
            User::new(&self.name, role, &secret)
        } else {
            User::with_password(&self.name, role, &secret)
        };
        made.map_err(named)
    }
}

impl TokenTable {
    /// Returns the variable that has the token.
    pub(super) fn variable(&self) -> Option<String> {
        self.env.clone()
    }

    /// Makes the token; an error names the table and never tells a secret.
    pub(crate) fn token(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Token, String> {
        let named = |error: String| format!("api_token {:?}: {error}", self.name);
        let role = self
            .role
            .parse::<Role>()
            .map_err(|error| named(format!("role: {error}")))?;
        let place = place(
            ["sha256", "file", "env"],
            self.sha256.as_deref(),
            self.file.as_ref(),
            self.env.as_deref(),
        );
        match place.map_err(named)? {
            Place::Here(sha256) => Token::new(&self.name, role, sha256).map_err(named),
            elsewhere => {
                let secret = fetch(&elsewhere, variable).map_err(named)?;
                Token::with_secret(&self.name, role, &secret).map_err(named)
            }
        }
    }
}

fn place<'a>(
    names: [&str; 3],
    here: Option<&'a str>,
    file: Option<&'a PathBuf>,
    variable: Option<&'a str>,
) -> Result<Place<'a>, String> {
    match (here, file, variable) {
        (Some(here), None, None) => Ok(Place::Here(here)),
        (None, Some(file), None) => Ok(Place::File(file)),
        (None, None, Some(variable)) => Ok(Place::Variable(variable)),
        (None, None, None) => Err(format!("expected one of {}, found none", names.join(", "))),
        _ => Err(format!(
            "expected one of {}, found several",
            names.join(", ")
        )),
    }
}

/// Reads a secret; the end of its last line is no part of it.
fn fetch(place: &Place<'_>, variable: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let text = match place {
        Place::Here(text) => (*text).to_owned(),
        Place::File(path) => return secret::read(path),
        Place::Variable(name) => {
            variable(name).ok_or_else(|| format!("expected the variable {name}, found none"))?
        }
    };
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// Shows who, not with which secret.
impl fmt::Debug for UserTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("UserTable");
        shown.field("name", &self.name).field("role", &self.role);
        shown.finish_non_exhaustive()
    }
}

/// Shows who, not with which secret.
impl fmt::Debug for TokenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TokenTable");
        shown.field("name", &self.name).field("role", &self.role);
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::Layer;

    fn variable(name: &str) -> Option<String> {
        let found = match name {
            "TOKEN" => "0123456789abcdef\n",
            "PASSWORD" => "correct horse",
            "SHORT" => "hush",
            _ => return None,
        };
        Some(found.to_owned())
    }

    fn read(file: &str) -> Result<String, String> {
        let layer: Layer = toml::from_str(file).map_err(|error| error.message().to_owned())?;
        let users = layer.user.iter().map(|table| table.user(variable));
        let users: Vec<_> = users.collect::<Result<_, _>>()?;
        let tokens = layer.api_token.iter().map(|table| table.token(variable));
        let tokens: Vec<_> = tokens.collect::<Result<_, _>>()?;
        Ok(format!("{users:?} {tokens:?} {layer:?}"))
    }

    #[test]
    fn people_and_programs_are_read_and_their_secrets_not_shown() {
        let hash = celeriac_supervisor::hash_password("correct horse").unwrap();
        let shown = read(&format!(
            r#"
            [[user]]
            name = "bob"
            role = "viewer"
            password_hash = "{hash}"

            [[user]]
            name = "eve"
            role = "admin"
            password_env = "PASSWORD"

            [[api_token]]
            name = "ci"
            role = "operator"
            sha256 = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f"

            [[api_token]]
            name = "cd"
            role = "operator"
            env = "TOKEN"
            "#
        ))
        .unwrap();
        for secret in ["argon2", "correct horse", "9f9f51", "0123456789abcdef"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(
            shown.contains("bob") && shown.contains("Operator"),
            "{shown}"
        );
    }

    #[test]
    fn a_bad_table_is_named() {
        for (file, error) in [
            (
                "[[user]]\nname = 'b'\nrole = 'root'",
                "user \"b\": role: expected viewer, operator or admin",
            ),
            (
                "[[user]]\nname = 'b'\nrole = 'admin'",
                "user \"b\": expected one of password_hash",
            ),
            (
                "[[user]]\nname = 'b'\nrole = 'admin'\npassword_env = 'NONE'",
                "user \"b\": expected the variable NONE",
            ),
            (
                "[[user]]\nname = 'b'\nrole = 'admin'\npassword_env = 'SHORT'",
                "user \"b\": password: expected 8",
            ),
            (
                "[[user]]\nname = 'b'\nrole = 'admin'\npassword_file = '/no/such'",
                "user \"b\": file /no/such",
            ),
            (
                "[[user]]\nname = 'b'\nrole = 'admin'\npassword = 'hush'",
                "unknown field `password`",
            ),
            (
                "[[api_token]]\nname = 'c'\nrole = 'admin'\nenv = 'TOKEN'\nfile = 'x'",
                "api_token \"c\": expected one of sha256, file, env, found several",
            ),
            (
                "[[api_token]]\nname = 'c'\nrole = 'admin'\nsha256 = 'hush'",
                "api_token \"c\": sha256: expected 64",
            ),
        ] {
            let found = read(file).unwrap_err();
            assert!(found.contains(error), "{found} lacks {error}");
            assert!(!found.contains("hush"), "{found}");
        }
    }
}
