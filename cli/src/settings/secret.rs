//! Settings whose value nobody shall read, and the files that hold one.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Settings whose value is a secret, or a URL that may hold one: the one table. Each may come
/// from a file that a variable with the suffix `_FILE` names.
const SECRETS: [(&str, Shape); 9] = [
    ("broker", Shape::Url),
    ("result_backend", Shape::Url),
    ("token", Shape::Whole),
    ("management_url", Shape::Url),
    ("store", Shape::Url),
    ("smtp", Shape::Url),
    ("otlp_endpoint", Shape::Url),
    ("otlp_traces_endpoint", Shape::Url),
    ("otlp_headers", Shape::Whole),
];

/// The longest secret, in bytes.
const LONGEST: u64 = 64 * 1024;

/// How a value is secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// All of it.
    Whole,
    /// The password in it.
    Url,
}

/// Tells whether the value of a setting is a secret, or may hold one.
pub(crate) fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|(secret, _)| *secret == name)
}

/// Tells whether the value of a setting is a URL that may hold a password.
pub(super) fn is_url(name: &str) -> bool {
    SECRETS.contains(&(name, Shape::Url))
}

/// Returns a setting's value as it may be shown.
pub(super) fn shown(name: &str, value: &str) -> String {
    match SECRETS.iter().find(|(secret, _)| *secret == name) {
        Some((_, Shape::Whole)) => "**".to_owned(),
        // A store may be a path.
        Some((_, Shape::Url)) if name != "store" || value.contains("://") => {
            celeriac::broker::mask(value)
        }
        _ => value.to_owned(),
    }
}

/// Reads a file that holds one secret; the end of its line is no part of it.
///
/// The path may be a link: Kubernetes replaces secrets by turning one.
///
/// # Errors
///
/// Names the file and what is wrong, and tells nothing of what is in it.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let wrong = |what: &str| Err(format!("file {}: {what}", path.display()));
    let unreadable =
        |error: std::io::Error| format!("file {} cannot be read: {error}", path.display());
    // A pipe that nobody writes to would keep the process from starting, and from saying so.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return wrong("expected a plain file, found something else");
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    let mut file = file.take(LONGEST + 1);
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST {
        return wrong(&format!("expected {LONGEST} bytes at most, found more"));
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return wrong("expected UTF-8, found other bytes");
    };
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return wrong("expected a value, found an empty file");
    }
    if text.contains(char::is_control) {
        return wrong("expected one line, found several, or control characters");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_secret_is_a_setting() {
        let known = crate::settings::names();
        for (name, _) in SECRETS {
            assert!(known.iter().any(|known| known == name), "{name}");
        }
    }

    #[test]
    fn a_secret_is_one_line_of_a_file() {
        let folder = std::env::temp_dir().join(format!("secret-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("value");
        for (bytes, expected) in [
            (&b"hush\n"[..], Ok("hush")),
            (b"hush", Ok("hush")),
            (b"hush hush \r\n", Ok("hush hush ")),
            (b"", Err("found an empty file")),
            (b"\n\n", Err("found an empty file")),
            (b"hush\nhush\n", Err("expected one line")),
            (b"hush\0", Err("expected one line")),
            (b"hush\xff", Err("expected UTF-8")),
            (&[b'h'; 65_536], Ok("")),
            (&[b'h'; 65_537], Err("expected 65536 bytes at most")),
        ] {
            std::fs::write(&path, bytes).unwrap();
            match (read(&path), expected) {
                (Ok(found), Ok("")) => assert_eq!(found.len(), 65_536),
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => {
                    assert!(found.contains(expected), "{found} lacks {expected}");
                    assert!(found.contains(path.to_str().unwrap()), "{found}");
                    assert!(!found.contains("hush"), "{found}");
                }
                (found, expected) => panic!("expected {expected:?}, found {found:?}"),
            }
        }
        // As Kubernetes mounts it.
        std::fs::create_dir(folder.join("..1")).unwrap();
        std::fs::write(folder.join("..1/token"), "hush\n").unwrap();
        std::os::unix::fs::symlink("..1", folder.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/token", folder.join("token")).unwrap();
        assert_eq!(read(&folder.join("token")).unwrap(), "hush");
        assert!(read(&folder).unwrap_err().contains("a plain file"));
        let missing = read(&folder.join("none")).unwrap_err();
        assert!(
            missing.contains("none cannot be read: No such file"),
            "{missing}"
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
