//! Passwords and tokens, of which only digests are kept.

use std::fmt;

use argon2::{Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Role;

/// Somebody with a name and a password.
#[derive(Clone)]
pub struct User {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// In the PHC string format.
    pub(crate) hash: String,
}

/// A token of a program.
#[derive(Clone)]
pub struct Token {
    pub(crate) name: String,
    pub(crate) role: Role,
    digest: [u8; 32],
}

/// The shortest token and password, in bytes.
const SHORTEST_TOKEN: usize = 16;
const SHORTEST_PASSWORD: usize = 8;
/// The longest password that is hashed, in bytes.
pub(crate) const LONGEST_PASSWORD: usize = 1_024;
/// The most memory that a hash may ask for, in KiB: each check takes as much.
const MOST_MEMORY: u32 = 64 * 1024;
const MOST_ROUNDS: u32 = 16;

/// Hashes a password with argon2id, as a PHC string: `$argon2id$v=19$...`.
///
/// # Errors
///
/// When the password is shorter than 8 or longer than 1024 bytes.
pub fn hash_password(password: &str) -> Result<String, String> {
    let length = password.len();
    if !(SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&length) {
        return Err(format!(
            "expected {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} bytes, found {length}"
        ));
    }
    let salt = Uuid::new_v4();
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), salt.as_bytes());
    hash.map(|hash| hash.to_string())
        .map_err(|error| format!("the password could not be hashed: {error}"))
}

/// Checks a password against a hash. Takes tens of milliseconds, on purpose.
pub(crate) fn verify(password: &str, hash: &str) -> bool {
    let parsed = PasswordHash::new(hash);
    parsed.is_ok_and(|parsed| {
        Argon2::default()
            .verify_password(password.as_bytes(), &parsed)
            .is_ok()
    })
}

impl User {
    /// Makes a user of a PHC string, as `celeriac hash-password` prints it.
    ///
    /// # Errors
    ///
    /// When the name is empty, too long or has a colon, or the hash is none of argon2id,
    /// or one whose check would take too much.
    pub fn new(name: &str, role: Role, hash: &str) -> Result<Self, String> {
        check_name(name)?;
        if name.contains(':') {
            return Err(format!("name: expected no colon, found {name:?}"));
        }
        let expected = "a PHC string of argon2id, as celeriac hash-password prints it";
        let parsed = PasswordHash::new(hash)
            .map_err(|error| format!("password_hash: expected {expected}, found none: {error}"))?;
        if parsed.algorithm.as_str() != "argon2id" || parsed.hash.is_none() {
            return Err(format!("password_hash: expected {expected}, found another"));
        }
        let params = argon2::Params::try_from(&parsed)
            .map_err(|error| format!("password_hash: expected {expected}: {error}"))?;
        if params.m_cost() > MOST_MEMORY || params.t_cost() > MOST_ROUNDS {
            return Err(format!(
                "password_hash: expected at most m={MOST_MEMORY} and t={MOST_ROUNDS}, found m={} \
                 and t={}",
                params.m_cost(),
                params.t_cost()
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            role,
            hash: hash.to_owned(),
        })
    }

    /// Makes a user of a password, which is hashed at once.
    ///
    /// # Errors
    ///
    /// As of [`User::new`], or when the password is too short or too long.
    pub fn with_password(name: &str, role: Role, password: &str) -> Result<Self, String> {
        let hash = hash_password(password).map_err(|error| format!("password: {error}"))?;
        Self::new(name, role, &hash)
    }
}

impl Token {
    /// Makes a token of its SHA-256 in hexadecimal, as `sha256sum` prints it.
    ///
    /// # Errors
    ///
    /// When the name is empty or too long, or the digest is none.
    pub fn new(name: &str, role: Role, sha256: &str) -> Result<Self, String> {
        check_name(name)?;
        let mut digest = [0; 32];
        let pairs = sha256.as_bytes().chunks(2);
        let good = sha256.len() == 64
            && digest.iter_mut().zip(pairs).all(|(byte, pair)| {
                let pair = std::str::from_utf8(pair).unwrap_or_default();
                let parsed = u8::from_str_radix(pair, 16);
                *byte = *parsed.as_ref().unwrap_or(&0);
                parsed.is_ok() && !pair.starts_with('+')
            });
        if !good {
            return Err("sha256: expected 64 hexadecimal digits, found another text".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            role,
            digest,
        })
    }

    /// Makes a token of itself.
    ///
    /// # Errors
    ///
    /// When the name is empty or too long, or the token is shorter than 16 bytes or has
    /// anything but visible ASCII characters, which a header could not carry.
    pub fn with_secret(name: &str, role: Role, secret: &str) -> Result<Self, String> {
        check_name(name)?;
        if secret.len() < SHORTEST_TOKEN {
            return Err(format!(
                "token: expected at least {SHORTEST_TOKEN} characters, found {} characters",
                secret.len()
            ));
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            let expected = "visible ASCII characters only";
            return Err(format!(
                "token: expected {expected}, found another character"
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            role,
            digest: Sha256::digest(secret.as_bytes()).into(),
        })
    }

    /// Says whether a secret is this token, in a time that does not tell how much of it
    /// was right: what is compared are digests, and all of them.
    pub(crate) fn is(&self, digest: &[u8; 32]) -> bool {
        let pairs = self.digest.iter().zip(digest);
        pairs.fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

/// Digests what somebody showed as token.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Digests a name and a password under a key of this process.
pub(crate) fn keyed_digest(key: &[u8; 32], name: &str, password: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(key);
    // The length keeps "ab" with "c" apart from "a" with "bc".
    digest.update((name.len() as u64).to_le_bytes());
    digest.update(name.as_bytes());
    digest.update(password.as_bytes());
    digest.finalize().into()
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
        return Err(format!(
            "name: expected 1 to 255 bytes without control characters, found {name:?}"
        ));
    }
    Ok(())
}

/// Shows everything but the hash.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Shows everything but the digest.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        let user = User::with_password("bob", Role::Viewer, "correct horse").unwrap();
        assert!(user.hash.starts_with("$argon2id$v=19$"));
        assert!(verify("correct horse", &user.hash));
        assert!(!verify("correct horsf", &user.hash));
        assert!(!format!("{user:?}").contains("argon2"));
        let again = hash_password("correct horse").unwrap();
        assert_ne!(again, user.hash, "each has a salt of its own");
        User::new("bob", Role::Viewer, &again).unwrap();
    }

    #[test]
    fn bad_hashes_and_names_are_told_apart() {
        let hash = hash_password("correct horse").unwrap();
        let costly = hash.replace("m=19456", "m=4000000");
        let other = hash.replace("argon2id", "argon2i");
        for (name, hash, error) in [
            ("", &*hash, "name: expected 1 to 255"),
            ("a:b", &hash, "name: expected no colon"),
            ("a", "hunter22", "password_hash: expected a PHC string"),
            ("a", &costly, "password_hash: expected at most m="),
            ("a", &other, "password_hash: expected a PHC string"),
            ("a", "$argon2id$v=19$m=19456,t=2,p=1", "password_hash: "),
        ] {
            let found = User::new(name, Role::Admin, hash).unwrap_err();
            assert!(found.starts_with(error), "{found}");
            assert!(!found.contains("hunter22"), "{found}");
        }
        assert!(hash_password("short").is_err());
        assert!(hash_password(&"x".repeat(1_025)).is_err());
    }

    #[test]
    fn a_token_is_known_by_its_digest() {
        // printf %s 0123456789abcdef | sha256sum
        let sum = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";
        let token = Token::new("ci", Role::Operator, sum).unwrap();
        let same = Token::with_secret("ci", Role::Operator, "0123456789abcdef").unwrap();
        assert!(token.is(&digest("0123456789abcdef")) && same.is(&digest("0123456789abcdef")));
        for wrong in [
            "",
            "0123456789abcde",
            "0123456789abcdeg",
            "0123456789ABCDEF",
        ] {
            assert!(!token.is(&digest(wrong)), "{wrong}");
        }
        for bad in ["", "9f", &sum.replace('9', "x"), &sum.replace("9f", "+f")] {
            assert!(Token::new("ci", Role::Operator, bad).is_err(), "{bad}");
        }
        for bad in ["short", "0123456789 abcdef"] {
            assert!(
                Token::with_secret("ci", Role::Operator, bad).is_err(),
                "{bad}"
            );
        }
    }
}
