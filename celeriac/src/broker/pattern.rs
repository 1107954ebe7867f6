//! Patterns of topic exchanges.

/// Tells whether a topic pattern takes a routing key: `*` is one word, `#` any number
/// of words.
pub(super) fn matches(pattern: &str, key: &str) -> bool {
    // The empty key is no word at all: `#` takes it, `*` does not.
    fn words(text: &str) -> Vec<&str> {
        if text.is_empty() {
            Vec::new()
        } else {
            text.split('.').collect()
        }
    }
    let (pattern, key) = (words(pattern), words(key));
    let (mut p, mut k) = (0, 0);
    // Where to go on when the last `#` has to take one word more.
    let mut retry = None;
    loop {
        match (pattern.get(p), key.get(k)) {
            (None, None) => return true,
            (Some(&"#"), _) => {
                retry = Some((p + 1, k));
                p += 1;
                continue;
            }
            (Some(&word), Some(&wanted)) if word == "*" || word == wanted => {
                (p, k) = (p + 1, k + 1);
                continue;
            }
            _ => {}
        }
        match retry {
            Some((after, taken)) if taken < key.len() => {
                retry = Some((after, taken + 1));
                (p, k) = (after, taken + 1);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_by_words() {
        for (pattern, key, expected) in [
            ("task.sent", "task.sent", true),
            ("task.sent", "task", false),
            ("*.sent", "task.sent", true),
            ("*.sent", "sent", false),
            ("task.*", "task.a.b", false),
            ("#", "", true),
            ("#", "a.b.c", true),
            ("*", "", false),
            ("", "", true),
            ("", "a", false),
            ("task.#", "task", true),
            ("task.#", "task.a.b", true),
            ("#.b", "a.b", true),
            ("#.b", "b", true),
            ("#.b", "a.b.c", false),
            ("a.#.c.#.e", "a.b.c.d.c.e", true),
            ("a.#.c.#.e", "a.b.d.e", false),
            ("#.#.a", "a", true),
            ("*.#", "", false),
            ("*.#", "a", true),
        ] {
            assert_eq!(matches(pattern, key), expected, "{pattern} takes {key}");
        }
    }
}
