//! A place in a JSON text, moving on by Python's rules.

use std::borrow::Cow;

use super::MAX_DEPTH;
use crate::{
    DecodeError,
    error::Fault,
    value::{Table, Value},
};

/// A place in a JSON text.
///
/// Builds values, or only finds where they begin and end, over the same grammar.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

/// What stood in the way.
pub(crate) struct Syntax {
    expected: &'static str,
    at: usize,
    fault: Fault,
}

impl Syntax {
    pub(crate) fn into_error(self, bytes: &[u8], place: &str) -> DecodeError {
        let rest = bytes.get(self.at..).unwrap_or_default();
        let found = match String::from_utf8_lossy(&rest[..rest.len().min(24)]) {
            rest if rest.is_empty() => format!("the end at byte {}", self.at),
            rest => format!("{rest:?} at byte {}", self.at),
        };
        DecodeError::new(self.fault, place, self.expected, found)
    }
}

impl<'a> Cursor<'a> {
    /// Starts at the beginning of `bytes`, which must be UTF-8.
    pub(crate) fn new(bytes: &'a [u8], place: &str) -> Result<Self, DecodeError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self {
                text,
                at: 0,
                depth: 0,
            }),
            Err(error) => Err(DecodeError::new(
                Fault::Malformed,
                place,
                "JSON in UTF-8",
                format!("another byte at {}", error.valid_up_to()),
            )),
        }
    }

    fn fail<T>(&self, expected: &'static str) -> Result<T, Syntax> {
        Err(Syntax {
            expected,
            at: self.at,
            fault: Fault::Malformed,
        })
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Moves over white space and returns the first byte after it.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.byte() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Checks that nothing follows but white space.
    pub(crate) fn end(&mut self) -> Result<(), Syntax> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.fail("the end of the text"),
        }
    }

    /// Reads a list, calling `element` at the beginning of each.
    pub(crate) fn list(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Syntax>,
    ) -> Result<(), Syntax> {
        self.open(b'[', "a list")?;
        if self.peek() != Some(b']') {
            loop {
                element(self)?;
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break,
                    _ => return self.fail("a comma or the end of the list"),
                }
            }
        }
        self.close();
        Ok(())
    }

    /// Reads a map, calling `entry` with each key at the beginning of its value.
    pub(crate) fn map(
        &mut self,
        mut entry: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), Syntax>,
    ) -> Result<(), Syntax> {
        self.open(b'{', "a map")?;
        if self.peek() != Some(b'}') {
            loop {
                if self.peek() != Some(b'"') {
                    return self.fail("a key in double quotes");
                }
                let key = self.string()?;
                if self.peek() != Some(b':') {
                    return self.fail("a colon after the key");
                }
                self.at += 1;
                entry(self, key)?;
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => break,
                    _ => return self.fail("a comma or the end of the map"),
                }
            }
        }
        self.close();
        Ok(())
    }

    fn open(&mut self, bracket: u8, expected: &'static str) -> Result<(), Syntax> {
        if self.peek() != Some(bracket) {
            return self.fail(expected);
        }
        if self.depth == MAX_DEPTH {
            let expected = "at most 128 levels of lists and maps";
            return Err(Syntax {
                expected,
                at: self.at,
                fault: Fault::TooLarge,
            });
        }
        self.at += 1;
        self.depth += 1;
        Ok(())
    }

    fn close(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    /// Builds the value that begins here.
    pub(crate) fn value(&mut self) -> Result<Value, Syntax> {
        match self.peek() {
            Some(b'[') => {
                let mut items = Vec::new();
                self.list(|cursor| {
                    items.push(cursor.value()?);
                    Ok(())
                })?;
                Ok(Value::Array(items))
            }
            Some(b'{') => {
                let mut entries = Vec::new();
                self.map(|cursor, key| {
                    entries.push((key.into_owned(), cursor.value()?));
                    Ok(())
                })?;
                Ok(Value::Map(Table::from_repeating(entries)))
            }
            Some(b'"') => Ok(Value::Str(self.string()?.into_owned())),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let words = [
                    ("null", Value::Null),
                    ("true", Value::Bool(true)),
                    ("false", Value::Bool(false)),
                    ("NaN", Value::Float(f64::NAN)),
                    ("Infinity", Value::Float(f64::INFINITY)),
                ];
                for (word, value) in words {
                    if self.word(word) {
                        return Ok(value);
                    }
                }
                self.fail("a JSON value")
            }
        }
    }

    /// Returns the bytes of the value that begins here, checking only its grammar.
    pub(crate) fn skip(&mut self) -> Result<&'a [u8], Syntax> {
        let first = self.peek();
        let from = self.at;
        match first {
            Some(b'[') => self.list(|cursor| cursor.skip().map(drop))?,
            Some(b'{') => self.map(|cursor, _| cursor.skip().map(drop))?,
            Some(b'"') => {
                self.string()?;
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number_text()?;
            }
            _ => {
                self.value()?;
            }
        }
        Ok(&self.text.as_bytes()[from..self.at])
    }

    fn word(&mut self, word: &str) -> bool {
        let there = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if there { word.len() } else { 0 };
        there
    }

    fn number(&mut self) -> Result<Value, Syntax> {
        let (text, whole) = self.number_text()?;
        if whole {
            return Ok(text
                .parse()
                .map_or_else(|_| Value::BigInt(text.to_owned()), Value::Int));
        }
        match text {
            "-Infinity" => Ok(Value::Float(f64::NEG_INFINITY)),
            _ => match text.parse() {
                Ok(number) => Ok(Value::Float(number)),
                Err(_) => self.fail("a number"),
            },
        }
    }

    /// Returns the text of a number, and whether it is an integer.
    fn number_text(&mut self) -> Result<(&'a str, bool), Syntax> {
        let from = self.at;
        if self.take(b'-') && self.word("Infinity") {
            return Ok((&self.text[from..self.at], false));
        }
        if !self.take(b'0') {
            self.digits()?;
        }
        let mut whole = true;
        if self.take(b'.') {
            whole = false;
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            whole = false;
            let _ = self.take(b'-') || self.take(b'+');
            self.digits()?;
        }
        Ok((&self.text[from..self.at], whole))
    }

    fn digits(&mut self) -> Result<(), Syntax> {
        let from = self.at;
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
        if self.at == from {
            self.fail("a digit")
        } else {
            Ok(())
        }
    }

    /// Reads text in quotes; owned only when it has escapes.
    fn string(&mut self) -> Result<Cow<'a, str>, Syntax> {
        self.at += 1;
        let mut built = String::new();
        let mut from = self.at;
        loop {
            match self.byte() {
                Some(b'"') => {
                    let run = &self.text[from..self.at];
                    self.at += 1;
                    if built.is_empty() {
                        return Ok(Cow::Borrowed(run));
                    }
                    built.push_str(run);
                    return Ok(Cow::Owned(built));
                }
                Some(b'\\') => {
                    built.push_str(&self.text[from..self.at]);
                    self.at += 1;
                    built.push(self.escape()?);
                    from = self.at;
                }
                Some(0..=0x1f) => return self.fail("control characters written as escapes"),
                Some(_) => self.at += 1,
                None => return self.fail("a closing quote"),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Syntax> {
        let byte = self.byte();
        self.at += 1;
        Ok(match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => {
                self.at -= 1;
                return self.fail("an escape that JSON knows");
            }
        })
    }

    /// Reads what follows `\u`. A lone surrogate, which Python writes and Rust's text
    /// cannot hold, becomes the replacement character.
    fn unicode(&mut self) -> Result<char, Syntax> {
        let unit = self.hex()?;
        if (0xd800..0xdc00).contains(&unit) && self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, Syntax> {
        let digits = self
            .text
            .as_bytes()
            .get(self.at..self.at + 4)
            .unwrap_or_default();
        let mut unit = 0;
        for digit in digits {
            match char::from(*digit).to_digit(16) {
                Some(digit) => unit = unit * 16 + digit,
                None => return self.fail("four hexadecimal digits"),
            }
        }
        if digits.len() < 4 {
            return self.fail("four hexadecimal digits");
        }
        self.at += 4;
        Ok(unit)
    }
}
