//! Flower's search: terms that must all be found, some in a field of their own.

use crate::cluster::Task;

/// What to search for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Search {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: Option<&'static str>,
    /// In lower case.
    value: String,
}

/// The longest search, in bytes, and the most terms of one.
const LONGEST: usize = 2_048;
const TERMS: usize = 128;
/// The shortest part of a text that is searched for.
const SHORTEST: usize = 3;
const FIELDS: [&str; 6] = ["name", "state", "worker", "args", "kwargs", "result"];

impl Search {
    /// Reads a search such as `name:app.add kwargs:user "two words"`.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("Query exceeds {LONGEST} characters."));
        }
        let words = words(text)?;
        if words.len() > TERMS {
            return Err(format!("Query exceeds {TERMS} tokens."));
        }
        let terms = words
            .into_iter()
            .filter(|(word, quoted)| *quoted || word != "AND");
        let terms = terms.map(|(word, quoted)| Term::read(&word, quoted));
        Ok(Self {
            terms: terms.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn finds(&self, task: &Task) -> bool {
        self.terms.iter().all(|term| term.finds(task))
    }
}

impl Term {
    fn read(word: &str, quoted: bool) -> Result<Self, String> {
        if !quoted && (matches!(word, "OR" | "NOT") || word.starts_with('-')) {
            return Err(format!(
                "'{word}' is not supported; terms are joined by AND."
            ));
        }
        let field = word.split_once(':').and_then(|(field, value)| {
            let known = FIELDS
                .into_iter()
                .find(|known| field.eq_ignore_ascii_case(known));
            known.map(|known| (known, value))
        });
        let (field, value) = match field {
            Some((field, value)) => (Some(field), value),
            None => (None, word),
        };
        if value.is_empty() {
            return Err("Search qualifier requires a value.".to_owned());
        }
        if field != Some("state") && value.trim().len() < SHORTEST {
            return Err(format!(
                "Substring search terms must contain at least {SHORTEST} characters."
            ));
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

/// Splits at spaces outside of quotes; says of each word whether it had quotes.
fn words(text: &str) -> Result<Vec<(String, bool)>, String> {
    let (mut words, mut word, mut quoted, mut inside) = (Vec::new(), String::new(), false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if matches!(chars.peek(), Some('"' | '\\')) => word.extend(chars.next()),
            '"' => {
                quoted = true;
                inside = !inside;
            }
            c if c.is_whitespace() && !inside => {
                if !word.is_empty() {
                    words.push((std::mem::take(&mut word), quoted));
                }
                quoted = false;
            }
            '(' | ')' if !inside => return Err("Groups are not supported.".to_owned()),
            c => word.push(c),
        }
    }
    if inside {
        return Err("Unterminated quoted phrase.".to_owned());
    }
    if !word.is_empty() {
        words.push((word, quoted));
    }
    Ok(words)
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
        ] {
            assert_eq!(Search::read(text).unwrap().finds(&task), expected, "{text}");
        }
        for bad in [
            "ab",
            "name:",
            "\"open",
            "a OR b",
            "-name",
            "(aaa)",
            &"x".repeat(3_000),
        ] {
            assert!(Search::read(bad).is_err(), "{bad}");
        }
    }
}
