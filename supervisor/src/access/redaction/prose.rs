//! Hides values in prose: exceptions, tracebacks, texts inside of arguments.

use super::HIDDEN;
use super::pattern::Key;

/// The value of a keyword in prose.
#[derive(Debug, Clone, Copy)]
struct Found {
    at: usize,
    /// Whether `=` goes before it, not `:`.
    assigned: bool,
}

/// Says whether a telling keyword with a value is in the text: `token=x`,
/// `"password": "x"`, `Authorization: Bearer x`.
pub(super) fn tells(keys: &[Key], text: &str) -> bool {
    find(keys, text, 0).is_some()
}

/// Hides what follows telling keywords; `None` when there is none.
pub(super) fn redact(keys: &[Key], text: &str) -> Option<String> {
    let mut from = 0;
    let mut redacted = String::new();
    while let Some(found) = find(keys, text, from) {
        redacted.push_str(&text[from..found.at]);
        redacted.push_str(HIDDEN);
        from = found.at + length(&text[found.at..], found.assigned);
    }
    if from == 0 {
        return None;
    }
    redacted.push_str(&text[from..]);
    Some(redacted)
}

/// Finds the value of the next telling keyword.
fn find(keys: &[Key], text: &str, from: usize) -> Option<Found> {
    let separators = text.as_bytes()[from..].iter().enumerate();
    let mut separators = separators.filter(|(_, byte)| matches!(byte, b':' | b'='));
    separators.find_map(|(at, separator)| {
        let at = from + at;
        let before = text[from..at].trim_end_matches([' ', '"', '\'', '\\']);
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let key = &before[before.trim_end_matches(word).len()..];
        if key.is_empty() || !keys.iter().any(|known| known.matches_word(key, text)) {
            return None;
        }
        let rest = &text[at + 1..];
        let value = rest.trim_start_matches([' ', '\t', '=', ':']);
        let found = Found {
            at: text.len() - value.len(),
            assigned: *separator == b'=',
        };
        (!value.is_empty() && !value.starts_with(['\n', '\r'])).then_some(found)
    })
}

/// Returns how long a value is: one in quotes ends with them, what stands in brackets
/// goes to the end of the text, a bare one after `=` to the next space, after `:` to the
/// end of the line.
fn length(value: &str, assigned: bool) -> usize {
    let unescaped = value.trim_start_matches('\\');
    let escapes = value.len() - unescaped.len();
    match unescaped.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let mut ends = unescaped[1..].match_indices(quote);
            let same = |end: usize| {
                let before = &unescaped[1..=end];
                before.len() - before.trim_end_matches('\\').len() == escapes
            };
            let end = ends.find(|(end, _)| same(*end));
            end.map_or(value.len(), |(end, _)| escapes + end + 2)
        }
        Some('[' | '{' | '(') => value.len(),
        _ if assigned => {
            let ends = |c: char| c.is_whitespace() || matches!(c, '&' | '"' | '\'');
            value.find(ends).unwrap_or(value.len())
        }
        _ => value.find(['\n', '\r', '"', '\'']).unwrap_or(value.len()),
    }
}
