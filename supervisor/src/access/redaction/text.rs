//! Hides values in texts of arguments, as Python's `repr` or JSON writes them.

use std::ops::Range;

use super::HIDDEN;
use super::pattern::Key;
use super::prose;

/// The text is written in no way that is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// How deep values may lie inside of each other.
const DEEPEST: usize = 64;

/// Hides the values of keywords. A text that ends too early, because its sender cut it,
/// is read to where it ends; any other text that is not wholly understood is an error:
/// what looks like the end of a value there may not be it.
pub(super) fn redact(keys: &[Key], text: &str) -> Result<String, Unreadable> {
    let mut scan = Scan {
        keys,
        text,
        at: 0,
        path: Vec::new(),
        hidden: Vec::new(),
    };
    scan.items(None, 0)?;
    let mut redacted = String::with_capacity(text.len());
    let mut from = 0;
    for span in scan.hidden {
        redacted.push_str(&text[from..span.start]);
        redacted.push('\'');
        redacted.push_str(HIDDEN);
        redacted.push('\'');
        from = span.end;
    }
    redacted.push_str(&text[from..]);
    Ok(redacted)
}

struct Scan<'a> {
    keys: &'a [Key],
    text: &'a str,
    at: usize,
    /// The keywords around the place.
    path: Vec<&'a str>,
    /// What to hide, in order, without overlaps.
    hidden: Vec<Range<usize>>,
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Atom<'a> {
    /// What stands between quotes.
    Text(&'a str),
    /// A name without quotes that is no constant.
    Name(&'a str),
    /// A number, a constant, a container, a call.
    Other,
}

impl<'a> Scan<'a> {
    /// Reads values and pairs up to a closing bracket, or to the end.
    fn items(&mut self, close: Option<u8>, depth: usize) -> Result<(), Unreadable> {
        // After a text that is a keyword, as in `('password', 'x')`, comes its value.
        let mut after_key = false;
        loop {
            self.spaces();
            let Some(byte) = self.peek() else {
                return Ok(());
            };
            if Some(byte) == close {
                self.at += 1;
                return Ok(());
            }
            let (start, known) = (self.at, self.hidden.len());
            let atom = self.atom(depth)?;
            self.spaces();
            if matches!(self.peek(), Some(b':' | b'=')) {
                self.at += 1;
                self.value(atom, depth)?;
                after_key = false;
            } else {
                if after_key {
                    self.hide(known, start);
                }
                after_key = matches!(atom, Atom::Text(text) if self.telling(text));
            }
            self.spaces();
            match self.peek() {
                Some(b',') => self.at += 1,
                None => {}
                other if other == close => {}
                _ => return Err(Unreadable),
            }
        }
    }

    /// Reads the value of a keyword.
    fn value(&mut self, key: Atom<'a>, depth: usize) -> Result<(), Unreadable> {
        self.spaces();
        let (start, known) = (self.at, self.hidden.len());
        if self.peek().is_none() {
            return Ok(());
        }
        let (Atom::Text(key) | Atom::Name(key)) = key else {
            return self.atom(depth).map(drop);
        };
        let telling = self.telling(key);
        self.path.push(key);
        let atom = self.atom(depth)?;
        self.path.pop();
        // Where a bare word ends is anybody's guess: `password=abc,def`.
        if telling && matches!(atom, Atom::Name(_)) {
            return Err(Unreadable);
        }
        if telling {
            self.hide(known, start);
        }
        Ok(())
    }

    fn atom(&mut self, depth: usize) -> Result<Atom<'a>, Unreadable> {
        let byte = self.peek().ok_or(Unreadable)?;
        match byte {
            b'"' | b'\'' => self.quoted(byte),
            b'(' | b'[' | b'{' => self.container(byte, depth),
            b'.' if self.rest().starts_with("...") => {
                self.at += 3;
                Ok(Atom::Other)
            }
            b'0'..=b'9' | b'-' | b'+' | b'.' => {
                self.run(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-'));
                Ok(Atom::Other)
            }
            _ if byte == b'_' || byte.is_ascii_alphabetic() || !byte.is_ascii() => self.word(depth),
            _ => Err(Unreadable),
        }
    }

    /// A name, a constant, a call, or the prefix of a text such as `b'...'`.
    fn word(&mut self, depth: usize) -> Result<Atom<'a>, Unreadable> {
        let start = self.at;
        self.run(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.') || !b.is_ascii());
        let word = &self.text[start..self.at];
        match self.peek() {
            Some(quote @ (b'"' | b'\'')) if word.len() <= 2 => self.quoted(quote),
            Some(b'(') => self.container(b'(', depth),
            _ => Ok(match word {
                "None" | "True" | "False" | "null" | "true" | "false" | "nan" | "inf" | "NaN"
                | "Infinity" | "undefined" => Atom::Other,
                _ => Atom::Name(word),
            }),
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<Atom<'a>, Unreadable> {
        let opening = self.at;
        self.at += 1;
        let start = self.at;
        let bytes = self.text.as_bytes();
        let end = loop {
            match bytes.get(self.at) {
                None => break self.at,
                Some(b'\\') => self.at = (self.at + 2).min(bytes.len()),
                Some(&byte) if byte == quote => {
                    self.at += 1;
                    break self.at - 1;
                }
                Some(_) => self.at += 1,
            }
        };
        // The step over an escape may have ended inside of a character.
        let content = self.text.get(start..end).ok_or(Unreadable)?;
        self.spaces();
        // What is inside may be JSON, a URL, a header: hidden wholly, it is a detail.
        let is_key = matches!(self.peek(), Some(b':' | b'='));
        if !is_key && prose::tells(self.keys, content) {
            let end = if self.peek().is_none() {
                self.at
            } else {
                end + 1
            };
            self.hidden.push(opening..end.min(self.text.len()));
        }
        Ok(Atom::Text(content))
    }

    fn container(&mut self, open: u8, depth: usize) -> Result<Atom<'a>, Unreadable> {
        if depth >= DEEPEST {
            return Err(Unreadable);
        }
        self.at += 1;
        let close = match open {
            b'(' => b')',
            b'[' => b']',
            _ => b'}',
        };
        self.items(Some(close), depth + 1)?;
        Ok(Atom::Other)
    }

    /// Hides from `start` to here, in place of what was hidden in between.
    fn hide(&mut self, known: usize, start: usize) {
        self.hidden.truncate(known);
        let value = self.text[start..self.at].trim_end();
        if !value.is_empty() {
            self.hidden.push(start..start + value.len());
        }
    }

    fn telling(&mut self, key: &'a str) -> bool {
        self.path.push(key);
        let telling = self.keys.iter().any(|known| known.matches(&self.path));
        self.path.pop();
        telling
    }

    fn run(&mut self, takes: impl Fn(u8) -> bool) {
        let rest = self.text.as_bytes()[self.at..].iter();
        self.at += rest.take_while(|byte| takes(**byte)).count();
    }

    fn spaces(&mut self) {
        self.run(|byte| byte.is_ascii_whitespace());
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}
