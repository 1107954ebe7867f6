//! Patterns of names: `*` for anything, `?` for one character, no expressions.

/// A pattern of a name, which must match wholly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(Box<str>);

/// A pattern of a keyword, or of keywords inside of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// The outermost first.
    parts: Vec<Folded>,
}

/// A pattern with the case and the hyphens of keywords folded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Folded {
    pattern: Box<[u8]>,
    /// The longest part without wildcards: what a text must contain to match.
    stem: Box<[u8]>,
}

/// The longest pattern, in bytes.
const LONGEST: usize = 255;

impl Glob {
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        check(pattern)?;
        Ok(Self(pattern.into()))
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        matches(self.0.as_bytes(), name.as_bytes(), |byte| byte)
    }
}

impl Key {
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        check(pattern)?;
        let parts = pattern.split('.').map(|part| {
            check(part)?;
            Ok(Folded::new(part))
        });
        Ok(Self {
            parts: parts.collect::<Result<_, String>>()?,
        })
    }

    /// Says whether the keyword at the end of a path of keywords is meant.
    pub(super) fn matches(&self, path: &[&str]) -> bool {
        let Some(above) = path.len().checked_sub(self.parts.len()) else {
            return false;
        };
        let mut pairs = self.parts.iter().zip(&path[above..]);
        pairs.all(|(part, key)| part.matches(key))
    }

    /// Says whether a word may be meant that is part of a text: of the keywords around
    /// it nothing is known but that they are somewhere in the text.
    pub(super) fn matches_word(&self, word: &str, text: &str) -> bool {
        let Some((last, around)) = self.parts.split_last() else {
            return false;
        };
        last.matches(word) && around.iter().all(|part| part.may_be_in(text))
    }

    pub(super) fn may_be_in(&self, text: &str) -> bool {
        self.parts.iter().all(|part| part.may_be_in(text))
    }
}

impl Folded {
    fn new(part: &str) -> Self {
        let pattern: Box<[u8]> = part.bytes().map(fold).collect();
        let literals = pattern.split(|byte| matches!(byte, b'*' | b'?'));
        let stem = literals.max_by_key(|literal| literal.len());
        Self {
            stem: stem.unwrap_or_default().into(),
            pattern,
        }
    }

    fn matches(&self, key: &str) -> bool {
        matches(&self.pattern, key.as_bytes(), fold)
    }

    fn may_be_in(&self, text: &str) -> bool {
        let Some(first) = self.stem.first() else {
            return true;
        };
        let text = text.as_bytes();
        let same = |at: usize| {
            let window = text.get(at..at + self.stem.len());
            window.is_some_and(|w| w.iter().zip(&*self.stem).all(|(a, b)| fold(*a) == *b))
        };
        (0..text.len()).any(|at| fold(text[at]) == *first && same(at))
    }
}

const fn fold(byte: u8) -> u8 {
    match byte {
        b'-' => b'_',
        other => other.to_ascii_lowercase(),
    }
}

fn check(pattern: &str) -> Result<(), String> {
    if pattern.is_empty() || pattern.len() > LONGEST {
        return Err(format!(
            "expected a pattern of 1 to {LONGEST} bytes, none of its parts empty, found {pattern:?}"
        ));
    }
    Ok(())
}

/// Matches with at most one step back per byte, so that no pattern is slow.
fn matches(pattern: &[u8], name: &[u8], fold: fn(u8) -> u8) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == fold(name[n]) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_match_wholly() {
        for (pattern, name, expected) in [
            ("app.add", "app.add", true),
            ("app.add", "app.add2", false),
            ("app.add", "xapp.add", false),
            ("app.*", "app.add", true),
            ("app.*", "app", false),
            ("*.add", "app.x.add", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("App.add", "app.add", false),
            ("*", "", true),
        ] {
            assert_eq!(
                Glob::new(pattern).unwrap().matches(name),
                expected,
                "{pattern} {name}"
            );
        }
        assert!(Glob::new("").is_err());
        assert!(Glob::new(&"x".repeat(256)).is_err());
    }

    #[test]
    fn keywords_match_by_path_without_case() {
        let key = |pattern| Key::new(pattern).unwrap();
        assert!(key("*api_key").matches(&["headers", "X-Api-Key"]));
        assert!(key("card.number").matches(&["order", "Card", "number"]));
        assert!(!key("card.number").matches(&["number"]));
        assert!(!key("card.number").matches(&["card", "holder", "number"]));
        assert!(key("card.*").matches(&["card", "cvc"]));
        assert!(Key::new("card.").is_err());
    }
}
