//! Which names a pattern means: of nodes in remote control, of tasks in routes.

/// The largest program that a regular expression may become, in bytes.
const REGEX_LIMIT: usize = 64 << 10;

/// A longer regular expression is nobody's, in bytes: all of it is read before the size of
/// its program is known.
const REGEX_MAX: usize = 1 << 10;

/// Tells whether the whole of `text` matches a shell pattern: `*` is any run of characters,
/// `?` any one, `[a-z]` one of a set and `[!a-z]` one that is not in it.
///
/// On a mismatch only the last `*` is tried again, one character further on: what an
/// earlier one could take, the last can take as well. So the work is at most pattern
/// times text.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    let mut retry: Option<(&str, &str)> = None;
    loop {
        let step = match first(pattern) {
            None if text.is_empty() => return true,
            None => None,
            Some(('*', after)) => {
                retry = Some((after, text));
                pattern = after;
                continue;
            }
            Some((c, after)) => first(text).and_then(|(found, rest)| {
                let after = match c {
                    '?' => Some(after),
                    '[' => class(after, found),
                    c => (c == found).then_some(after),
                };
                Some((after?, rest))
            }),
        };
        match (step, retry) {
            (Some(next), _) => (pattern, text) = next,
            (None, Some((after, from))) => {
                let Some((_, from)) = first(from) else {
                    return false;
                };
                retry = Some((after, from));
                (pattern, text) = (after, from);
            }
            (None, None) => return false,
        }
    }
}

/// Matches one character against what follows `[`; returns what follows the class.
///
/// A bracket that is never closed stands for itself.
fn class(pattern: &str, found: char) -> Option<&str> {
    let (negated, set) = match pattern.strip_prefix('!') {
        Some(set) => (true, set),
        None => (false, pattern),
    };
    // A `]` at the beginning belongs to the set.
    let skip = usize::from(set.starts_with(']'));
    let Some(end) = set[skip..].find(']').map(|at| at + skip) else {
        return (found == '[').then_some(pattern);
    };
    let (mut chars, mut inside) = (set[..end].chars().peekable(), false);
    while let Some(low) = chars.next() {
        let mut ahead = chars.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(high)) => {
                inside |= (low..=high).contains(&found);
                chars = ahead;
            }
            _ => inside |= low == found,
        }
    }
    (inside != negated).then(|| &set[end + 1..])
}

fn first(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    chars.next().map(|c| (c, chars.as_str()))
}

/// Tells whether `text` begins with a match of a regular expression.
///
/// The time is linear in the text, whatever the expression is. One that cannot be read, or
/// is longer than 1 KiB, matches nothing.
pub(crate) fn regex(pattern: &str, text: &str) -> bool {
    if pattern.len() > REGEX_MAX {
        return false;
    }
    let regex = regex_lite::RegexBuilder::new(pattern)
        .size_limit(REGEX_LIMIT)
        .build();
    // The leftmost match is at the beginning if any is.
    regex.is_ok_and(|regex| regex.find(text).is_some_and(|found| found.start() == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_fnmatch_does() {
        for (pattern, text, matches) in [
            ("w*@vm", "w1@vm", true),
            ("w*@vm", "w1@vm2", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "abc", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("*aab", "aaaab", true),
            ("w?@vm", "w€@vm", true),
            ("w?@vm", "w@vm", false),
            ("w[12]@*", "w2@vm", true),
            ("w[!12]@*", "w2@vm", false),
            ("w[!12]@*", "w3@vm", true),
            ("w[0-9]", "w5", true),
            ("w[0-9]", "wa", false),
            ("w[9-0]", "w5", false),
            ("[]]", "]", true),
            ("[!]]", "]", false),
            ("[a-]", "-", true),
            ("[", "[", true),
            ("w[1", "w[1", true),
            ("w[1", "w1", false),
            ("a.c", "abc", false),
            ("W1", "w1", false),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn a_hostile_glob_is_quick() {
        let (pattern, text) = ("*a".repeat(2000), "a".repeat(4000));
        assert!(!glob(&format!("{pattern}b"), &text));
    }

    #[test]
    fn expressions_match_at_the_beginning() {
        for (pattern, text, matches) in [
            ("^w.@", "w1@vm", true),
            ("w", "w1@vm", true),
            ("vm", "w1@vm", false),
            (".*vm$", "w1@vm", true),
            ("a|w", "w1@vm", true),
            (r"w\d+@", "w12@vm", true),
            ("(", "(", false),
            (r"(?=w)", "w1", false),
            (")|(", "", false),
            ("(((((a{99}){99}){99}){99}){99})", "a", false),
        ] {
            assert_eq!(regex(pattern, text), matches, "{pattern} {text}");
        }
        assert!(regex(&"w?".repeat(512), "w1@vm"));
        assert!(!regex(&"w?".repeat(513), "w1@vm"));
    }
}
