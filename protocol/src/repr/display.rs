//! The display look: near a length, three levels deep.
//!
//! Tokens are written one by one and counted in characters. The first token after the
//! budget is spent becomes `, ...`, and from there on only the brackets that are open
//! are closed. A bracket that closes costs nothing once the budget is spent.

use super::write_plain;
use crate::value::{Table, Value};

/// Containers below this depth are shown as `[...]`.
const LEVELS: usize = 3;

pub(super) fn tuple(items: &[Value], max: usize) -> String {
    let mut display = Display::new(max);
    let close = if items.len() == 1 { ",)" } else { ")" };
    display.container("(", close, 0, |display| display.list(items, 1));
    display.out
}

pub(super) fn dict(table: &Table, max: usize) -> String {
    let mut display = Display::new(max);
    display.table(table, 0);
    display.out
}

pub(super) fn value(value: &Value, max: usize) -> String {
    let mut display = Display::new(max);
    display.value(value, 0);
    display.out
}

struct Display {
    out: String,
    /// Characters that may still be written; the last token may exceed them.
    left: usize,
    /// Whether the `...` was written.
    cut: bool,
}

impl Display {
    fn new(max: usize) -> Self {
        Self {
            out: String::with_capacity(max.min(64)),
            left: max,
            cut: false,
        }
    }

    /// Runs `write` when there is room for another token, and counts what it wrote.
    fn token(&mut self, write: impl FnOnce(&mut String, usize)) {
        if self.cut {
            return;
        }
        if self.left == 0 {
            self.out.push_str(", ...");
            self.cut = true;
            return;
        }
        let start = self.out.len();
        write(&mut self.out, self.left);
        self.left = self.left.saturating_sub(chars(&self.out[start..]));
    }

    fn literal(&mut self, text: &str) {
        self.token(|out, _| out.push_str(text));
    }

    fn value(&mut self, value: &Value, depth: usize) {
        match value {
            Value::Array(items) => {
                self.container("[", "]", depth, |display| display.list(items, depth + 1));
            }
            Value::Map(table) => self.table(table, depth),
            Value::Str(text) => self.token(|out, left| quoted(out, text, left)),
            Value::Bytes(bytes) => self.token(|out, left| quoted_bytes(out, bytes, left)),
            plain => self.token(|out, left| {
                let start = out.len();
                write_plain(out, plain);
                if chars(&out[start..]) >= left {
                    let whole = out.split_off(start);
                    out.push_str(shortened(&whole, left));
                    out.push_str("...");
                }
            }),
        }
    }

    fn table(&mut self, table: &Table, depth: usize) {
        self.container("{", "}", depth, |display| {
            for (at, (key, value)) in table.iter().enumerate() {
                if display.cut {
                    return;
                }
                if at > 0 {
                    display.literal(", ");
                }
                display.token(|out, left| quoted(out, key, left));
                display.literal(": ");
                display.value(value, depth + 1);
            }
        });
    }

    fn list(&mut self, items: &[Value], depth: usize) {
        for (at, item) in items.iter().enumerate() {
            if self.cut {
                return;
            }
            if at > 0 {
                self.literal(", ");
            }
            self.value(item, depth);
        }
    }

    fn container(&mut self, open: &str, close: &str, depth: usize, inside: impl FnOnce(&mut Self)) {
        if depth >= LEVELS {
            return self.literal(&format!("{open}...{close}"));
        }
        self.literal(open);
        if self.cut {
            return;
        }
        inside(self);
        self.out.push_str(close);
        self.left = self.left.saturating_sub(close.len());
    }
}

/// Quotes escape only quotes here; a backslash or a newline stands as it is.
fn quoted(out: &mut String, text: &str, left: usize) {
    let fits = text.len() < left || chars(text) < left;
    out.push('\'');
    for (at, piece) in (if fits { text } else { shortened(text, left) })
        .split('\'')
        .enumerate()
    {
        out.push_str(if at == 0 { "" } else { "\\'" });
        out.push_str(piece);
    }
    out.push_str(if fits { "'" } else { "...'" });
}

/// Bytes that are text are shown as text, others as hexadecimal digits.
fn quoted_bytes(out: &mut String, bytes: &[u8], left: usize) {
    let fits = bytes.len() <= left;
    let shown = if fits { bytes } else { &bytes[..left] };
    out.push_str("b'");
    match std::str::from_utf8(shown) {
        Ok(text) => out.push_str(text),
        Err(_) => {
            for byte in shown {
                let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
                out.extend([digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    out.push_str(if fits { "'" } else { "...'" });
}

/// Cuts at `left` characters, then back to the last space if there is one.
fn shortened(text: &str, left: usize) -> &str {
    let end = text
        .char_indices()
        .nth(left)
        .map_or(text.len(), |(at, _)| at);
    let cut = &text[..end];
    cut.rfind(' ').map_or(cut, |space| &cut[..space])
}

fn chars(text: &str) -> usize {
    text.chars().count()
}
