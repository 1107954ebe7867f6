//! Flower's search: terms joined by AND, which may be left out, and OR, in groups; some
//! terms in a field of their own.

use std::iter::Peekable;
use std::vec::IntoIter;

use crate::cluster::Task;

/// What to search for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Search {
    All(Vec<Self>),
    Any(Vec<Self>),
    Term(Term),
}

/// A text, perhaps in one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    field: Option<&'static str>,
    /// In lower case.
    value: String,
}

/// A word of a search with its place, counted in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    kind: Kind,
    text: String,
    at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Close,
    And,
    Or,
    Term,
}

/// The longest search, in characters, the most words of one, the deepest groups.
const LONGEST: usize = 2_048;
const WORDS: usize = 128;
const DEEPEST: usize = 5;
/// The shortest part of a text that is searched for.
const SHORTEST: usize = 3;
const FIELDS: [&str; 6] = ["name", "state", "worker", "args", "kwargs", "result"];

impl Search {
    /// Reads a search such as `name:app.add (kwargs:user=bob OR "two words")`.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.chars().count() > LONGEST {
            return Err(format!("Query exceeds {LONGEST} characters."));
        }
        let words = words(text)?;
        if words.is_empty() {
            return Ok(Self::All(Vec::new()));
        }
        let mut words = words.into_iter().peekable();
        let search = any(&mut words, 0)?;
        match words.next() {
            Some(word) => Err(wrong(format!("Unexpected '{}'", word.text), word.at)),
            None => Ok(search),
        }
    }

    pub(super) fn finds(&self, task: &Task) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.finds(task)),
            Self::Any(parts) => parts.iter().any(|part| part.finds(task)),
            Self::Term(term) => term.finds(task),
        }
    }
}

fn wrong(message: impl std::fmt::Display, at: usize) -> String {
    format!("{message} at position {at}.")
}

fn any(words: &mut Peekable<IntoIter<Word>>, depth: usize) -> Result<Search, String> {
    let mut parts = vec![all(words, depth)?];
    while let Some(or) = words.next_if(|word| word.kind == Kind::Or) {
        if !starts(words) {
            return Err(wrong("OR must be followed by a search term", or.at));
        }
        parts.push(all(words, depth)?);
    }
    Ok(Search::Any(parts))
}

fn all(words: &mut Peekable<IntoIter<Word>>, depth: usize) -> Result<Search, String> {
    let mut parts = vec![one(words, depth)?];
    loop {
        if let Some(and) = words.next_if(|word| word.kind == Kind::And) {
            if !starts(words) {
                return Err(wrong("AND must be followed by a search term", and.at));
            }
        } else if !starts(words) {
            return Ok(Search::All(parts));
        }
        parts.push(one(words, depth)?);
    }
}

/// Says whether a term or a group comes.
fn starts(words: &mut Peekable<IntoIter<Word>>) -> bool {
    let next = words.peek().map(|word| word.kind);
    matches!(next, Some(Kind::Term | Kind::Open))
}

fn one(words: &mut Peekable<IntoIter<Word>>, depth: usize) -> Result<Search, String> {
    let Some(word) = words.next() else {
        // Who asks for one has seen that one comes.
        return Err("Expected a search term.".to_owned());
    };
    match word.kind {
        Kind::Term => Term::read(&word).map(Search::Term),
        Kind::Open if depth >= DEEPEST => {
            let message = format!("Query nesting exceeds {DEEPEST} levels");
            Err(wrong(message, word.at))
        }
        Kind::Open if words.peek().is_some_and(|next| next.kind == Kind::Close) => {
            Err(wrong("Empty group", word.at))
        }
        Kind::Open => {
            let group = any(words, depth + 1)?;
            match words.next_if(|word| word.kind == Kind::Close) {
                Some(_) => Ok(group),
                None => Err(wrong("Missing closing parenthesis", word.at)),
            }
        }
        Kind::Close | Kind::And | Kind::Or => Err(wrong("Expected a search term", word.at)),
    }
}

impl Term {
    fn read(word: &Word) -> Result<Self, String> {
        let text = word.text.as_str();
        let field = text.split_once(':').and_then(|(field, value)| {
            let mut known = FIELDS.into_iter();
            let known = known.find(|known| field.eq_ignore_ascii_case(known));
            known.map(|known| (known, value))
        });
        let (field, value) = match field {
            Some((field, value)) => (Some(field), value),
            None if text.starts_with('-') => {
                return Err(wrong("Negation with '-' is not supported", word.at));
            }
            None => (None, text),
        };
        if value.is_empty() {
            return Err(wrong("Search qualifier requires a value", word.at));
        }
        let exact = match field {
            Some("state") => true,
            Some("kwargs") => value.contains('='),
            _ => false,
        };
        if !exact && value.trim().chars().count() < SHORTEST {
            let message =
                format!("Substring search terms must contain at least {SHORTEST} characters");
            return Err(wrong(message, word.at));
        }
        Ok(Self {
            field,
            value: value.to_lowercase(),
        })
    }

    fn finds(&self, task: &Task) -> bool {
        let call = task.call();
        let result = task
            .standing()
            .and_then(|standing| standing.result.as_deref());
        let of = |field: &str| match field {
            "name" => task.name().map(|name| &**name),
            "state" => Some(task.state().as_str()),
            "worker" => task.worker().map(|worker| &**worker),
            "args" => call.and_then(|call| call.args.as_deref()),
            "kwargs" => call.and_then(|call| call.kwargs.as_deref()),
            _ => result,
        };
        let has = |text: &str| text.to_lowercase().contains(&self.value);
        match self.field {
            Some("state") => task.state().as_str().to_lowercase() == self.value,
            Some("kwargs") if self.value.contains('=') => {
                // `user=bob` is `'user': 'bob'` to Python.
                let plain = |text: &str| text.replace(['\'', '"', ' '], "").replace(':', "=");
                of("kwargs")
                    .is_some_and(|text| plain(&text.to_lowercase()).contains(&plain(&self.value)))
            }
            Some(field) => of(field).is_some_and(has),
            None => has(&task.id) || FIELDS.into_iter().any(|field| of(field).is_some_and(has)),
        }
    }
}

/// Splits at spaces and parentheses outside of quotes.
fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut chars = text.chars().enumerate().peekable();
    while let Some(&(at, c)) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        let word = match c {
            '(' | ')' => {
                chars.next();
                let kind = if c == '(' { Kind::Open } else { Kind::Close };
                let text = c.to_string();
                Word { kind, text, at }
            }
            _ => term(&mut chars, at)?,
        };
        words.push(word);
        if words.len() > WORDS {
            return Err(format!("Query exceeds {WORDS} tokens."));
        }
    }
    Ok(words)
}

fn term(
    chars: &mut Peekable<impl Iterator<Item = (usize, char)>>,
    at: usize,
) -> Result<Word, String> {
    let (mut text, mut quoted, mut inside) = (String::new(), false, false);
    while let Some(&(_, c)) = chars.peek() {
        if !inside && (c.is_whitespace() || matches!(c, '(' | ')')) {
            break;
        }
        chars.next();
        match c {
            '\\' => match chars.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, escaped)) => text.push(escaped),
                None => text.push(c),
            },
            '"' => {
                quoted = true;
                inside = !inside;
            }
            c => text.push(c),
        }
    }
    if inside {
        return Err(wrong("Unterminated quoted phrase", at));
    }
    if text.is_empty() {
        return Err(wrong("Empty search term", at));
    }
    let kind = match text.as_str() {
        "NOT" if !quoted => return Err(wrong("NOT is not supported", at)),
        "AND" if !quoted => Kind::And,
        "OR" if !quoted => Kind::Or,
        _ => Kind::Term,
    };
    Ok(Word { kind, text, at })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cluster::{Call, Fact, Said};

    #[test]
    fn terms_are_found_where_they_belong() {
        let mut task = Task::new("id-1234".into(), 1);
        let call = Call {
            name: Some("app.add".into()),
            args: Some("[1, 'two words']".to_owned()),
            kwargs: Some("{'user': 'bob'}".to_owned()),
            ..Call::default()
        };
        let said = Said { at: 1.0, clock: 1 };
        task.merge(said, &"w1@host".into(), Fact::Received(call));
        for (text, expected) in [
            ("", true),
            ("app.add", true),
            ("APP.ADD worker:w1@", true),
            ("name:w1@host", false),
            ("state:received", true),
            ("state:rec", false),
            ("\"two words\"", true),
            ("args:\"two words\" AND kwargs:user=bob", true),
            ("kwargs:user=eve", false),
            ("id-1234", true),
            ("nothing", false),
            ("nothing OR app.add", true),
            ("nothing OR (app.add state:started)", false),
            (
                "(nothing OR app.add) AND (state:started OR worker:w1@host)",
                true,
            ),
        ] {
            assert_eq!(Search::read(text).unwrap().finds(&task), expected, "{text}");
        }
    }

    // As Flower 2.2 says it.
    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let short = "Substring search terms must contain at least 3 characters at position";
        let deep = format!("{}aaa", "(".repeat(6));
        for (text, expected) in [
            ("ab", &*format!("{short} 0.")),
            ("aaa öb", &format!("{short} 4.")),
            ("name:", "Search qualifier requires a value at position 0."),
            ("\"open", "Unterminated quoted phrase at position 0."),
            (
                "aaa OR",
                "OR must be followed by a search term at position 4.",
            ),
            (
                "aaa AND )",
                "AND must be followed by a search term at position 4.",
            ),
            ("OR aaa", "Expected a search term at position 0."),
            ("NOT aaa", "NOT is not supported at position 0."),
            ("-name", "Negation with '-' is not supported at position 0."),
            ("(aaa", "Missing closing parenthesis at position 0."),
            ("aaa)", "Unexpected ')' at position 3."),
            ("aaa ()", "Empty group at position 4."),
            ("\"\"", "Empty search term at position 0."),
            (&deep, "Query nesting exceeds 5 levels at position 5."),
            (&"x".repeat(3_000), "Query exceeds 2048 characters."),
            (&"xxx ".repeat(129), "Query exceeds 128 tokens."),
        ] {
            assert_eq!(Search::read(text).unwrap_err(), expected, "{text}");
        }
    }
}
