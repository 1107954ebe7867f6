//! Arguments and results as Python shows them.
//!
//! Two looks exist. [`python()`] is Python's own `repr`, whole and exactly escaped; it
//! stands in error texts. The others are the display texts of headers and events
//! (`argsrepr`, `result`): cut at a length and a depth, and sparing with escapes.

mod display;

use std::fmt::Write;

use crate::{
    Exception,
    json::{MAX_DEPTH, float_text},
    value::{Table, Value},
};

/// Below this depth [`python()`] writes `...`; no decoder of this crate goes deeper.
const DEEPEST: usize = MAX_DEPTH + 1;

/// Shows a value as Python's `repr` does: `{'a': [1, None, 2.5]}`.
pub fn python(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, DEEPEST);
    out
}

/// Shows an exception as Python's `repr` does: `ValueError('boom', 42)`.
pub fn exception(exception: &Exception) -> String {
    let mut out = exception.exc_type.clone();
    out.push('(');
    write_list(&mut out, &exception.exc_message, DEEPEST);
    out.push(')');
    out
}

/// Shows positional arguments as a tuple: `(2, 3)`, `(2,)`, `()`.
///
/// The text is cut near `max` characters, and below three levels of lists and maps;
/// open brackets are closed all the same, so it may be a little longer.
pub fn args(args: &[Value], max: usize) -> String {
    display::tuple(args, max)
}

/// Shows keyword arguments as a dict: `{'x': 2}`; cut as [`args`] is.
pub fn kwargs(kwargs: &Table, max: usize) -> String {
    display::dict(kwargs, max)
}

/// Shows one value, such as the result in an event; cut as [`args`] is.
pub fn value(value: &Value, max: usize) -> String {
    display::value(value, max)
}

fn write_value(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Array(_) | Value::Map(_) if depth == 0 => out.push_str("..."),
        Value::Array(items) => {
            out.push('[');
            write_list(out, items, depth - 1);
            out.push(']');
        }
        Value::Map(table) => {
            out.push('{');
            for (at, (key, value)) in table.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                write_str(out, key);
                out.push_str(": ");
                write_value(out, value, depth - 1);
            }
            out.push('}');
        }
        Value::Str(text) => write_str(out, text),
        Value::Bytes(bytes) => write_bytes(out, bytes),
        number => write_plain(out, number),
    }
}

fn write_list(out: &mut String, items: &[Value], depth: usize) {
    for (at, item) in items.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { ", " });
        write_value(out, item, depth);
    }
}

/// Writes what has no inside: nothing, truth values and numbers.
fn write_plain(out: &mut String, value: &Value) {
    match value {
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(number) => out.push_str(itoa::Buffer::new().format(*number)),
        Value::BigInt(digits) => out.push_str(digits),
        Value::Float(number) => write_float(out, *number),
        _ => out.push_str("None"),
    }
}

fn write_float(out: &mut String, number: f64) {
    if number.is_nan() {
        out.push_str("nan");
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 { "inf" } else { "-inf" });
    } else {
        out.push_str(&float_text(number));
    }
}

fn write_str(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.reserve(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c if is_printable(c) => out.push(c),
            c => {
                let _ = match u32::from(c) {
                    code @ ..=0xff => write!(out, "\\x{code:02x}"),
                    code @ ..=0xffff => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
}

/// Asks the standard library, whose idea of printable is Python's: every category but
/// "other" and "separator". The letter in front keeps it from escaping combining marks.
fn is_printable(c: char) -> bool {
    let mut buffer = [b'a'; 5];
    let len = 1 + c.encode_utf8(&mut buffer[1..]).len();
    std::str::from_utf8(&buffer[..len]).is_ok_and(|text| text.escape_debug().nth(1) == Some(c))
}

fn write_bytes(out: &mut String, bytes: &[u8]) {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') {
        b'"'
    } else {
        b'\''
    };
    out.push('b');
    out.push(quote.into());
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte if byte == quote => out.extend(['\\', byte.into()]),
            b' '..=b'~' => out.push(byte.into()),
            byte => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push(quote.into());
}

#[cfg(test)]
mod tests;
